"""What must be said before a metric chooses among runs: collapses, and losses that contain the metric."""

from collections.abc import Sequence

from selector.metrics import LABEL_FREE_PREFIX, LabelFreeMetric
from selector.runs import Run
from selector.selection.verdicts import verdict_of

# VICReg's loss holds up the variance of each channel of the projector and holds down their covariances: it is
# trained to be good by what these measure.
IN_THE_LOSS = {
    "vicreg": {"rankme", "nesum", "stable_rank", "participation_ratio", "condition_number", "channel_std"}
}


def cautions(runs: Sequence[Run], metric: LabelFreeMetric) -> list[str]:
    """One line each on runs that collapsed, and on methods whose loss contains what the metric measures."""
    lines = []
    collapsed = [run.id for run in runs if run.state == "finished" and verdict_of(run).kind == "collapsed"]
    if collapsed:
        more = f" and {len(collapsed) - 3} more" if len(collapsed) > 3 else ""
        lines.append(
            f"{len(collapsed)} of {len(runs)} runs collapsed ({', '.join(collapsed[:3])}{more}):"
            " `selector watch` says since when"
        )
    names = {metric.name, *(key.removeprefix(LABEL_FREE_PREFIX) for key in metric.parts)}
    for method, inside in IN_THE_LOSS.items():
        if (known := names & inside) and any(run.config.get("method") == method for run in runs):
            lines.append(
                f"{method}'s loss contains what {' and '.join(sorted(known))} measures:"
                " look at pretext_score, too"
            )
    return lines
