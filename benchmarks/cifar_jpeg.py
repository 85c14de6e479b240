"""Writes CIFAR-10 as JPEG files to data/cifar10-jpeg, which the CIFAR-10 sweeps of sweeps/evidence read.

python benchmarks/cifar_jpeg.py        downloads CIFAR-10 (170 MB) to data/ first, if it is not there

The files are train/<class>/0000.jpg and so on, and test/<class>/. The quality is Pillow's default, 75: the
files that the evidence was made from have its quantization tables.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

DATA = Path(__file__).parents[1] / "data"


def main() -> None:
    from torchvision.datasets import CIFAR10

    for split in ("train", "test"):
        images = CIFAR10(DATA, train=split == "train", download=True)
        write(images, images.classes, DATA / "cifar10-jpeg" / split)


def write(images: Iterable[tuple[Image.Image, int]], classes: Sequence[str], folder: Path) -> None:
    """One folder per class; the images of a class are numbered in the order in which they come."""
    numbers: Counter[int] = Counter()
    for image, label in images:
        file = folder / classes[label] / f"{numbers[label]:04}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file)
        numbers[label] += 1


if __name__ == "__main__":
    main()
