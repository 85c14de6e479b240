"""`selector rank`."""

from typing import Literal

from selector.commands.arguments import (
    Epoch,
    Name,
    Source,
    milestone_choice,
    named_label_free,
    read_runs,
    warn,
)


def rank(
    source: Source,
    /,
    *,
    metric: Name = "rankme",
    milestone: Epoch = "last",
    direction: Literal["max", "min"] | None = None,
    allow_mixed: bool = False,
    tag: str | None = None,
    group: str | None = None,
    json: bool = False,
) -> int:
    """Rank the runs of a sweep by a label-free metric; no label is read.

    Args:
        source: A folder of offline runs, entity/project/sweep_id, entity/project, or the URL of a W&B sweep
            or project.
        metric: A label-free metric (`selector metrics` lists them), or any key that the runs logged; such a
            key needs a direction, and only you know whether labels went into it.
        milestone: The epoch to compare at, or last: each run's last one.
        direction: Which way is better; None takes the metric's own, for the method of the runs.
        allow_mixed: Rank runs in one list that the metric may not compare, at your own risk.
        tag: Only runs that carry this W&B tag.
        group: Only runs of this W&B group.
        json: Print one JSON object.
    """
    from selector.selection.ranking import rank as rank_runs

    prog = "selector rank"
    chosen, epoch = named_label_free(metric, direction, prog), milestone_choice(milestone, prog)
    runs = read_runs(source, tag=tag, group=group, keys=[chosen.key])
    ranking = rank_runs(runs, chosen, epoch, allow_mixed, direction)
    warn(ranking.warnings)
    if json:
        from selector.reports.objects import as_json, ranking_object

        print(as_json(ranking_object(ranking)))
    else:
        from selector.reports.tables import open_console, print_ranking

        print_ranking(ranking, open_console())
    return 0
