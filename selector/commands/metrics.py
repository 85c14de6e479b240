"""`selector metrics`."""

from selector.errors import UsageError


def metrics(*, json: bool = False, markdown: bool = False) -> int:
    """List the metrics: what each means, which way is better, and where it comes from.

    Args:
        json: Print one JSON object.
        markdown: Print a page of documentation.
    """
    if json and markdown:
        raise UsageError("give only one of --json and --markdown")
    from selector.metrics import METRICS, LabelledMetric
    from selector.selection.consensus import CONSENSUS
    from selector.selection.pooled import POOLED

    known = (CONSENSUS, POOLED, *METRICS)
    if json:
        from dataclasses import asdict

        from selector.reports.objects import as_json

        rows = [{"key": m.key, "labels": isinstance(m, LabelledMetric), **asdict(m)} for m in known]
        print(as_json({"metrics": rows}))
    elif markdown:
        from selector.reports.metric_tables import metrics_page

        print(metrics_page(known), end="")
    else:
        from selector.reports.metric_tables import print_metrics
        from selector.reports.tables import open_console

        print_metrics(known, open_console())
    return 0
