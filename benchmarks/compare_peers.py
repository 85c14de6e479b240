"""Our label-free metrics and those of other PyPI packages on the same arrays, each difference explained.

The peers need dependencies that the project does not, so they live in an environment of their own:

    uv venv --python 3.11 /tmp/peers
    uv pip install --python /tmp/peers/bin/python reptrix==0.1.0 stable-pretraining==0.1.8 \
        scikit-dimension==0.5.0 lightly==1.6.0
    PYTHONPATH=. /tmp/peers/bin/python benchmarks/compare_peers.py

Each row holds our value, the peer's, and the peer's *definition* computed from our parts. The last two must
agree: then the definition is all that differs. Exit status 1 where they do not, to the digits of the
peer's own arithmetic.
"""

import contextlib
import io
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
import skdim
import torch
from lightly.loss.hypersphere_loss import HypersphereLoss
from lightly.utils.debug import std_of_l2_normalized
from numpy.typing import NDArray
from reptrix.alpha import get_alpha
from reptrix.lidar import get_lidar
from reptrix.rankme import get_rankme
from reptrix.utils import get_eigenspectrum
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from stable_pretraining.callbacks import lidar as spt_lidar
from stable_pretraining.callbacks import rankme as spt_rankme

from selector.metrics import alignment, uniformity
from selector.metrics.clid import twonn
from selector.metrics.geometry import channel_std
from selector.metrics.spectral import alpha_req, condition_number, nesum, rankme
from selector.metrics.spectrum import Spectrum, spectrum_of
from selector.metrics.views import lidar

Array = NDArray[np.float32]
PACKAGES = ("reptrix", "stable-pretraining", "scikit-dimension", "lightly")


@dataclass(frozen=True)
class Row:
    """One comparison; `restated` is the peer's definition computed from our parts."""

    metric: str
    peer: str
    array: str
    ours: float
    theirs: float
    restated: float
    tolerance: float
    why: str

    @property
    def explained(self) -> bool:
        if np.isinf(self.restated):  # no more than that float32 cannot hold it
            return self.theirs > 1 / np.finfo(np.float32).eps
        return bool(np.isclose(self.restated, self.theirs, rtol=self.tolerance))


