"""BatchNorm over a batch that several processes share, as if one process had all of it."""

from typing import Any

import torch
import torch.nn.functional as F
from lightly.models.batchnorm import SplitBatchNorm
from torch import Tensor, nn

from selector.training.processes import mean_over_processes, world_size


class SyncedBatchNorm(nn.BatchNorm2d):
    """BatchNorm whose statistics are those of the rows of all processes, each of which has as many.

    torch's SyncBatchNorm does this on GPUs only.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, …) → the same shape, normalised for each channel."""
        if not self.training:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        # Statistics of bf16 in bf16 would be rounded away; torch's own BatchNorm computes them wide, too.
        wide = input.to(self.running_mean.dtype)
        axes, shape = [0, *range(2, input.ndim)], [1, -1] + [1] * (input.ndim - 2)
        mean = _Mean.apply(wide.mean(axes))
        centred = wide - mean.view(shape)
        variance = _Mean.apply(centred.square().mean(axes))
        normalised = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normalised = normalised * self.weight.view(shape) + self.bias.view(shape)
        count = world_size() * input.numel() // input.shape[1]
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            self.num_batches_tracked.add_(1)
        output: Tensor = normalised.to(input.dtype)
        return output


class _Mean(torch.autograd.Function):
    """The mean over processes of as many rows each; the gradient comes from all of them, too."""

    @staticmethod
    def forward(_: Any, own: Tensor) -> Tensor:
        """(C,) of this process → (C,) of all."""
        return mean_over_processes(own)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        """Of this process's rows, in the losses of all processes."""
        return mean_over_processes(gradient)


class SharedSplitBatchNorm(SplitBatchNorm):
    """Lightly's SplitBatchNorm, its groups shared out among the processes.

    Row i of the global batch is in group i mod splits and belongs to process i mod world. Where splits is a
    multiple of world, each process holds splits / world whole groups, the very groups of a single process.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape, each group normalised alone."""
        if not self.training:
            normalised: Tensor = super().forward(input)
            return normalised
        rows, channels, height, width = input.shape
        splits = self.num_splits // world_size()
        # Copies: the gradient wants these as they are, and the buffers change below.
        mean = self.running_mean[: splits * channels].clone()
        var = self.running_var[: splits * channels].clone()
        normalised = F.batch_norm(
            input.view(-1, splits * channels, height, width), mean, var, self.weight.repeat(splits),
            self.bias.repeat(splits), training=True, momentum=self.momentum, eps=self.eps,
        ).view(rows, channels, height, width)  # fmt: skip
        # Only the mean over all groups is ever read, so each process may keep the mean over the processes.
        with torch.no_grad():
            shared = mean_over_processes(torch.stack([mean, var])).repeat(1, world_size())
            self.running_mean.copy_(shared[0])
            self.running_var.copy_(shared[1])
        return normalised


def share_statistics(module: nn.Module, device: torch.device) -> None:
    """Make every BatchNorm below `module` one over all processes, before its parameters have an optimiser."""
    for name, child in module.named_children():
        match child:
            case SplitBatchNorm():
                setattr(
                    module, name, _like(child, SharedSplitBatchNorm(child.num_features, child.num_splits))
                )
            case nn.BatchNorm1d() | nn.BatchNorm2d() if device.type == "cuda":
                synced = nn.SyncBatchNorm.convert_sync_batchnorm(child)  # type: ignore[no-untyped-call]
                setattr(module, name, synced)
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                setattr(module, name, _like(child, SyncedBatchNorm(child.num_features)))
            case _:
                share_statistics(child, device)


def _like(old: nn.BatchNorm1d | nn.BatchNorm2d, new: nn.BatchNorm2d) -> nn.Module:
    """`new` with the settings, parameters and statistics of `old`."""
    if not old.track_running_stats or old.momentum is None:
        raise NotImplementedError(f"{old} keeps no statistics, or averages them in another way")
    new.eps, new.momentum, new.affine = old.eps, old.momentum, old.affine
    new.weight, new.bias = old.weight, old.bias
    new.running_mean, new.running_var = old.running_mean, old.running_var
    new.num_batches_tracked = old.num_batches_tracked
    return new.train(old.training)
