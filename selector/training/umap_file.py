"""The UMAP points of a milestone beside the run's checkpoints: for pictures, never read by a metric."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selector.metrics.embeddings import Embeddings

MOST_POINTS = 1000


def write_umap(folder: Path, epoch: int, points: NDArray[np.float32], images: Embeddings) -> Path:
    """Writes umap-<epoch>.npz: up to 1,000 evaluation images at even distances, the same at every milestone.

    Args:
        folder: The run's folder.
        epoch: Epochs trained.
        points: (N, 3) UMAP points.
        images: The embeddings that they are of; labels, if there are any, colour the picture.
    """
    shown = np.linspace(0, len(points) - 1, min(MOST_POINTS, len(points))).round().astype(int)
    arrays = {"points": points[shown].astype(np.float32)}
    if images.labels is not None:
        arrays["labels"] = images.labels[shown].astype(np.int32)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"umap-{epoch:04d}.npz"
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    return partial.replace(path)
