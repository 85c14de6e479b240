"""What the footnotes of Table I say about chance, simulated: stars of unrelated series, and coverage.

python benchmarks/chance.py        about two minutes on one core
"""

from itertools import product

import numpy as np
from compare import head, row

from selector.paper.association import Floats, block_length, percentile_interval, resampled_pearson
from selector.selection.correlation import pearson_test

MILESTONES = (17, 50)
WALKS, SERIES = 10_000, 1_000
WARM_UP = 50  # steps before an autoregressive series counts, so that its start is forgotten


def share_of_stars(milestones: int, walks: int = WALKS) -> float:
    """How often p < 0.05 for a random walk beside 1 - exp(-5 t), t from 0 to 1; steps are standard normal."""
    steps = np.random.default_rng(0).standard_normal((walks, milestones))
    curve = 1 - np.exp(-5 * np.linspace(0, 1, milestones))
    tests = (pearson_test(walk, curve) for walk in steps.cumsum(axis=1))
    return float(np.mean([test.p_value < 0.05 for test in tests]))


def coverage(milestones: int, memory: float, correlation: float, series: int = SERIES) -> float:
    """How often the interval of Table I holds the true correlation of two AR(1) series of one memory."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((WARM_UP + milestones, 2, series))
    for t in range(1, len(noise)):
        noise[t] += memory * noise[t - 1]
    one, other = noise[WARM_UP:].transpose(1, 2, 0)
    other = correlation * one + np.sqrt(1 - correlation**2) * other
    pairs = zip(one, other, strict=True)
    return float(np.mean([holds(x, y, correlation, str(place)) for place, (x, y) in enumerate(pairs)]))


def holds(x: Floats, y: Floats, correlation: float, name: str) -> bool:
    """Whether the interval, drawn as Table I draws it, has the true correlation in it."""
    interval = percentile_interval(resampled_pearson(x, y, block_length(x, y), name))
    return interval is not None and interval[0] <= correlation <= interval[1]


def main() -> None:
    print(f"{head('milestones', 'stars of random walks')}")
    for milestones in MILESTONES:
        print(row(milestones, f"{share_of_stars(milestones):.0%}"))
    print("\n" + head("milestones", "memory", "true correlation", "95 % intervals that hold it"))
    for case in product((16, 30, 50), (0.0, 0.4, 0.8), (0.0, 0.6)):
        print(row(*case, f"{coverage(*case):.0%}"), flush=True)


if __name__ == "__main__":
    main()
