"""What choosing takes: how many images a metric needs, and how many seconds. Tables from stored records."""

import json
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from statistics import fmean

import numpy as np
from cells import number, points, row
from numpy.typing import NDArray

from selector.metrics.metrics import METRICS, LabelFreeMetric
from selector.selection.consensus import CONSENSUS, PARTS
from selector.selection.correlation import average_ranks, spearman
from selector.selection.regret import RegretGroup

# run → (N, draw) → metric → value
Measured = dict[str, dict[tuple[int, int], dict[str, float]]]


def read_images(records: Path, study: str) -> Measured:
    """What benchmarks/images_needed.py measured of a study's runs, those with other seeds included."""
    measured: Measured = {}
    for file in sorted((records / "images").glob(f"{study}*.json")):
        content = json.loads(file.read_text("utf-8"))
        for run, rows in content["runs"].items():
            named = [dict(zip(content["columns"], values, strict=True)) for values in rows]
            measured[run] = {
                (int(one.pop("n")), int(one.pop("draw"))): {k: float(v) for k, v in one.items()}
                for one in named
            }
    return measured


def images(groups: Mapping[str, RegretGroup], records: Path) -> Iterator[str]:
    """Regret by the number of images, and how well their ranking agrees with that by all images."""
    found = [(group, read_images(records, study)) for study, group in groups.items()]
    known = [(group, measured) for group, measured in found if measured]
    sizes = sorted({size for _, measured in known for rows in measured.values() for size, _ in rows})
    yield row(["chosen by", *(f"{size:,}" for size in sizes)])
    yield "|---|" + "---|" * len(sizes)
    for metric in (CONSENSUS, *METRICS):
        if not isinstance(metric, LabelFreeMetric) or metric.name in ("lidar", "alignment"):
            continue
        cells = []
        for size in sizes:
            pairs = [by_draw(metric, size, group, measured) for group, measured in known]
            draws = [fmean(cost for cost, _ in draw) for draw in zip(*pairs, strict=True)]
            spread = f" ({points(min(draws))}–{points(max(draws))})" if len(draws) > 1 else ""
            rhos = [rho for some in pairs for _, rho in some if rho is not None]
            agreement = f", ρ {number(fmean(rhos))}" if rhos and size != sizes[-1] else ""
            cells.append(points(fmean(draws)) + spread + agreement)
        yield row([f"`{metric.name}`", *cells])


def by_draw(
    metric: LabelFreeMetric, size: int, group: RegretGroup, measured: Measured
) -> list[tuple[float, float | None]]:
    """For each draw of N images: expected regret of the choice, and Spearman's ρ with all images' values."""
    judged = [one for one in group.judged if one.run.id in measured]
    quality = np.array([one.quality for one in judged])
    method = str(group.judged[0].run.config["method"])
    keys = next(iter(measured.values()))
    (all_images,) = [key for key in keys if key[0] == max(n for n, _ in keys)]

    def scores(key: tuple[int, int], metric: LabelFreeMetric = metric) -> NDArray[np.float64]:
        if metric is CONSENSUS:
            ranks: NDArray[np.float64] = np.mean([average_ranks(scores(key, part)) for part in PARTS], axis=0)
            return ranks
        sign = 1 if metric.direction_in(method) == "max" else -1
        values = [sign * measured[one.run.id][key].get(metric.name, np.nan) for one in judged]
        return np.array([value if isfinite(value) else -np.inf for value in values])

    reference, pairs = scores(all_images), []
    for key in sorted(key for key in keys if key[0] == size):
        some = scores(key)
        both = np.isfinite(some) & np.isfinite(reference)
        cost = float(quality.max() - quality[some == some.max()].mean())
        pairs.append((cost, spearman(some[both], reference[both])))
    return pairs


def cost(records: Path, titles: Mapping[str, str]) -> Iterator[str]:
    """Processor seconds a run: median, least and most."""
    seconds: dict[str, dict[str, Sequence[float]]] = json.loads(
        (records / "cost" / "digits.json").read_text()
    )
    methods = list(seconds)
    yield "| step | " + " | ".join(titles[method] for method in methods) + " | labels needed |"
    yield "|---|" + "---|" * (len(methods) + 1)
    for step in seconds[methods[0]]:
        figures = [seconds[method][step] for method in methods]
        cells = [f"{median:.2f} ({least:.2f}–{most:.2f})" for median, least, most in figures]
        labels = "1,437 + 360" if step.startswith("probe") else "none"
        yield row([step, *cells, labels])
