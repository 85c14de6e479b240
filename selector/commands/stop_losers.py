"""`selector stop-losers`."""

from typing import Literal

from selector.commands.arguments import (
    Group,
    Name,
    Source,
    Tag,
    named_score,
    read_runs,
    warn,
)
from selector.errors import UserError
from selector.text import printable


def stop_losers(
    source: Source,
    /,
    *,
    metric: Name = "rankme",
    direction: Literal["max", "min"] | None = None,
    tag: Tag = None,
    group: Group = None,
    yes: bool = False,
    quiet: bool = False,
    json: bool = False,
) -> int:
    """Ask W&B to stop running runs that cannot win any more; without --yes only say which these are.

    The rule: a running run is stopped only if at each of its last 2 milestones, none before epoch 10 or the
    first 25 % of its planned epochs, (1) at least 8 finished runs that the metric may compare with it,
    planned for as many epochs, have a score too; (2) it is in the lower half of all such runs, finished or
    running, that have reached that epoch; and (3) if its score rose by as much as that of any of the finished
    runs did from there to its end, and by 2 standard errors of the metric's noise more, it would still be
    worse than the best finished run. No label is read.

    Args:
        source: entity/project/sweep_id, entity/project, or the URL of a W&B sweep or project; a folder of
            offline runs can only be looked at.
        metric: A label-free metric, or any key that the runs logged; such a key needs a direction. Not the
            consensus, which is a place among the runs at hand: the rule asks how far a run's score may rise.
        direction: Which way is better; None takes the metric's own, for the method of the runs.
        tag: Only runs that carry this W&B tag.
        group: Only runs of this W&B group.
        yes: Stop them.
        quiet: Show no progress; warnings still come.
        json: Print one JSON object.
    """
    from selector.runs import is_online
    from selector.selection.losers import find_losers

    chosen = named_score(metric, direction, "selector stop-losers")
    if yes and not is_online(source):
        raise UserError(
            f"stop-losers asks W&B to stop runs, and {source} is a folder: give its sweep file"
            " `early_terminate: {type: hyperband, min_iter: …}`, which selector sweep obeys by itself"
        )
    runs = read_runs(source, tag=tag, group=group, keys=[chosen.key], quiet=quiet)
    verdicts = find_losers(runs, chosen, direction)
    warn(runs.warnings)
    stopped: list[str] = []
    if yes and verdicts.losers:
        from selector.tracking.wandb_stop import stop_runs

        stopped = stop_runs(source, [loser.run.id for loser in verdicts.losers])
    if json:
        from selector.reports.losers import verdicts_object
        from selector.reports.objects import as_json

        print(as_json(verdicts_object(verdicts, stopped, dry_run=not yes)))
    else:
        from selector.reports.losers import verdict_lines

        for line in verdict_lines(verdicts, stopped if yes else None):
            print(printable(line))
    return 0
