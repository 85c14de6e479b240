"""Training images that are too many for the GPU: gathered on the host, ahead of the step that needs them."""

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

# Of the GPU's free memory; the rest is for the network, its activations and the views.
_SHARE = 0.5


def fit_on_gpu(pixels: Tensor) -> bool:
    """Whether a data set's images may live on this process's GPU; yes where there is no GPU."""
    if not torch.cuda.is_available():
        return True
    free, _ = torch.cuda.mem_get_info()
    return pixels.nbytes <= _SHARE * free


class HostImages(Dataset[Tensor]):
    """(N, 3, S, S) uint8 images for a DataLoader, whose workers take a batch of them at once."""

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:
        return self.pixels[index]

    def __getitems__(self, indices: Sequence[int]) -> Tensor:
        """What DataLoader calls for a batch, where there is such a method."""
        return self.pixels[torch.as_tensor(indices)]


def as_list(batch: Any) -> list[Any]:
    """What a batch of indices looks like, too."""
    return [batch]


def loader_workers() -> int:
    """Processes that gather batches: two keep ahead of any GPU, and a core is left for the step itself."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(2, cores - 1))
