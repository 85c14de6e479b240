"""The UMAP points of a milestone beside the run's checkpoints: for pictures, never read by a metric."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selector.files import write_whole
from selector.metrics.embeddings import Embeddings

MOST_POINTS = 1000


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