def embeddings() -> dict[str, Array]:
    """Arrays on which the definitions part: centred or not, even or steep, full rank or collapsed."""
    rng = np.random.default_rng(0)
    white = rng.standard_normal((2000, 128))
    decaying = white * np.arange(1, 129) ** -0.6
    digits = load_digits().data / 16
    untrained = np.maximum(digits @ rng.standard_normal((64, 256)), 0)  # an untrained layer on real images
    arrays = {
        "white": white,
        "power law": decaying,
        "power law + offset": decaying + 0.5,
        "rank 8 + noise": white[:, :8] @ rng.standard_normal((8, 128))
        + 0.01 * rng.standard_normal((2000, 128)),
        "digits, ReLU": untrained,
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def views() -> dict[str, Array]:
    """(n, q, D) views: images with a decaying spectrum and images of digits, each under noise."""
    rng = np.random.default_rng(1)
    images = rng.standard_normal((300, 1, 64)) * np.arange(1, 65) ** -0.5
    digits = (load_digits().data[:300, None] / 16) @ rng.standard_normal((64, 64))
    noise = rng.standard_normal((300, 10, 64))
    arrays = {"views, power law": images + 0.3 * noise, "views, digits": digits + noise}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def effective_rank(weights: NDArray[np.float64], eps: float) -> float:
    p = weights / weights.sum() + eps
    return float(np.exp(-(p * np.log(p)).sum()))


def spectral_rows(name: str, array: Array) -> Iterator[Row]:
    tensor = torch.from_numpy(array)
    spectrum = spectrum_of(array)
    yield Row(
        "RankMe", "reptrix get_rankme", name, rankme(array), get_rankme(tensor),
        effective_rank(spectrum.centred**2, 1e-7), 1e-4,
        "centred, and squares of the singular values (PCA's explained variance)",
    )  # fmt: skip
    logged = spt_logged(tensor)
    yield Row(
        "RankMe", "stable-pretraining RankMe", name, rankme(array), logged["rankme"],
        rankme(array, eps=1e-5), 1e-4, "eps 1e-5 instead of 1e-7, float32",
    )  # fmt: skip
    yield Row(
        "condition number", "stable-pretraining RankMe, verbose", name, condition_number(array),
        logged["rankme/condition_number"], uncentred_condition(spectrum), 1e-2,
        "not centred; float32, in which collapsed dimensions are rounding error",
    )  # fmt: skip
    yield Row(
        "α-ReQ", "reptrix get_alpha", name, alpha_req(array), quietly(lambda: float(get_alpha(tensor)[0])),
        alpha_req(array), 1e-3, "none: ranks 11 to 100, weights 1/j, centred eigenvalues",
    )  # fmt: skip
    ratios = get_eigenspectrum(array)
    yield Row(
        "NESum", "reptrix get_eigenspectrum, Σ over first", name, nesum(array),
        float(ratios.sum() / ratios[0]), nesum(array), 1e-4, "none; neither package has NESum itself",
    )  # fmt: skip


def geometric_rows(name: str, array: Array) -> Iterator[Row]:
    tensor = torch.from_numpy(array)
    yield Row(
        "TwoNN", "scikit-dimension TwoNN", name, twonn(array),
        quietly(lambda: float(skdim.id.TwoNN().fit(array.astype(np.float64)).dimension_)),
        twonn(array), 1e-4, "none",
    )  # fmt: skip
    yield Row(
        "channel std", "lightly std_of_l2_normalized", name, channel_std(array),
        float(std_of_l2_normalized(tensor)), channel_std(array), 1e-4, "none",
    )  # fmt: skip
    spread = HypersphereLoss(t=2.0, lam=1.0)(tensor, tensor).item()
    yield Row(
        "uniformity", "lightly HypersphereLoss, one view twice", name, uniformity(array), spread,
        uniformity(array), 1e-4, "none: its alignment is then 0",
    )  # fmt: skip


def view_rows(name: str, array: Array) -> Iterator[Row]:
    n, q, _ = array.shape
    tensor = torch.from_numpy(array)
    yield Row(
        "LiDAR", "stable-pretraining LiDAR", name, lidar(array), spt_lidar_value(tensor),
        effective_rank(lda_eigenvalues(array, delta=1e-4) + 1e-8, 0.0), 1e-3,
        "eps 1e-8 inside the division, float32",
    )  # fmt: skip
    matrix = reptrix_lda_matrix(array, delta=1e-6)
    yield Row(
        "LiDAR", "reptrix get_lidar", name, lidar(array), get_lidar(tensor, n, q),
        effective_rank(np.linalg.svd(matrix - matrix.mean(axis=0), compute_uv=False) ** 2, 1e-7), 1e-2,
        "PCA of the LDA matrix: its columns centred, its eigenvalues squared; scatters not divided by n, q",
    )  # fmt: skip
    first, second = tensor[:, 0], tensor[:, 1]
    apart = HypersphereLoss(lam=0.0)(first, second).item()
    yield Row(
        "alignment", "lightly HypersphereLoss, lam 0", name, alignment(array[:, :2]), apart,
        alignment(array[:, :2]), 1e-4, "none",
    )  # fmt: skip


def uncentred_condition(spectrum: Spectrum) -> float:
    largest, smallest = spectrum.uncentred[[0, -1]]
    return float(largest / smallest) if smallest else float("inf")


def lda_eigenvalues(array: Array, delta: float) -> NDArray[np.float64]:
    n, q, _ = array.shape
    between, within = scatters(array)
    return np.linalg.eigvalsh(lda_matrix(between / (n - 1), within / (n * (q - 1)), delta)).clip(0)


def reptrix_lda_matrix(array: Array, delta: float) -> NDArray[np.float64]:
    """Its between-image scatter is a sum over images, its within-image scatter a mean over images of sums."""
    between, within = scatters(array)
    return lda_matrix(between, within / len(array), delta)


def scatters(array: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = array.astype(np.float64)
    means = points.mean(axis=1)
    spread = means - means.mean(axis=0)
    views_spread = (points - means[:, None]).reshape(-1, points.shape[2])
    return spread.T @ spread, views_spread.T @ views_spread


def lda_matrix(
    between: NDArray[np.float64], within: NDArray[np.float64], delta: float
) -> NDArray[np.float64]:
    """Sw^(−1/2) Sb Sw^(−1/2) with delta on the diagonal of Sw."""
    eigenvalues, vectors = np.linalg.eigh(within + delta * np.eye(len(within)))
    root = vectors / np.sqrt(eigenvalues) @ vectors.T
    return root @ between @ root


def spt_logged(tensor: torch.Tensor) -> dict[str, float]:
    """What stable-pretraining's RankMe callback logs when its queue holds these embeddings."""
    logged: dict[str, float] = {}
    spt_rankme._spt_log = lambda key, value, **_: logged.__setitem__(key, float(value))
    callback = spt_rankme.RankMe("rankme", "embedding", len(tensor), tensor.shape[1], verbose=True)
    callback._target_queue = SimpleNamespace(data=tensor)
    module = SimpleNamespace(log=logged.__setitem__)
    callback.on_validation_batch_end(SimpleNamespace(global_rank=0), module, {}, {}, 0)
    return logged


def spt_lidar_value(tensor: torch.Tensor) -> float:
    n, q, dimension = tensor.shape
    callback = spt_lidar.LiDAR("lidar", "embedding", n * q, dimension, n_classes=n, samples_per_class=q)
    return float(callback._compute_lidar(tensor.reshape(n * q, dimension))["lidar"])


def quietly(function: Callable[[], float]) -> float:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return function()


def main() -> int:
    from loguru import logger

    logger.remove()  # stable-pretraining reports each call
    rows: list[Row] = []
    for name, array in embeddings().items():
        rows += [*spectral_rows(name, array), *geometric_rows(name, array)]
    for name, array in views().items():
        rows += view_rows(name, array)
    table = Table(title=", ".join(f"{package} {version(package)}" for package in PACKAGES))
    for heading in ("metric", "array", "ours", "peer's", "peer's definition, our parts", "explained"):
        table.add_column(heading)
    peers = sorted({(row.metric, row.peer, row.why) for row in rows})
    for metric, peer, why in peers:
        table.add_section()
        table.add_row(f"[bold]{metric}[/]", f"[bold]{peer}[/]: {why}")
        for row in rows:
            if (row.metric, row.peer) == (metric, peer):
                figures = [f"{value:.6g}" for value in (row.ours, row.theirs, row.restated)]
                table.add_row("", row.array, *figures, "yes" if row.explained else "NO")
    Console(width=150).print(table)
    return 0 if all(row.explained for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
