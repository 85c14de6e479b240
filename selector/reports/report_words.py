"""What a report says in words: why this run, what it cost, how sure one can be, and what to do next."""

import shlex
from dataclasses import dataclass

from selector.metrics.metrics import METRICS
from selector.reports.report import GroupReport, Report
from selector.reports.report_rows import Cost
from selector.reports.tables import correlation, coverage_line, number
from selector.runs import Run
from selector.selection.consensus import CONSENSUS
from selector.selection.ranking import Ranking
from selector.text import printable


@dataclass(frozen=True)
class Tile:
    """A figure with what it is and what it rests on."""

    value: str
    name: str
    note: str


@dataclass(frozen=True)
class Step:
    """Something to do, with the command for it or ""."""

    text: str
    command: str = ""


def lead(report: Report) -> str:
    """The sentence under the title."""
    where = "last milestone" if report.ranking.milestone == "last" else f"epoch {report.ranking.milestone}"
    metric = report.ranking.metric
    if metric.key not in {known.key for known in (CONSENSUS, *METRICS)}:
        judged = f"Only you know whether labels went into {metric.name}, a key of these runs' own."
    elif any(group.judged for group in report.groups):
        judged = f"The choice saw no label; {report.oracle.name} was read afterwards, to judge it."
    else:
        judged = "No label was read: how good the pick is by labels is not known here."
    return f"{coverage_line(report.ranking.coverage)}; compared at the {where}. {judged}"


def why(group: GroupReport, ranking: Ranking) -> str:
    """Why the pick is the pick."""
    first = group.ranked.ranking[0]
    better = "Highest" if group.ranked.direction == "max" else "Lowest"
    spread = f" ± {number(first.standard_error, 2)}" if first.standard_error else ""
    text = f"{better} {ranking.metric.name} of {len(group.runs)} runs"
    text += f": {number(first.score)}{spread} at {axis_of(first.run)} {first.epoch}"
    ties = len(group.ranked.tie_set) - 1
    return f"{text}; {ties} more cannot be told from it." if ties else f"{text}."


def axis_of(run: Run) -> str:
    """What its milestones are numbered by."""
    return {"epoch": "epoch", "_step": "W&B's step"}.get(run.counted_by, "step")


def tiles(group: GroupReport, cost: Cost) -> list[Tile]:
    """The figures beside the pick."""
    regret = group.regret
    found: list[Tile] = []
    if group.judged and regret and regret.chosen and regret.regret is not None:
        is_pick = regret.chosen.id == group.ranked.chosen.id
        whose = "the pick" if is_pick else "the best-ranked run that labels judged"
        percent = group.judged.in_percent
        unit = " points" if percent else ""
        ends = " to ".join(_regret(end, percent) for end in regret.interval or ())
        interval = (
            f"95 % interval among these checkpoints: {ends}"
            if regret.interval
            else "no interval: how many images judged the runs is not known"
        )
        tied = len(regret.tie_set)
        if tied > 1 and regret.tied_expected is not None and regret.tied_worst is not None:
            by_lot, most = _regret(regret.tied_expected, percent), _regret(regret.tied_worst, percent)
            interval += f"; among the {tied} tied runs {by_lot} are to be expected, {most} at worst"
        found += [
            Tile(
                f"{_regret(regret.regret, percent)}{unit}",
                "selection regret" if is_pick else f"selection regret of {whose}",
                interval,
            ),
            Tile(
                f"{_regret(group.judged.expected_random, percent)}{unit}",
                "regret of a random choice, expected",
                f"over {group.judged.configurations} configurations",
            ),
            Tile(
                number(regret.chosen_accuracy),
                f"{group.held[-1].name} of {whose}",
                f"best run: {number(group.judged.best.accuracy)}",
            ),
            Tile(
                correlation(regret.spearman.value),
                "Spearman's ρ with the oracle",
                f"{_p(regret.spearman.p_value)}, n = {regret.spearman.n}",
            ),
        ]
    found.append(
        Tile(str(len(group.ranked.tie_set)), "runs in the tie set", "1: the metric sees one best run")
    )
    if cost.seconds is not None:
        found.append(
            Tile(
                _duration(cost.seconds),
                "spent on milestones",
                f"{cost.milestones} milestones, probes included",
            )
        )
    return found


def notes(group: GroupReport) -> list[str]:
    """What the figures must not be used for."""
    if group.judged is None:
        return [
            "Without labels there is no regret, no oracle and no correlation with accuracy. What remains is"
            " the ranking, the agreement between metrics, and how the runs trained.",
        ]
    near = group.judged.near_best
    unit = ", in points of accuracy" if group.judged.in_percent else ""
    found = [
        f"Regret is best accuracy less the pick's{unit}. It holds for this sweep; the next sweep has"
        " another.",
    ]
    if near is not None and near > 1:
        found.append(
            f"{near} of {len(group.judged.judged)} runs cannot be told from the best by the oracle itself"
            " (two standard errors of its test images)."
        )
    return found


def next_steps(group: GroupReport, report: Report) -> list[Step]:
    """What a person would do now."""
    choice = [*(report.sources or (report.source,)), "--metric", report.ranking.metric.name, *report.options]
    steps: list[Step] = []
    coverage = report.ranking.coverage
    if coverage.finish_command and (coverage.ranked < coverage.found or coverage.not_started):
        steps.append(
            Step("Finish the sweep: not all of its runs are ranked.", printable(coverage.finish_command))
        )
    if len(group.ranked.tie_set) > 1:
        steps.append(
            Step(
                f"{len(group.ranked.tie_set)} runs are tied: take the cheapest of them, or train them with"
                " further seeds and compare the means."
            )
        )
    if group.judged is None:
        check = (
            "Label a few hundred images (a sub-folder a class), and train the first runs of the ranking on"
            " these: their linear probe says which of them is good."
        )
        steps.append(Step(check))
    elif reason := group.judged.repetition_reason:
        steps.append(Step(f"Find out what other seeds would change: {reason}."))
    take = shlex.join(["selector", "best", *map(printable, choice), "--output", "best.yaml"])
    steps.append(Step("Take the hyperparameters:", take))
    if group.best.command:
        longer = "Train the pick longer, or with another seed: the command above, changed as you like."
        steps.append(Step(longer))
    return steps


def _regret(value: float, percent: bool) -> str:
    return f"{100 * value:.1f}" if percent else number(value)


def _p(value: float | None) -> str:
    return "p undefined" if value is None else "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
