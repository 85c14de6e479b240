"""Hyperband as W&B's sweeps apply it: which running runs are too bad to go on.

An iteration is one history row that holds the metric as a finite number. At certain iterations (bands) a run
must be among the best 1/eta of all runs that got there. Li et al. 2018, https://arxiv.org/abs/1603.06560, as
simplified in W&B's search engine (PyPI package sweeps 0.3.0), with which the decisions here agree.
"""

from collections.abc import Mapping, Sequence, Set
from itertools import accumulate, islice, repeat, takewhile
from operator import truediv
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from selector.sweeping.located_yaml import Wrong

Iterations = Annotated[int, Field(ge=1, lt=10**9)]


@dataclass(config=ConfigDict(strict=True), frozen=True)
class Hyperband:
    """The settings of `early_terminate`.

    Attributes:
        min_iter: First band; each later one is eta times as far. Ignored where max_iter is given.
        max_iter: Bands are max_iter/eta, max_iter/eta², …: `s` of them.
        s: Number of bands before max_iter.
        eta: A run goes on when it is among the best 1/eta.
        strict: Compare the value at the band, as in the paper; False takes the run's best value so far. The
            default is that of W&B's engine and schema (its documentation says False).
    """

    min_iter: Iterations | None = None
    max_iter: Iterations | None = None
    s: Annotated[float, Field(ge=1, lt=1e9)] | None = None
    # Below 1.01, bands are closer together than iterations for thousands of them.
    eta: Annotated[float, Field(ge=1.01, lt=1e9)] = 3
    strict: bool = True

    def __post_init__(self) -> None:
        if self.max_iter is None and self.min_iter is None:
            raise Wrong("hyperband needs min_iter, or max_iter together with s")
        if self.max_iter is not None and self.s is None:
            raise Wrong("max_iter needs s, the number of brackets before it", "max_iter")
        if not bands(self, longest=10**9):
            raise Wrong("max_iter is below eta: hyperband has nowhere to stop a run", "max_iter")


def bands(settings: Hyperband, longest: int) -> list[int]:
    """Iterations from the first band up to `longest` at which runs are compared, rising."""
    if settings.max_iter is not None and settings.s is not None:
        downward = accumulate(repeat(settings.eta, int(settings.s)), truediv, initial=settings.max_iter)
        reached = takewhile(lambda band: band >= 1, islice(downward, 1, None))
        return sorted(int(band) for band in reached if band < longest + 1)
    found: list[int] = []
    band = float(settings.min_iter or 1)
    while band < longest + 1:
        found.append(int(band))
        band *= settings.eta
    return found


def runs_to_stop(
    histories: Mapping[str, Sequence[float]], running: Set[str], settings: Hyperband, maximize: bool
) -> dict[str, str]:
    """Runs that hyperband ends, each with the reason in one line.

    Args:
        histories: Run id → finite values of the metric in the order logged, of all runs, ended ones too.
        running: Ids of the runs that could be stopped.
        settings: Bands and strictness.
        maximize: True where a higher metric is better.
    """
    sign = -1 if maximize else 1
    losses = {run: [sign * value for value in history] for run, history in histories.items() if history}
    stopped: dict[str, str] = {}
    for run in sorted(running & losses.keys()):
        loss = losses[run]
        passed = bands(settings, len(loss))
        if not passed:
            continue
        band = passed[-1]
        threshold = _threshold([other[band - 1] for other in losses.values() if len(other) >= band], settings)
        value = loss[band - 1] if settings.strict else min(loss)
        if value > threshold:
            reached = f"{'value' if settings.strict else 'best value'} {sign * value:.6g}"
            stopped[run] = f"hyperband at iteration {band}: {reached} is worse than {sign * threshold:.6g}"
    return stopped


def _threshold(band_losses: Sequence[float], settings: Hyperband) -> float:
    return sorted(band_losses)[int(1 / settings.eta * len(band_losses))]
