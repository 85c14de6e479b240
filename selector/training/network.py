"""What all methods share: encoder, views, optimiser, and seeds that an interruption cannot move."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightly.models import ResNetGenerator
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler
from torchmetrics import MeanMetric

from selector.config import TrainConfig, own_values
from selector.training.batch_norm import share_statistics
from selector.training.data import ImageSplits
from selector.training.methods import method_named
from selector.training.processes import mean_over_processes, world_size
from selector.training.views import Views

# Of the GPU's free memory; the rest is for the network, its activations and the views.
_SHARE = 0.5
# Two views of a batch, row by row of the same images → the loss of the pairs.
Loss = Callable[[Tensor, Tensor], Tensor]


class Network(pl.LightningModule):
    """An encoder in training; the method named in its configuration gives it heads and a loss.

    Attributes:
        backbone: (B, 3, S, S) normalised images → (B, D) representations.
        projection_head: (B, D) → (B, projector_dim) embeddings, what the loss reads.
        prediction_head: (B, projector_dim) → the same shape, of methods that have one.
    """

    projection_head: nn.Module
    prediction_head: nn.Module
    key_backbone: nn.Module
    key_projection_head: nn.Module
    criterion: nn.Module

    def __init__(self, config: TrainConfig, images: ImageSplits) -> None:
        """Build the encoder and the heads with weights drawn from `config.seed`."""
        super().__init__()
        self.train_config = config
        own = own_values(config)
        torch.manual_seed(config.seed)
        self.backbone, self.backbone_dim = build_backbone(config)
        if own.get("batch_norm_splits", 1) == 1:  # SplitBatchNorm views its groups as channels first
            # Quicker convolutions: by a fifth on CPUs, and with bf16 on GPUs. Images follow the weights.
            self.backbone.to(memory_format=torch.channels_last)
        self.views = Views(config, images.train.pixels)
        # The images live where the model lives, if they can: then only indices travel each step.
        self.pixel_range = images.pixel_range
        self.images = images.train.pixels
        if config.device == "cpu" or fit_on_gpu(images.train.pixels):
            self.register_buffer("pixels", images.train.pixels, persistent=False)
        # Kept in checkpoints: the mean of an epoch that was interrupted is that of all of its steps.
        self.epoch_loss = MeanMetric(nan_strategy="disable")
        self.epoch_loss.persistent(True)
        self.loss: Loss = method_named(config.method).build(self, **own)

    def project(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) normalised images → (B, projector_dim)."""
        projected: Tensor = self.projection_head(self.backbone(images))
        return projected

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """The criterion in float32, whatever the precision of the network: exp(·/temperature) needs it."""
        with torch.autocast(self.device.type, enabled=False):
            return self.criterion(a.float(), b.float())  # type: ignore[no-any-return]

    def setup(self, stage: str) -> None:  # noqa: ARG002
        """Where several processes train, let their batches be one to BatchNorm; then compile, if asked to."""
        if self.trainer.world_size > 1:
            share_statistics(self, self.trainer.strategy.root_device)
        if self.train_config.compile:
            for name, part in self.named_children():
                if name.endswith("backbone"):  # a momentum encoder is one, too
                    part.compile()  # in place: names in checkpoints stay

    def on_train_epoch_start(self) -> None:
        """Not called where a run goes on in the middle of an epoch."""
        self.epoch_loss.reset()

    def training_step(self, batch: Tensor) -> Tensor:
        """One step of gradient descent on a batch of images, or on those at its indices."""
        # A step's augmentations are drawn from (seed, step): a resumed run draws the same ones, and so does
        # each of several processes, which then takes those of its own images.
        entropy = np.random.SeedSequence([self.train_config.seed, self.global_step, 0])
        torch.manual_seed(int(entropy.generate_state(1, np.uint64)[0]))
        view_a, view_b = self.views(self.pixels[batch] if self._resident else batch)
        loss = self.loss(view_a, view_b)
        self.epoch_loss.update(mean_over_processes(loss.detach()))
        self.log("train/loss", self.epoch_loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def train_dataloader(self) -> DataLoader[Any]:
        """Images in an order drawn from (seed, epoch), or their indices; the last, smaller batch is dropped.

        Images that do not live on the GPU are gathered and pinned ahead of their step.
        """
        indices: Any = range(len(self.images))
        batch_size, order = self.train_config.batch_size // world_size(), _Order(self, indices)
        ahead: dict[str, Any] = {}
        if not self._resident:
            ahead = {
                "collate_fn": partial(_gathered, self.images),
                "num_workers": _loader_workers(),
                "persistent_workers": True,
                "prefetch_factor": 4,
                "pin_memory": torch.cuda.is_available(),
            }
        return DataLoader(indices, batch_size, sampler=order, drop_last=True, **ahead)

    @property
    def _resident(self) -> bool:
        return hasattr(self, "pixels")

    def configure_optimizers(self) -> dict[str, Any]:
        """SGD with a one-cycle learning rate and cyclic momentum (Xu, Lowe & Trappenberg, III-B)."""
        config = self.train_config
        trained = [p for p in self.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(
            trained, config.learning_rate, momentum=config.momentum_max, weight_decay=config.weight_decay
        )
        steps = int(self.trainer.estimated_stepping_batches)
        # torch divides by the length of the warm-up less one step.
        one_step = config.warmup_fraction * steps == 1
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=config.learning_rate,
            total_steps=steps,
            pct_start=config.warmup_fraction * (1 + 1e-9) if one_step else config.warmup_fraction,
            base_momentum=config.momentum_min,
            max_momentum=config.momentum_max,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what was asked for beside the weights, as plain values that load with weights_only."""
        checkpoint["train_config"] = dataclasses.asdict(self.train_config)
        checkpoint["pixel_range"] = list(map(float, self.pixel_range))


class _Order(DistributedSampler[int]):
    """Rows i, i + world, … of an epoch's order for process i, without those that are trained on already.

    A run that was interrupted in the middle of an epoch goes on with the next batch.
    """

    def __init__(self, network: Network, images: Any) -> None:
        seed = network.train_config.seed
        super().__init__(images, world_size(), network.global_rank, seed=seed, drop_last=True)
        self.network = network

    def __iter__(self) -> Iterator[int]:
        batch_size = self.network.train_config.batch_size // world_size()
        trained = self.network.global_step - self.epoch * (len(self) // batch_size)
        return islice(super().__iter__(), trained * batch_size, None)


def build_backbone(config: TrainConfig) -> tuple[nn.Module, int]:
    """The encoder and its number of outputs D.

    3x3 stem and no max-pool, as SimCLR uses ResNet-18 for CIFAR-10 (Chen et al. 2020, appendix B.9).
    MoCo-v2's `batch_norm_splits` normalise each part of a batch alone, as its 8 GPUs would: without that,
    query and key of an image share batch statistics, which give the pair away (He et al. 2020, section 3.3).
    """
    splits = own_values(config).get("batch_norm_splits", 0)
    resnet = ResNetGenerator(config.backbone, config.backbone_width, num_splits=splits)
    if (channels := config.channels or 3) != 3:
        wide = resnet.conv1
        resnet.conv1 = nn.Conv2d(channels, wide.out_channels, 3, wide.stride, wide.padding, bias=False)
    stages = [resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4]
    # Lightly's own pooling wants 32 px images; averaging over all positions takes any size.
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten(1)]
    backbone = nn.Sequential(resnet.conv1, resnet.bn1, nn.ReLU(inplace=True), *stages, *pool)
    return backbone, resnet.linear.in_features


def fit_on_gpu(pixels: Tensor) -> bool:
    """Whether a data set's images may live on this process's GPU; yes where there is no GPU."""
    if not torch.cuda.is_available():
        return True
    free, _ = torch.cuda.mem_get_info()
    return pixels.nbytes <= _SHARE * free


def _gathered(pixels: Tensor, rows: list[int]) -> Tensor:
    """The images of a batch."""
    return pixels[torch.as_tensor(rows)]


def _loader_workers() -> int:
    """Processes that gather batches: two keep ahead of any GPU, and a core is left for the step itself."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(2, cores - 1))
