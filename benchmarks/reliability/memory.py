"""Peak memory (resident set) of a milestone evaluation, of reading 1,000 runs, and of RankMe over a stream.

    python benchmarks/reliability/memory.py [--images 50000] [--dimensions 512] [--runs 1000]

Each is measured in a process of its own: the highest resident set, less that after the imports and, for the
milestone, after its embeddings are there and one small milestone has been evaluated. The exit status is 1
where one of them is above its bound: half a MiB a run, 64 MiB for a stream however long, and for a milestone
1 GiB less its embeddings.
"""

import gc
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from trials import options

MIB = 2**20


def main() -> int:
    """Measure, print a row each."""
    asked = options(__doc__, images=50_000, dimensions=512, runs=1000)
    print("| what | above | bound | before | seconds |\n|---|---:|---:|---:|---:|")
    within = [apart(runs, asked.runs)]
    within += [apart(stream, rows, asked.dimensions) for rows in (asked.images, 4 * asked.images)]
    within += [apart(milestone, asked.images, asked.dimensions)]
    return int(not all(within))


def apart(measure: Callable[..., tuple[str, bool]], *arguments: int) -> bool:
    """Run a measurement in a new process and print its row; whether it stayed within its bound."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        row, is_within = pool.submit(measure, *arguments).result()
    print(row, flush=True)
    return is_within


def milestone(images: int, dimensions: int) -> tuple[str, bool]:
    """All metrics of one milestone, without labels, one UMAP seed."""
    from selector.metrics import Embeddings, Inputs, MetricSettings, evaluate

    def embeddings(count: int, space: Any) -> Embeddings:
        rng = np.random.default_rng(0)
        vectors = rng.standard_normal((count, dimensions), dtype=np.float32)
        vectors += 4 * rng.standard_normal((10, dimensions), dtype=np.float32)[np.arange(count) % 10]
        return Embeddings(vectors, None, space, "test" if space == "backbone" else "train")

    def evaluated(backbone: Embeddings, projector: Embeddings, at: Callable[[str], None]) -> None:
        settings = MetricSettings(clusters=10, umap_seeds=1, probe="none")
        evaluate(1, Inputs(backbone, projector, settings), at)

    evaluated(embeddings(1000, "backbone"), embeddings(1000, "projector"), lambda _: None)
    large = embeddings(images, "backbone"), embeddings(images, "projector")
    peak = Peak()
    evaluated(*large, at=peak.at)
    size = sum(one.vectors.nbytes for one in large)
    what = f"a milestone, 2 x {images} x {dimensions} embeddings ({size / MIB:.0f} MiB, not counted)"
    return peak.row(what, 2**30 - size)


def runs(count: int) -> tuple[str, bool]:
    """Reading offline runs of 50 milestones each."""
    from read_offline import copy_runs

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_runs(folder, folder / "wandb", count)
        from selector.tracking.offline import read_offline

        peak = Peak()
        found = read_offline(folder)
        return peak.row(f"reading {len(found.runs)} offline runs of 50 milestones", count * MIB // 2)


def stream(images: int, dimensions: int) -> tuple[str, bool]:
    """RankMe of embeddings that are never in memory together."""
    from selector.metrics import SpectrumSums
    from selector.metrics.spectral import rankme

    def streamed(rows: int) -> float:
        rng = np.random.default_rng(0)
        sums = SpectrumSums()
        for _ in range(0, rows, 1000):
            sums.add(rng.standard_normal((1000, dimensions), dtype=np.float32))
        return rankme(sums.spectrum())

    streamed(2000)
    peak = Peak()
    streamed(images)
    return peak.row(f"RankMe over a stream of {images} x {dimensions}", 64 * MIB)


class Peak:
    """The highest resident set from now on."""

    def __init__(self) -> None:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the kernel's high-water mark starts anew
        self.before, self.start = status("VmRSS"), time.perf_counter()

    def at(self, step: str) -> None:
        """A step begins: what the one before took is told on stderr."""
        above = (status("VmHWM") - self.before) / MIB
        print(f"  before {step!r}: {above:.0f} MiB", file=sys.stderr, flush=True)

    def row(self, what: str, bound: int) -> tuple[str, bool]:
        """The table's row, and whether the peak stayed within so many bytes."""
        above, seconds = status("VmHWM") - self.before, time.perf_counter() - self.start
        sizes = " | ".join(f"{size / MIB:.0f} MiB" for size in (above, bound, self.before))
        return f"| {what} | {sizes} | {seconds:.0f} |", above <= bound


def status(field: str) -> int:
    """Bytes of a field of /proc/self/status."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.split(f"{field}:")[1].split()[0])


if __name__ == "__main__":
    sys.exit(main())
