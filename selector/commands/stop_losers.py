"""`selector stop-losers`."""

from selector.commands.arguments import Json, MetricName, Runs, Way, show, warn
from selector.errors import UserError
from selector.text import printable


def stop_losers(
    runs: Runs,
    *,
    metric: MetricName = "pretext_score",
    direction: Way = None,
    yes: bool = False,
    json: Json = False,
) -> int:
    """Ask W&B to stop running runs that cannot win any more; without --yes, only list them.

    The rule: a running run is stopped only if at each of its last 2 milestones, none before epoch 10 or the
    first 25 % of its planned epochs, (1) at least 8 finished runs that the metric may compare with it,
    planned for as many epochs, have a score too; (2) it is in the lower half of all such runs, finished or
    running, that have reached that epoch; and (3) even if its score rose as much as that of any finished run
    did from that point to its end, plus 2 standard errors of the metric's noise, it would still be worse than
    the best finished run. No label is read.

    Args:
        metric: Metric to rank them by. It cannot be the consensus, which is only a place among the runs: the
            rule asks how far a run's own score may rise.
        direction: Which way is better.
        yes: Stop them.
    """
    from selector.commands.named import keys_of, named_label_free, refuse_consensus
    from selector.reports.objects import losers_object
    from selector.reports.running import loser_lines
    from selector.runs import is_online
    from selector.selection.losers import find_losers
    from selector.selection.preparation import with_same_questions

    refuse_consensus(metric)
    source, chosen = runs.source, named_label_free(metric, direction)
    if yes and not is_online(source):
        raise UserError(
            f"stop-losers asks W&B to stop runs, but {source} is a folder: give its sweep file"
            " `early_terminate: {type: hyperband, min_iter: …}`, which selector sweep obeys by itself"
        )
    found = with_same_questions(runs.read(keys_of(chosen), spectra=True), warn=chosen.name == "pretext_score")
    losers, kept = find_losers(found, chosen, direction)
    warn(found.warnings)
    stopped: list[str] = []
    if yes and losers:
        from selector.tracking.stop import stop_runs

        stopped = stop_runs(source, [one.run.id for one in losers])
    lines = map(printable, loser_lines(losers, kept, stopped if yes else None))
    content = losers_object(chosen.name, losers, kept, stopped, dry_run=not yes)
    return show(json, content, lambda _: print(*lines, sep="\n"))
