"""What one would have picked without the metric: the figures that its regret has to beat."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite, log
from statistics import fmean
from typing import Any, Literal, get_args

from selector.config import Method, paper_recipe
from selector.runs import Run
from selector.selection.candidates import last_milestone
from selector.selection.hyperparameters import canonical, is_finite_number, smallest_first, swept
from selector.selection.oracle import Judged

LOSS = "train/loss"

BaselineName = Literal["random", "lowest_loss", "default", "last", "oracle"]


@dataclass(frozen=True)
class Baseline:
    """One way to pick a run.

    Attributes:
        name: "random": the mean over all runs; "lowest_loss": the lowest training loss at the last
            milestone; "default": the configuration nearest to the method's recipe; "last": the run that was
            started last; "oracle": the best by labels.
        run: What it picks; None for random, and where it cannot pick.
        accuracy: Of the pick (the mean for random), or None.
        regret: Of the pick (expected for random), or None.
        detail: One line on how or why not.
    """

    name: BaselineName
    run: Run | None
    accuracy: float | None
    regret: float | None
    detail: str


def baselines(judged: Sequence[Judged], default: Mapping[str, Any] | None = None) -> tuple[Baseline, ...]:
    """All baselines for at least one run of one pool.

    Args:
        judged: Runs with their accuracy.
        default: The configuration that a user would have trained without a sweep; None takes the recipe of
            Xu, Lowe & Trappenberg for each run's method.
    """
    judged = in_order(judged)
    best = max(run.quality for run in judged)
    costs = baseline_costs(judged, default)
    mean = Baseline(
        "random",
        None,
        fmean(run.accuracy for run in judged),
        fmean(best - run.quality for run in judged),
        f"expected over {len(judged)} runs",
    )
    picks = [
        _pick("lowest_loss", judged, costs["lowest_loss"], f"no run logged {LOSS}"),
        _pick("default", judged, costs["default"], "no default configuration is known"),
        _pick("last", judged, costs["last"], "the runs do not say when they started"),
        _pick("oracle", judged, costs["oracle"], ""),
    ]
    return (mean, *picks)


def baseline_costs(
    judged: Sequence[Judged], default: Mapping[str, Any] | None = None
) -> dict[BaselineName, dict[str, float]]:
    """What each baseline but "random" takes the least of: run → cost, without the runs that it knows not of.

    Args:
        judged: Runs with their accuracy.
        default: As for `baselines`.
    """
    return {
        "lowest_loss": _losses(judged),
        "default": _distances(judged, default),
        "last": _starts(judged),
        "oracle": {run.run.id: -run.quality for run in judged},
    }


def in_order(judged: Sequence[Judged]) -> list[Judged]:
    """Runs in the order that breaks ties, whatever the order they came in."""
    varied = swept([run.run for run in judged])
    return sorted(judged, key=lambda run: (smallest_first(run.run, varied), run.run.id))


def _pick(name: BaselineName, judged: Sequence[Judged], cost: Mapping[str, float], why_not: str) -> Baseline:
    """The first run with the lowest cost."""
    known = [run for run in judged if run.run.id in cost]
    if not known:
        return Baseline(name, None, None, None, why_not)
    pick = min(known, key=lambda run: cost[run.run.id])
    regret = max(run.quality for run in judged) - pick.quality
    unknown = len(judged) - len(known)
    detail = f"not known of {unknown} of {len(judged)} runs" if unknown else ""
    return Baseline(name, pick.run, pick.accuracy, regret, detail)


def _losses(judged: Sequence[Judged]) -> dict[str, float]:
    rows = {run.run.id: last_milestone(run.run, LOSS) for run in judged}
    losses = {run: row.values.get(LOSS) for run, row in rows.items() if row}
    return {run: loss for run, loss in losses.items() if loss is not None and isfinite(loss)}


def _starts(judged: Sequence[Judged]) -> dict[str, float]:
    """Less the time of a run's first start."""
    return {run.run.id: -run.run.started for run in judged if run.run.started is not None}


def _distances(judged: Sequence[Judged], default: Mapping[str, Any] | None) -> dict[str, float]:
    """Gower's distance of each run to its default: the mean over the swept hyperparameters.

    Numbers are compared by their logarithm where all are positive, as a share of their range; anything
    else is equal (0) or not (1). The seed does not count.

    Source: Gower 1971, A general coefficient of similarity and some of its properties.
    """
    names = [name for name in swept([run.run for run in judged]) if name != "seed"]
    targets = {run.run.id: default or _recipe(run.run) for run in judged}
    if not all(targets.values()):
        return {}
    distances = dict.fromkeys(targets, 0.0)
    for name in names:
        pairs = {r.run.id: (r.run.config.get(name), targets[r.run.id].get(name)) for r in judged}
        for run, distance in _differences(pairs).items():
            distances[run] += distance / len(names)
    return {run: round(distance, 12) for run, distance in distances.items()}  # equal but for rounding: a tie


def _recipe(run: Run) -> dict[str, Any]:
    """The recipe of the run's method, or nothing for a method that has none here."""
    methods: tuple[Method, ...] = get_args(Method)
    known = [method for method in methods if method == run.config.get("method")]
    return asdict(paper_recipe(known[0])) if known else {}


def _differences(pairs: Mapping[str, tuple[Any, Any]]) -> dict[str, float]:
    numbers = [value for pair in pairs.values() for value in pair]
    if not all(map(is_finite_number, numbers)):
        return {run: float(canonical(value) != canonical(default)) for run, (value, default) in pairs.items()}
    scale = log if min(numbers) > 0 else float
    scaled = [scale(number) for number in numbers]
    spread = max(scaled) - min(scaled)
    return {run: abs(scale(a) - scale(b)) / spread if spread else 0.0 for run, (a, b) in pairs.items()}
