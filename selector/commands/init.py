"""`selector init`: a sweep file sized for a folder of images and for this machine."""

import os
import shutil
from collections import Counter
from pathlib import Path
from statistics import median

from selector.errors import UserError
from selector.machine import usable_cores

_MOST_JOBS = 8  # each of them holds the images in memory
_LOOKED_AT = 100  # images whose size is read


def init(images: Path, /) -> int:
    """Print a sweep file for a folder of images: selector init PHOTOS > photos.yaml.

    It varies what matters most (temperature, learning rate, crops) in twelve runs. It is sized for a
    GPU if there is one, and otherwise for a few cores. `selector sweep photos.yaml --check` explains it.

    Args:
        images: Folder of images, with or without sub-folders for classes; no labels are read.
    """
    if not images.is_dir():
        raise UserError(f"there is no folder {str(images)!r}; name the folder with the images")
    from selector.training.datasets.folder import image_paths, readable

    found = sorted(image_paths(images, readable()[1], Counter()))
    if len(found) < 20:
        raise UserError(f"{str(images)!r} holds {len(found)} images; a sweep needs at least 20")
    print(sweep_for(images, len(found), _median_side(found), _gpu(), usable_cores()), end="")
    return 0


def sweep_for(folder: Path, count: int, side: int, gpu: bool, cores: int) -> str:
    """The sweep file.

    Args:
        folder: The folder with the images.
        count: How many there are; a fifth is held out for evaluation.
        side: Median of their shorter sides in pixels.
        gpu: Whether a GPU trains them; then one run at a time uses it, with all cores.
        cores: Of the machine. Small networks gain more from several runs than from several threads.
    """
    largest = 96 if gpu else 48
    size = max(24, min(side, largest) // 8 * 8)
    training = count * 4 // 5
    batch = max(8, min(512 if gpu else 128, 2 ** ((training // 4).bit_length() - 1)))
    steps = 20_000 if gpu else 1_500
    epochs = max(10, min(1000, round(steps / max(1, training // batch) / 10) * 10))
    backbone, width = ("resnet-18", 1.0) if gpu else ("resnet-9", 0.25)
    jobs = 1 if gpu else min(cores, _MOST_JOBS)
    several = f" --jobs {jobs}" if jobs > 1 else ""
    classes = sum(path.is_dir() and not path.name.startswith(".") for path in folder.iterdir())
    clusters = classes if 2 <= classes <= 100 else 10
    return f"""\
# A sweep over {count} images of about {side} pixels, for a machine with{"" if gpu else "out"} a GPU.
#
#     selector sweep THIS_FILE --check{several}   says what it does, and how long it takes
#     selector sweep THIS_FILE --directory out{several}   on other machines too: they share the work
#     selector rank out
program: train.py
name: {_quoted(folder.resolve().name)}
method: grid
metric:
  name: label_free/pretext_score
  goal: maximize
parameters:
  method: {{value: simclr}}
  dataset: {{value: folder}}
  data_dir: {{value: {_quoted(str(folder.resolve()))}}}
  labels: {{value: false}}
  skip_bad_images: {{value: true}}
  clusters: {{value: {clusters}}} # kinds of images that you expect
  image_size: {{value: {size}}}
  backbone: {{value: {backbone}}}
  backbone_width: {{value: {width}}}
  projector_hidden: {{value: {2048 if gpu else 256}}}
  projector_dim: {{value: {128 if gpu else 64}}}
  batch_size: {{value: {batch}}}
  # Jobs times threads should be at most the {cores} cores of this machine: with more, runs wait for each
  # other. The last digits of results depend on the number of threads, so it is the same for all runs.
  threads: {{value: {cores // jobs}}}
  epochs: {{value: {epochs}}}
  milestone_every: {{value: {epochs // 5}}}
  temperature: {{values: [0.1, 0.2, 0.5]}}
  learning_rate: {{values: [0.1, 0.4]}}
  crop_scale_min: {{values: [0.08, 0.3]}}
"""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _median_side(files: list[Path]) -> int:
    from PIL import Image

    sides = []
    for path in files[:: max(1, len(files) // _LOOKED_AT)]:
        try:
            with Image.open(path) as image:
                sides.append(min(image.size))
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
    if not sides:
        raise UserError("no image could be read; is this the right folder?")
    return round(median(sides))


def _gpu() -> bool:
    return shutil.which("nvidia-smi") is not None and os.environ.get("CUDA_VISIBLE_DEVICES") != ""
