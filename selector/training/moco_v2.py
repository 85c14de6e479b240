"""MoCo-v2 (Chen et al. 2020, https://arxiv.org/abs/2003.04297)."""

import copy
from typing import Any

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import MoCoProjectionHead
from lightly.models.utils import batch_shuffle, batch_unshuffle, deactivate_requires_grad, update_momentum
from torch import Tensor

from selector.config import TrainConfig
from selector.training.data import ImageSplits
from selector.training.method import Method


class MoCoV2(Method):
    """A query finds its own key, made by a slow copy of the encoder, among a queue of older keys.

    Not symmetric, as in the original: in a symmetric loss over one queue, the second half would meet the
    first half's keys, of the same images, as negatives (https://github.com/lightly-ai/lightly/issues/564).
    """

    def __init__(self, config: TrainConfig, images: ImageSplits) -> None:
        """Two-layer projector, by default D → 2048 → 128; the key network starts as a copy of the query's."""
        super().__init__(config, images)
        self.projection_head = MoCoProjectionHead(
            self.backbone_dim, config.projector_hidden, config.projector_dim
        )
        self.key_backbone = copy.deepcopy(self.backbone)
        self.key_projection_head = copy.deepcopy(self.projection_head)
        deactivate_requires_grad(self.key_backbone)
        deactivate_requires_grad(self.key_projection_head)
        self.criterion = NTXentLoss(
            config.temperature, (config.queue_size, config.projector_dim), gather_distributed=True
        )

    def loss(self, view_a: Tensor, view_b: Tensor) -> Tensor:
        """InfoNCE of the queries of `view_a` against the keys of `view_b` and the queue."""
        momentum = self.train_config.encoder_momentum
        update_momentum(self.backbone, self.key_backbone, momentum)
        update_momentum(self.projection_head, self.key_projection_head, momentum)
        queries = self.projection_head(self.backbone(view_a))
        with torch.no_grad():
            shuffled, order = batch_shuffle(view_b, distributed=self.trainer.world_size > 1)
            keys = self.key_projection_head(self.key_backbone(shuffled))
            keys = batch_unshuffle(keys, order, distributed=self.trainer.world_size > 1)
        return self.compare(queries, keys)

    def get_extra_state(self) -> dict[str, Any]:
        """The queue, which Lightly's memory bank leaves out of its state."""
        bank: Any = self.criterion.memory_bank
        return {"queue": bank.bank.clone(), "queue_pointer": bank.bank_ptr.clone()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Put the queue back, so that a resumed run meets the negatives that it would have met."""
        bank: Any = self.criterion.memory_bank
        bank.bank.copy_(state["queue"])
        bank.bank_ptr.copy_(state["queue_pointer"])
