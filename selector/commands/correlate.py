"""`selector correlate`."""

from selector.commands.arguments import Name, Names, Runs, warn
from selector.errors import UsageError


def correlate(
    runs: Runs,
    *,
    metric: Names = (),
    oracle: Name = "linear_probe_accuracy",
    published: bool = False,
    json: bool = False,
    csv: bool = False,
    latex: bool = False,
) -> int:
    """Say how well each metric follows the accuracy while a network trains: the paper's Table I.

    Args:
        runs: Which runs.
        metric: Metrics with or without labels, or keys that the runs logged; by default, all built-in metrics
            that the runs logged.
        oracle: The labelled metric to compare them with, or a key that the runs logged.
        published: Print the paper's figures beside these.
        json: Print one JSON object.
        csv: Print CSV: one line per run, metric and data set.
        latex: Print the table as LaTeX.
    """
    from selector.commands.named import named_labelled, named_metric
    from selector.paper.along_training import correlate_milestones

    if json + csv + latex > 1:
        raise UsageError("give only one of --json, --csv and --latex")
    named = [named_metric(name) for name in dict.fromkeys(metric)]
    judge = named_labelled(oracle, "max")
    found = runs.read([judge.key])
    report = correlate_milestones(found, judge, named)
    warn(report.warnings)
    if json:
        from selector.paper.table_one import correlations_object
        from selector.reports.objects import as_json

        print(as_json(correlations_object(report, published)))
    elif csv or latex:
        from selector.paper.table_one import correlations_csv, correlations_latex

        print((correlations_csv if csv else correlations_latex)(report, published), end="")
    else:
        from selector.paper.table_one import print_correlations
        from selector.reports.tables import open_console

        print_correlations(report, open_console(), published)
    return 0
