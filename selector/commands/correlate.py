"""`selector correlate`."""

from selector.commands.arguments import Group, Name, Names, Source, Tag, read_runs, warn
from selector.errors import UsageError


def correlate(
    source: Source,
    /,
    *,
    metric: Names = (),
    oracle: Name = "linear_probe_accuracy",
    published: bool = False,
    tag: Tag = None,
    group: Group = None,
    quiet: bool = False,
    json: bool = False,
    csv: bool = False,
    latex: bool = False,
) -> int:
    """Say how well each metric follows the accuracy while a network trains: the paper's Table I.

    Args:
        source: A folder of offline runs, entity/project/sweep_id, entity/project, or the URL of a W&B sweep
            or project.
        metric: Metrics with or without labels, or keys that the runs logged; by default, all built-in metrics
            that the runs logged.
        oracle: The labelled metric to compare them with, or a key that the runs logged.
        published: Print the paper's figures beside these.
        tag: Only runs that carry this W&B tag.
        group: Only runs of this W&B group.
        quiet: Show no progress; warnings are still shown.
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
    runs = read_runs(source, tag=tag, group=group, keys=[judge.key], quiet=quiet)
    report = correlate_milestones(runs, judge, named)
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
