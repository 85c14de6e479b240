"""What you would have picked without the metric: the figures that its regret has to beat."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log
from statistics import fmean
from typing import Any, Literal, get_args

from selector.runs import Run
from selector.selection.candidates import final_value
from selector.selection.comparability import canonical, is_finite_number, smallest_first, swept
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
    """All baselines for at least one configuration of one pool.

    Args:
        judged: Configurations with their accuracy.
        default: The configuration that a user would have trained without a sweep; None uses the recipe of
            Xu, Lowe & Trappenberg for each run's method.
    """
    judged = in_order(judged)
    best = max(one.quality for one in judged)
    what = "runs" if all(len(one.runs) == 1 for one in judged) else "configurations"
    mean = Baseline(
        "random",
        None,
        fmean(one.accuracy for one in judged),
        fmean(best - one.quality for one in judged),
        f"expected over {len(judged)} {what}",
    )
    losses = [[final_value(run, LOSS) for run in one.runs] for one in judged]
    starts = [[run.started for run in one.runs if run.started is not None] for one in judged]
    costs: dict[BaselineName, tuple[list[float | None], str]] = {
        "lowest_loss": ([_mean(some) for some in losses], f"no run logged {LOSS}"),
        "default": (_distances(judged, default), "no default configuration is known"),
        "last": ([-max(some) if some else None for some in starts], "the runs do not say when they started"),
        "oracle": ([-one.quality for one in judged], ""),
    }
    return (mean, *(_pick(name, judged, cost, what, why_not) for name, (cost, why_not) in costs.items()))


def unlike_losses(judged: Sequence[Judged]) -> str:
    """One line where the lowest loss compares numbers that measure different things, or ""."""
    from selector.training.methods import METHODS

    runs = [one.run for one in judged]
    varied = sorted({name for one in METHODS.values() for name in one.in_loss} & {*swept(runs)})
    if not varied or all(final_value(run, LOSS) is None for run in runs):
        return ""
    differs = "differs between runs and is" if len(varied) == 1 else "differ between runs and are"
    return f"{' and '.join(varied)} {differs} part of the loss: the lowest loss compares unlike numbers"


def in_order(judged: Sequence[Judged]) -> list[Judged]:
    """Configurations in the order that breaks ties, whatever the order they came in."""
    varied = swept([one.run for one in judged])
    return sorted(judged, key=lambda one: (smallest_first(one.run, varied), one.run.id))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _pick(
    name: BaselineName, judged: Sequence[Judged], costs: Sequence[float | None], what: str, why_not: str
) -> Baseline:
    """The first with the lowest cost."""
    known = [(cost, one) for cost, one in zip(costs, judged, strict=True) if cost is not None]
    if not known:
        return Baseline(name, None, None, None, why_not)
    _, pick = min(known, key=lambda pair: pair[0])
    regret = max(one.quality for one in judged) - pick.quality
    unknown = len(judged) - len(known)
    detail = f"not known of {unknown} of {len(judged)} {what}" if unknown else ""
    return Baseline(name, pick.run, pick.accuracy, regret, detail)


def _distances(judged: Sequence[Judged], default: Mapping[str, Any] | None) -> list[float | None]:
    """Gower's distance of each configuration to its default: the mean over the swept hyperparameters.

    Numbers are compared by their logarithm where all are positive, as a share of their range; anything
    else is equal (0) or not (1). The seed does not count.

    Source: Gower 1971, A general coefficient of similarity and some of its properties.
    """
    names = [name for name in swept([one.run for one in judged]) if name != "seed"]
    targets = [default or recipe_of(one.run) for one in judged]
    if not all(targets):
        return [None] * len(judged)
    both = [(one.run.config, target) for one, target in zip(judged, targets, strict=True)]
    columns = [_differences([(own.get(name), target.get(name)) for own, target in both]) for name in names]
    rows = zip(*columns, strict=True) if columns else [()] * len(judged)
    # Rounded: distances that are equal but for the last binary place are a tie.
    return [round(sum(row) / max(1, len(names)), 12) for row in rows]


def recipe_of(run: Run) -> dict[str, Any]:
    """The recipe of the run's method, or nothing for a method that has none here."""
    from selector.config import Method, paper_recipe

    methods: tuple[Method, ...] = get_args(Method)
    known = [method for method in methods if method == run.config.get("method")]
    return asdict(paper_recipe(known[0])) if known else {}


def _differences(pairs: Sequence[tuple[Any, Any]]) -> list[float]:
    numbers = [value for pair in pairs for value in pair]
    if not all(map(is_finite_number, numbers)):
        return [float(canonical(value) != canonical(default)) for value, default in pairs]
    scale = log if min(numbers) > 0 else float
    scaled = [scale(number) for number in numbers]
    spread = max(scaled) - min(scaled)
    return [abs(scale(a) - scale(b)) / spread if spread else 0.0 for a, b in pairs]
