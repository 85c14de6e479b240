"""What looks alike to the pick: nearest neighbours beside those of a rival, where the two disagree most."""

import base64
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selector.errors import UserError
from selector.metrics.neighbors import nearest_neighbors
from selector.reports.best import find_checkpoint
from selector.reports.report import GroupReport, Photos, Report
from selector.reports.words import label
from selector.runs import Run

QUERIES = 8
NEIGHBOURS = 6
MOST_IMAGES = 1000
_SIDE, _QUALITY = 48, 75  # of a thumbnail: some 100 of them take 200 kB


def with_photos(report: Report) -> Report:
    """The report with photos of every group whose checkpoints and images can be read on this machine."""
    return replace(report, groups=tuple(replace(one, photos=_photos(one)) for one in report.groups))


def disagreements(pick: NDArray[Any], rival: NDArray[Any]) -> list[tuple[int, list[int], list[int]]]:
    """The images whose nearest neighbours the two encoders share least, at most QUERIES, the least first.

    Args:
        pick: (N, D) representations by the one encoder.
        rival: (N, E) representations of the same images by the other.

    Returns:
        Index of the image, and those of its neighbours by the one and by the other, the nearest first.
    """
    count = min(NEIGHBOURS, len(pick) - 1)
    first, second = (nearest_neighbors(one, count, "cosine")[0] for one in (pick, rival))
    shared = [len(np.intersect1d(a, b)) for a, b in zip(first, second, strict=True)]
    queries = np.argsort(shared, kind="stable")[:QUERIES]
    return [(int(q), first[q].tolist(), second[q].tolist()) for q in queries]


def thumbnail(pixels: NDArray[np.uint8]) -> str:
    """(C, S, S) pixels as the data address of a small picture; of other than three channels their mean."""
    from PIL import Image

    shown = pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels.mean(axis=0).astype(np.uint8)
    image = Image.fromarray(shown)
    image.thumbnail((_SIDE, _SIDE))
    file = BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _photos(group: GroupReport) -> Photos | None:
    pick = group.pick
    others = [row.chosen for row in group.opinions.rows[1:]] + list(group.runs[1:])
    rivals = [run for run in others if run.id != pick.id and _same_images(run, pick)]
    # No torch, no images, weights of another version, or of a run that diverged after its last milestone.
    with suppress(UserError, OSError, ModuleNotFoundError, ValueError):
        for rival in rivals[:3]:
            ours, theirs = _checkpoint(pick), _checkpoint(rival)
            if ours and theirs:
                return _drawn(pick, rival, ours, theirs)
    return None


def _drawn(pick: Run, rival: Run, ours: Path, theirs: Path) -> Photos | None:
    import torch

    from selector.training.data import load_images
    from selector.training.exported import encoder_of
    from selector.training.stored import read_stored

    stored = read_stored(ours)
    pixels = load_images(stored.config).evaluation.pixels[:MOST_IMAGES]
    if len(pixels) < 2:
        return None
    features = []
    for checkpoint in (stored, read_stored(theirs)):
        encode = encoder_of(checkpoint).eval()
        with torch.inference_mode():
            features.append(torch.cat([encode(batch) for batch in torch.split(pixels, 256)]).numpy())
    rows = [([query], by_pick, by_rival) for query, by_pick, by_rival in disagreements(*features)]
    return Photos(
        label(pick),
        label(rival),
        f"Of {len(pixels)} evaluation images, those whose neighbours the two share least, each with its"
        f" {NEIGHBOURS} nearest neighbours by cosine similarity of the representations. Judge for yourself"
        " which neighbours belong together.",
        tuple(tuple(tuple(thumbnail(pixels[i].numpy()) for i in images) for images in row) for row in rows),
    )


def _same_images(run: Run, other: Run) -> bool:
    names = ("dataset", "data_dir", "image_size", "channels", "evaluation_images", "holdout")
    return all(run.config.get(name) == other.config.get(name) for name in names)


def _checkpoint(run: Run) -> Path | None:
    found = find_checkpoint(run)
    return found if found is not None and found.is_file() else None
