"""What a result says, as rows: the terminal, the page, W&B and its charts draw these and compute nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

from selector.errors import UserError
from selector.metrics import LabelFreeMetric, LabelledMetric
from selector.reports.words import BASELINES, correlation, label, number, settings_of, share, sparkline
from selector.runs import Run
from selector.selection.ranking import Ranked, RankedGroup
from selector.selection.regret import RegretGroup


@dataclass(frozen=True)
class RankRow:
    """One run, or the seeds of one configuration, in a ranking."""

    ranked: Ranked
    role: str  # "pick", "tied" (with the pick), "best" (by labels) or "run"
    rank: str  # with = where it is tied
    run: str
    score: str  # with its standard error where noise was measured, or its spread over seeds
    training: str  # the score along training as a line of bars; all rows of a group have one scale
    accuracy: float | None  # None where labels did not judge it
    settings: Mapping[str, Any]  # what the sweep varied

    @property
    def hyperparameters(self) -> str:
        """The settings in one line."""
        return settings_of(self.settings)


@dataclass(frozen=True)
class ChoiceRow:
    """What one way of choosing costs, in the oracle's own unit; None where unknown."""

    chosen_by: str  # metric or baseline
    arrow: str  # ↑ or ↓, which way of the metric is better; empty for a baseline
    run: str
    accuracy: float | None
    regret: float | None
    low: float | None = None  # interval of the regret
    high: float | None = None
    spearman: str = ""  # with the oracle, * where p < 0.05
    kendall: str = ""
    percent: bool = True  # whether accuracy and regret are fractions, which people read in percent

    @property
    def is_metric(self) -> bool:
        """Whether a metric chooses, and no baseline."""
        return bool(self.arrow)

    @property
    def cells(self) -> tuple[str, ...]:
        """For a table of text: chosen by, run, accuracy, regret, interval, ρ, τ."""
        ends = (self.low, self.high)
        interval = "–".join(share(end, self.percent) for end in ends) if self.low is not None else "–"
        return (
            f"{self.chosen_by} {self.arrow}".rstrip(),
            self.run or "–",
            share(self.accuracy, self.percent),
            share(self.regret, self.percent),
            interval if self.is_metric else "",
            self.spearman,
            self.kendall,
        )


def rank_rows(group: RankedGroup, key: str, judged: RegretGroup | None = None) -> list[RankRow]:
    """The ranking of one group by the metric of a W&B key, with accuracies where labels judged it."""
    series = [along(place.run, key) for place in group.ranking]
    finite = [value for values in series for value in values if isfinite(value)]
    low, high = min(finite, default=inf), max(finite, default=-inf)
    accuracy = judged.mean_accuracies if judged else {}
    best = {run.id for run in judged.best.runs} if judged else set()
    rows = []
    for place, values in zip(group.ranking, series, strict=True):
        run = place.run
        pick, is_best = run.id == group.chosen.id, run.id in best
        rows.append(
            RankRow(
                ranked=place,
                role="pick" if pick else "best" if is_best else "tied" if place.tied else "run",
                rank=f"{place.rank}{'=' if place.tied else ''}",
                run=label(run),
                score=score_text(place),
                training=sparkline(values, low, high),
                accuracy=accuracy.get(run.id),
                settings={name: run.config.get(name) for name in group.swept},
            )
        )
    return rows


def score_text(ranked: Ranked) -> str:
    """The score with its standard error; of several seeds their mean ± standard deviation, and how many."""
    if ranked.deviation is not None:
        return f"{number(ranked.score)} ±{number(ranked.deviation, 2)} over {len(ranked.runs)}"
    return number(ranked.score) + (f" ±{number(ranked.standard_error, 2)}" if ranked.standard_error else "")


def along(run: Run, key: str) -> list[float]:
    """A logged value at each trained milestone that has it."""
    return [row.values[key] for row in run.trained_milestones if key in row.values]


def choice_rows(group: RegretGroup) -> list[ChoiceRow]:
    """What each metric's choice cost, in their order, then the baselines."""
    percent = group.in_percent
    rows = []
    for one in group.metrics:
        low, high = one.interval or (None, None)
        arrow = {"max": "↑", "min": "↓", None: "–"}[one.direction]
        run = label(one.chosen) if one.chosen else ""
        rho, tau = (
            correlation(c.value) + ("*" if c.p_value is not None and c.p_value < 0.05 else "")
            for c in (one.spearman, one.kendall)
        )
        rows.append(
            ChoiceRow(
                one.metric.name, arrow, run, one.chosen_accuracy, one.regret, low, high, rho, tau, percent
            )
        )
    for baseline in group.baselines:
        run = label(baseline.run) if baseline.run else ""
        name = BASELINES[baseline.name]
        rows.append(ChoiceRow(name, "", run, baseline.accuracy, baseline.regret, percent=percent))
    return rows


def finite(value: float | None) -> float | None:
    """A value, None where it is NaN or infinite."""
    return value if value is not None and isfinite(value) else None


def is_better_high(metric: LabelFreeMetric | LabelledMetric, runs: Sequence[Run]) -> bool:
    """Whether more of it is better among these runs, which have one method."""
    try:
        return metric.direction_in(runs[0].config.get("method")) == "max"
    except UserError:  # nobody knows which way it is for this method: as it is for most
        return metric.direction == "max"
