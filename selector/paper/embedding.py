"""Images → the embeddings of a frozen pretrained encoder, block by block, each kept on disk."""

import re
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resize

from selector.paper.cache import EmbeddingCache, digest_of
from selector.paper.models import Preprocessing, PretrainedModel
from selector.time_left import TimeLeft

BLOCK_BATCHES = 10  # batches a file of the cache: what an interruption can cost

Progress = Callable[[str], None]


class Embedder:
    """One model; its network is built when an image is met that the cache does not know."""

    def __init__(
        self,
        model: PretrainedModel,
        cache: EmbeddingCache,
        batch_size: int,
        device: torch.device,
        progress: Progress,
    ) -> None:
        """`progress` is told what is being embedded."""
        self.model, self.cache, self.batch_size = model, cache, batch_size
        self.device, self.progress = device, progress
        self.group = re.sub(r"[^\w.-]", "_", model.name) + "-" + re.sub(r"[^\w.-]", "_", model.digest)
        self._network: nn.Module | None = None

    @property
    def augmented_group(self) -> str:
        """Where the cache holds what only the paper's probe reads, until that probe is done."""
        return f"augmented-{self.group}"

    def embed(self, pixels: Tensor, what: str, augmented: bool = False) -> NDArray[np.float32]:
        """(N, 3, S, S) uint8 images → (N, D) float32 embeddings."""
        blocks: list[NDArray[np.float32]] = []
        done, clock = 0, TimeLeft()
        for images in torch.split(pixels, self.batch_size * BLOCK_BATCHES):
            blocks.append(self._block(images, self.augmented_group if augmented else self.group))
            done += len(images)
            speed = f"{clock.rate(done):.0f} images/s{clock.after(done, len(pixels))}"
            self.progress(f"{self.model.name}: {what}, {done} of {len(pixels)}, {speed}")
        return np.concatenate(blocks)

    def forget_augmented(self) -> None:
        """Free the space of what only the probe read."""
        self.cache.drop(self.augmented_group)

    def _block(self, images: Tensor, group: str) -> NDArray[np.float32]:
        key = self.model.identity | {"images": digest_of(images)}
        block = self.cache.load_block(group, key)
        if block is None:
            block = self._encode(images)
            self.cache.store_block(group, key, block)
        return block

    @torch.inference_mode()
    def _encode(self, images: Tensor) -> NDArray[np.float32]:
        if self._network is None:
            self._network = self.model.build().to(self.device)
        network = self._network
        batches = [
            network(preprocess(batch.to(self.device), self.model.preprocessing)).flatten(1).float().cpu()
            for batch in torch.split(images, self.batch_size)
        ]
        return torch.cat(batches).numpy()


def preprocess(images: Tensor, wanted: Preprocessing) -> Tensor:
    """(B, 3, S, S) uint8 → (B, 3, R, R) float32, scaled to the model's resolution and normalised."""
    scaled = images.float() / 255
    if scaled.shape[-1] != wanted.resolution:
        mode = InterpolationMode(wanted.interpolation)
        scaled = resize(scaled, [wanted.resolution] * 2, interpolation=mode, antialias=True)
        scaled = scaled.clamp(0, 1)  # bicubic overshoots at edges
    mean, std = (torch.tensor(v, device=images.device).view(1, -1, 1, 1) for v in (wanted.mean, wanted.std))
    return (scaled - mean) / std
