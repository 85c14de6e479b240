"""`selector metrics`."""

from dataclasses import asdict

from selector.commands.arguments import Json, show
from selector.errors import UsageError


def metrics(*, json: Json = False, markdown: bool = False) -> int:
    """List the metrics: what each means, which way is better, and where it comes from.

    Args:
        markdown: Print a page of documentation.
    """
    if json and markdown:
        raise UsageError("give only one of --json and --markdown")
    from selector.metrics import METRICS, LabelledMetric
    from selector.reports.metric_tables import metrics_page, print_metrics
    from selector.selection.consensus import CONSENSUS
    from selector.selection.pooled import POOLED

    known = (CONSENSUS, POOLED, *METRICS)
    if markdown:
        print(metrics_page(known), end="")
        return 0
    rows = [{"key": m.key, "labels": isinstance(m, LabelledMetric), **asdict(m)} for m in known]
    return show(json, {"metrics": rows}, lambda console: print_metrics(known, console))
