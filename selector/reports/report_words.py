"""What a report says in words: why this run, what threatens it, what it cost, and what to do next."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from selector.metrics import METRICS
from selector.reports.best import command_line
from selector.reports.late_labels import judgement_lines, points
from selector.reports.report import GroupReport, Report
from selector.reports.rows import score_text
from selector.reports.tables import coverage_line
from selector.reports.words import axis_of, correlation, number, share
from selector.selection.consensus import CONSENSUS
from selector.selection.judging import Judgement
from selector.selection.ranking import Ranking
from selector.selection.regret import Regret, RegretGroup
from selector.text import counted, printable

MOST_NAMED = 3


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


def source_name(report: Report) -> str:
    """What a title calls the source: the name of a folder, file or sweep, without the way to it."""
    sources = report.sources or (report.source,)
    names = [PurePath(source.rstrip("/")).name.removesuffix(".json") for source in sources]
    return printable(", ".join(name for name in names if name) or "runs")


def lead(report: Report) -> str:
    """The sentence under the title."""
    where = "last milestone" if report.ranking.milestone == "last" else f"epoch {report.ranking.milestone}"
    metric = report.ranking.metric
    if metric.key not in {known.key for known in (CONSENSUS, *METRICS)}:
        judged = f"Only you know whether labels went into {metric.name}, a key of these runs' own."
    elif any(group.judged for group in report.groups):
        judged = f"The choice saw no label; {report.oracle.name} was read afterwards, to judge it."
    elif late := next((group.late for group in report.groups if group.late), None):
        judged = f"The choice saw no label; {late.labels} labels that came later judge it."
    else:
        judged = "No label was read, so it is not known how good the pick is by labels."
    return f"{coverage_line(report.ranking.coverage)}; compared at the {where}. {judged}"


def why(group: GroupReport, ranking: Ranking) -> str:
    """Why the pick is the pick."""
    first = group.ranked.ranking[0]
    better = "Highest" if group.ranked.direction == "max" else "Lowest"
    what = "runs" if len(first.runs) < 2 else "configurations"
    text = (
        f"{better} {ranking.metric.name} of {len(group.runs)} {what}:"
        f" {score_text(first)} at {axis_of(first.run)} {first.epoch}"
    )
    ties = len(group.ranked.tie_set) - 1
    return f"{text}; {ties} more cannot be told from it." if ties else f"{text}."


def threats(group: GroupReport, report: Report) -> Iterator[str]:
    """What speaks against taking the pick as it is, the gravest first; nothing where nothing does."""
    ranked, coverage, metric = group.ranked, report.ranking.coverage, report.ranking.metric.name
    if (late := group.late) and late.told_apart and late.pick != late.best:
        yield f"By {late.labels} late labels, run {late.best} is {points(late.regret)} points better."
    if others := group.opinions.others:
        named = [f"{row.metric} would pick {row.choice}" for row in others[:MOST_NAMED]]
        if (rest := len(others) - MOST_NAMED) > 0:
            named.append(f"{rest} more {'picks' if rest == 1 else 'pick'} another")
        yield f"{group.opinions.headline.removesuffix('.')}: {'; '.join(named)}."
    if (verdict := group.verdicts[ranked.chosen.id]).is_bad:
        yield f"The pick's training: {verdict.text}"
    if len(ranked.ranking) == 1:
        yield "Only this run can be ranked, so nothing else could be chosen."
    elif len({place.score for place in ranked.ranking}) == 1:
        yield f"{metric} is {number(ranked.ranking[0].score)} in all runs: it does not tell them apart."
    elif len(ranked.tie_set) > 1:
        yield f"{len(ranked.tie_set)} of {len(ranked.ranking)} are tied: {metric} cannot say which is best."
    if "--allow-mixed" in report.options:
        yield "All runs are ranked together, whether or not they may be compared."
    missing = coverage.found - coverage.ranked + (coverage.not_started or 0)
    if missing:
        yield f"{missing} of {coverage.found + (coverage.not_started or 0)} runs are not in this ranking."


def tiles(group: GroupReport) -> list[Tile]:
    """The figures beside the pick: what it cost by labels, and what the milestones took."""
    found: list[Tile] = []
    regret = group.regret
    if group.judged and regret and regret.chosen and regret.regret is not None:
        found += _cost(group, group.judged, regret)
    if group.late:
        found += _cost_by_late_labels(group.late)
    rows = [row.values for run in group.runs for row in run.milestones]
    seconds = [row["cost/milestone_seconds"] for row in rows if "cost/milestone_seconds" in row]
    if seconds:
        spent = _duration(sum(seconds))
        found.append(
            Tile(spent, "spent on milestones", f"{counted(len(rows), 'milestone')}, probes included")
        )
    return found


def _cost(group: GroupReport, judged: RegretGroup, regret: Regret) -> list[Tile]:
    percent = judged.in_percent
    unit = " points" if percent else ""
    is_pick = regret.chosen is not None and regret.chosen.id == group.ranked.chosen.id
    whose = "the pick" if is_pick else "the best-ranked run that labels judged"
    interval = "no interval: how many images judged the runs is not known"
    if regret.interval:
        ends = " to ".join(share(end, percent) for end in regret.interval)
        interval = f"95 % interval among these checkpoints: {ends}"
    if (tied := len(regret.tie_set)) > 1:
        by_lot, most = share(regret.tied_expected, percent), share(regret.tied_worst, percent)
        interval += f"; expected over the {tied} tied runs: {by_lot}, at worst {most}"
    p = regret.spearman.p_value
    p_text = "p undefined" if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
    chance = f"{share(judged.expected_random, percent)}{unit}"
    best = f"best run: {number(judged.best.accuracy)}"
    return [
        Tile(
            f"{share(regret.regret, percent)}{unit}",
            "selection regret" if is_pick else f"selection regret of {whose}",
            interval,
        ),
        Tile(chance, "expected regret of a random choice", f"over {judged.configurations} configurations"),
        Tile(number(regret.chosen_accuracy), f"{group.held[-1].name} of {whose}", best),
        Tile(
            correlation(regret.spearman.value),
            "Spearman's ρ with the oracle",
            f"{p_text}, n = {regret.spearman.n}",
        ),
    ]


def _cost_by_late_labels(late: Judgement) -> list[Tile]:
    ends = "" if late.interval is None else "95 %: {} to {}".format(*map(points, late.interval))
    pick, best = next(run for run in late.runs if run.pick), late.runs[0]
    error = f"± {points(pick.standard_error)}; best run: {points(best.accuracy)}"
    return [
        Tile(f"{points(late.regret)} points", f"regret by {late.labels} late labels", ends),
        Tile(f"{points(pick.accuracy)} %", "accuracy of the pick by these", error),
    ]


def notes(group: GroupReport) -> list[str]:
    """What the figures must not be used for."""
    if group.judged is None:
        return judgement_lines(group.late, group.held[0].name)[1:] if group.late else []
    near = group.judged.near_best
    unit = ", in points of accuracy" if group.judged.in_percent else ""
    found = [
        f"Regret is the best accuracy minus the pick's{unit}. It describes this sweep, not the next one."
    ]
    if near is not None and near > 1:
        found.append(
            f"The oracle itself cannot tell {near} of {group.judged.configurations} configurations from the"
            " best (two standard errors of its test images)."
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
    if (tied := len(group.ranked.tie_set)) > 1:
        cheapest = f"{tied} runs are tied: take the cheapest of them, or train them with"
        steps.append(Step(f"{cheapest} further seeds and compare the means."))
    if group.judged is None and group.late is None:
        settle = [line.replace("`", "") for line in group.opinions.settle if group.opinions.others]
        steps.append(Step(*_label_some(settle, choice, report)))
        steps += [Step(f"To settle which metric is right, {line}.") for line in settle[1:]]
    if group.judged and group.judged.configurations > 1 and (reason := group.judged.repetition_reason):
        text = f"Find out what other seeds would change. {reason[0].upper()}{reason[1:]}."
        steps.append(Step(text, _further_seeds(group.judged)))
    best = ["selector", "best", *map(printable, choice)]
    steps.append(Step("Take the hyperparameters:", shlex.join([*best, "--output", "best.yaml"])))
    steps.append(Step("Take the encoder:", shlex.join([*best, "--export", "best"])))
    if command_line(group.pick):
        steps.append(Step("Train the pick longer or with another seed: change the command above."))
    return steps


def _further_seeds(judged: RegretGroup) -> str:
    """What trains the missing ones, a line each; "" where there is no command, or seeds would not help."""
    lines = []
    for run, seeds in judged.seeds_to_train if judged.in_percent else ():
        if command := command_line(replace(run, config={**run.config, "seed": 0})):
            numbers = " ".join(map(str, seeds))
            lines.append(f"for seed in {numbers}; do {printable(command)} --seed=$seed; done")
    return "\n".join(lines)


def _label_some(settle: Sequence[str], choice: Sequence[str], report: Report) -> tuple[str, str]:
    """Labels that come later settle it: how many, and the command that asks them."""
    text = "Label a few hundred images, one sub-folder of DIR per class, to find out which runs are good."
    if settle:
        text = f"To settle which metric is right, {settle[0]}."
    if report.ranking.milestone != "last":
        return text, ""  # judge probes the last checkpoints
    judge = shlex.join(["selector", "judge", *map(printable, choice), "--labelled", "DIR", "--json"])
    return (
        f"{text} selector report --judged judged.json adds the answer to this page.",
        f"{judge} > judged.json",
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
