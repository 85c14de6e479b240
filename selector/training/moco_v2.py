"""MoCo-v2 (Chen et al. 2020, https://arxiv.org/abs/2003.04297)."""

import copy
from typing import Any

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import MoCoProjectionHead
from lightly.models.modules.memory_bank import MemoryBankModule
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import Tensor

from selector.config import TrainConfig
from selector.training.data import ImageSplits
from selector.training.method import Method
from selector.training.processes import all_rows, own_rows


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
        self.criterion = NTXentLoss(config.temperature)
        self.criterion.memory_bank = _SharedQueue((config.queue_size, config.projector_dim))

    def loss(self, view_a: Tensor, view_b: Tensor) -> Tensor:
        """InfoNCE of the queries of `view_a` against the keys of `view_b` and the queue."""
        momentum = self.train_config.encoder_momentum
        update_momentum(self.backbone, self.key_backbone, momentum)
        update_momentum(self.projection_head, self.key_projection_head, momentum)
        queries = self.projection_head(self.backbone(view_a))
        with torch.no_grad():
            images = all_rows(view_b)
            order = torch.randperm(len(images), device=images.device)  # the same in every process
            shuffled = own_rows(images[order])
            keys = all_rows(self.key_projection_head(self.key_backbone(shuffled)))
            keys = own_rows(keys[order.argsort()])
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


class _SharedQueue(MemoryBankModule):
    """Lightly's queue, the same in every process: it takes in the keys of the whole global batch."""

    def _dequeue_and_enqueue(self, batch: Tensor) -> None:
        super()._dequeue_and_enqueue(all_rows(batch))
