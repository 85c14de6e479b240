"""MoCo-v2 (Chen et al. 2020, https://arxiv.org/abs/2003.04297)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from selector.ranges import Count, Momentum, Positive
from selector.training.methods import method

if TYPE_CHECKING:
    from torch import Tensor

    from selector.training.network import Loss, Network


def _uneven_splits(config: Mapping[str, Any]) -> str:
    splits, batch_size = config["batch_norm_splits"], config["batch_size"]
    if batch_size % splits:
        return f"batch_size {batch_size} must be a multiple of batch_norm_splits {splits}"
    if batch_size == splits:
        return (
            f"batch_norm_splits {splits} leave one image per part of the batch ({batch_size}),"
            " which has no variance"
        )
    return ""


@method(
    refuse=_uneven_splits,
    in_loss=("temperature", "queue_size"),
    epochs=800,
    learning_rate=0.06,
    weight_decay=5e-4,
    projector_hidden=2048,
    projector_dim=128,
)
def moco_v2(
    net: "Network",
    *,
    temperature: Positive = 0.1,
    encoder_momentum: Momentum = 0.99,
    queue_size: Count = 4096,
    batch_norm_splits: Count = 8,  # noqa: ARG001 - the backbone is built with it
) -> "Loss":
    """A query finds its own key, made by a slow copy of the encoder, among a queue of older keys.

    Not symmetric, as in the original: in a symmetric loss over one queue, the second half would meet the
    first half's keys, of the same images, as negatives (https://github.com/lightly-ai/lightly/issues/564).
    The recipe is that of Xu et al., section III-B.

    Args:
        net: Gets the heads.
        temperature: Temperature of the InfoNCE loss.
        encoder_momentum: Share of the slow copy of the encoder that each step keeps.
        queue_size: Number of negative keys kept.
        batch_norm_splits: BatchNorm groups per batch, in place of the 8 GPUs of MoCo's shuffled BatchNorm.
    """
    import torch
    from lightly.loss import NTXentLoss
    from lightly.models.modules import MoCoProjectionHead

    from selector.training.momentum import KeyQueue, MomentumEncoder
    from selector.training.processes import all_rows, own_rows

    hidden, width = net.train_config.projector_hidden, net.train_config.projector_dim
    net.projection_head = MoCoProjectionHead(net.backbone_dim, hidden, width)
    slow = MomentumEncoder(net)
    net.criterion = NTXentLoss(temperature)
    net.criterion.memory_bank = KeyQueue((queue_size, width))

    def loss(view_a: "Tensor", view_b: "Tensor") -> "Tensor":
        """InfoNCE of the queries of `view_a` against the keys of `view_b` and the queue."""
        slow.follow(encoder_momentum)
        queries = net.project(view_a)
        with torch.no_grad():
            images = all_rows(view_b)
            order = torch.randperm(len(images), device=images.device)  # the same in every process
            keys = all_rows(slow.project(own_rows(images[order])))
            keys = own_rows(keys[order.argsort()])
        return net.compare(queries, keys)

    return loss
