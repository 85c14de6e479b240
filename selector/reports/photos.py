"""What looks alike to the pick: nearest neighbours beside those of a rival, where the two disagree most."""

import base64
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selector.errors import UserError
from selector.reports.best import find_checkpoint
from selector.reports.report import GroupReport, Photos, Report
from selector.reports.words import label
from selector.runs import Run

QUERIES = 8
NEIGHBOURS = 6
MOST_IMAGES = 1000
MOST_BYTES = 300_000  # of all thumbnails of a group
_SIDE = 48


@dataclass(frozen=True)
class Disagreement:
    """An image whose nearest neighbours differ between two encoders; all are indices."""

    query: int
    pick: tuple[int, ...]
    rival: tuple[int, ...]


def with_photos(report: Report) -> Report:
    """The report with photos of every group whose checkpoints and images can be read on this machine."""
    return replace(report, groups=tuple(replace(one, photos=_photos(one)) for one in report.groups))


def nearest(features: NDArray[Any], count: int) -> NDArray[np.int64]:
    """(N, count) indices of the nearest other images by cosine similarity, the nearest first."""
    features = np.asarray(features, np.float64)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    directions = features / np.where(lengths > 0, lengths, 1.0)
    similarity = directions @ directions.T
    np.fill_diagonal(similarity, -np.inf)
    return np.argsort(-similarity, axis=1, kind="stable")[:, :count]


def disagreements(pick: NDArray[Any], rival: NDArray[Any]) -> list[Disagreement]:
    """The images whose neighbours the two encoders share least, at most QUERIES.

    Args:
        pick: (N, D) representations by the one encoder.
        rival: (N, E) representations of the same images by the other.
    """
    count = min(NEIGHBOURS, len(pick) - 1)
    first, second = nearest(pick, count), nearest(rival, count)
    shared = [len(np.intersect1d(a, b)) for a, b in zip(first, second, strict=True)]
    queries = np.argsort(shared, kind="stable")[:QUERIES]
    return [Disagreement(int(q), tuple(first[q].tolist()), tuple(second[q].tolist())) for q in queries]


def thumbnails(pixels: NDArray[np.uint8], used: Sequence[int]) -> dict[int, str]:
    """Small pictures as data addresses, coarser where they would exceed MOST_BYTES.

    Args:
        pixels: (N, C, S, S); of other than three channels their mean is shown.
        used: Index of each picture as often as it stands on the page.
    """
    made: dict[int, str] = {}
    for quality in (85, 60, 35, 10):
        made = {i: _thumbnail(pixels[i], quality) for i in set(used)}
        if sum(len(made[i]) for i in used) <= MOST_BYTES:
            break
    return made


def _thumbnail(pixels: NDArray[np.uint8], quality: int) -> str:
    from PIL import Image

    shown = pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels.mean(axis=0).astype(np.uint8)
    image = Image.fromarray(shown)
    image.thumbnail((_SIDE, _SIDE))
    file = BytesIO()
    image.save(file, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _photos(group: GroupReport) -> Photos | None:
    pick = group.pick
    others = [row.chosen for row in group.opinions.rows[1:]] + list(group.runs[1:])
    rivals = [run for run in others if run.id != pick.id and _same_images(run, pick)]
    with suppress(UserError, OSError, ModuleNotFoundError):  # no torch, no images, weights of another version
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
    found = disagreements(*features)
    used = [i for one in found for i in (one.query, *one.pick, *one.rival)]
    small = thumbnails(pixels.numpy(), used)
    return Photos(
        label(pick),
        label(rival),
        f"Of {len(pixels)} evaluation images, those whose neighbours the two share least, each with its"
        f" {NEIGHBOURS} nearest neighbours by cosine similarity of the representations. Judge for yourself"
        " which neighbours belong together.",
        tuple(
            ((small[one.query],), tuple(small[i] for i in one.pick), tuple(small[i] for i in one.rival))
            for one in found
        ),
    )


def _same_images(run: Run, other: Run) -> bool:
    names = ("dataset", "data_dir", "image_size", "channels", "evaluation_images", "holdout")
    return all(run.config.get(name) == other.config.get(name) for name in names)


def _checkpoint(run: Run) -> Path | None:
    found = find_checkpoint(run)
    return found if found is not None and found.is_file() else None
