"""`selector correlate`."""

from selector.commands.arguments import Json, Name, Names, Runs, show, warn
from selector.errors import UsageError


def correlate(
    runs: Runs,
    *,
    metric: Names = (),
    oracle: Name = "linear_probe_accuracy",
    published: bool = False,
    json: Json = False,
    csv: bool = False,
    latex: bool = False,
) -> int:
    """Say how well each metric follows the accuracy while a network trains: the paper's Table I.

    Args:
        metric: Metrics with or without labels, or keys that the runs logged; by default, all built-in metrics
            that the runs logged.
        oracle: The labelled metric to compare them with, or a key that the runs logged.
        published: Print the paper's figures beside these.
        csv: Print CSV: one line per run, metric and data set.
        latex: Print the table as LaTeX.
    """
    from selector.commands.named import named_labelled, named_metric
    from selector.paper import table_one
    from selector.paper.along_training import correlate_milestones

    if json + csv + latex > 1:
        raise UsageError("give only one of --json, --csv and --latex")
    named = [named_metric(name) for name in dict.fromkeys(metric)]
    judge = named_labelled(oracle, "max")
    found = runs.read([judge.key])
    report = correlate_milestones(found, judge, named)
    warn(report.warnings)
    if csv or latex:
        print(
            (table_one.correlations_csv if csv else table_one.correlations_latex)(report, published), end=""
        )
        return 0
    return show(
        json,
        table_one.correlations_object(report, published),
        lambda console: table_one.print_correlations(report, console, published),
    )
