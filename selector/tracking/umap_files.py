"""The UMAP points of a milestone beside a run's checkpoints: for pictures, never read by a metric."""

import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selector.files import write_whole
from selector.metrics.arrays import Embeddings

MOST_POINTS = 1000
MOST_BYTES = 1_000_000  # train.py writes some kilobytes; what is larger is not its file
_NAME = re.compile(r"umap-(\d{1,9})\.npz")


def write_umap(folder: Path, epoch: int, points: NDArray[np.float32], images: Embeddings) -> Path:
    """Writes umap-<epoch>.npz: up to 1,000 evaluation images at even distances, the same at every milestone.

    `points` are (N, 3); `images` are the embeddings that they are of. Labels, if any, colour the picture.
    """
    shown = np.linspace(0, len(points) - 1, min(MOST_POINTS, len(points))).round().astype(int)
    arrays = {"points": points[shown].astype(np.float32)}
    if images.labels is not None:
        arrays["labels"] = images.labels[shown].astype(np.int32)
    path, buffer = folder / f"umap-{epoch:04d}.npz", io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_whole(path, buffer.getbuffer())
    return path


@dataclass(frozen=True)
class UmapPoints:
    """UMAP points of one milestone.

    Attributes:
        epoch: Epochs trained.
        points: (N, 3).
        labels: (N,) classes, or None.
    """

    epoch: int
    points: NDArray[np.float32]
    labels: NDArray[np.int32] | None


def read_umap_files(folder: Path) -> list[UmapPoints]:
    """All milestones of a run's folder by epoch. Damaged files are passed over; none can execute anything."""
    found = []
    try:
        paths = [path for path in sorted(folder.glob("umap-*.npz")) if path.is_file()]
    except (OSError, ValueError):  # the folder's name comes from the run: too long, or with a NUL
        return []
    for path in paths:
        name = _NAME.fullmatch(path.name)
        if name and path.stat().st_size <= MOST_BYTES:
            points = _read(path, int(name[1]))
            found += [points] if points else []
    return sorted(found, key=lambda points: points.epoch)


def _read(path: Path, epoch: int) -> UmapPoints | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            # A few kilobytes of zeros, packed, can unpack to gigabytes.
            if sum(member.file_size for member in arrays.zip.infolist()) > MOST_BYTES:
                return None
            points = np.asarray(arrays["points"], np.float32)
            labels = np.asarray(arrays["labels"], np.int32) if "labels" in arrays else None
    except Exception:  # whatever the readers of zip, deflate and NumPy's headers meet in damaged bytes
        return None
    sound = points.ndim == 2 and points.shape[1] == 3 and len(points) > 1 and np.isfinite(points).all()
    if not sound or (labels is not None and labels.shape != points.shape[:1]):
        return None
    return UmapPoints(epoch, points, labels)
