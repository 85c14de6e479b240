"""What methods with a momentum encoder share: the slow copy, and the queue of what it made."""

import copy
from typing import TYPE_CHECKING

import torch
from lightly.models.modules.memory_bank import MemoryBankModule
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import Tensor

from selector.training.processes import all_rows

if TYPE_CHECKING:
    from selector.training.network import Network


class MomentumEncoder:
    """A copy of a network's encoder and projection head that follows them slowly and takes no gradient.

    It belongs to the network, as `key_backbone` and `key_projection_head`, and is saved with it.
    """

    def __init__(self, net: "Network") -> None:
        """The copy starts as an equal."""
        self._net = net
        net.key_backbone = copy.deepcopy(net.backbone)
        net.key_projection_head = copy.deepcopy(net.projection_head)
        deactivate_requires_grad(net.key_backbone)
        deactivate_requires_grad(net.key_projection_head)

    def follow(self, momentum: float) -> None:
        """Keep the share `momentum` of the copy, and take the rest from the network."""
        update_momentum(self._net.backbone, self._net.key_backbone, momentum)
        update_momentum(self._net.projection_head, self._net.key_projection_head, momentum)

    @torch.no_grad()
    def project(self, images: Tensor) -> Tensor:
        """(B, C, S, S) → (B, projector_dim) by the copy."""
        projected: Tensor = self._net.key_projection_head(self._net.key_backbone(images))
        return projected


class KeyQueue(MemoryBankModule):
    """Lightly's queue, saved with the network, and the same in every process: it takes the whole batch."""

    def __init__(self, size: tuple[int, int]) -> None:
        """`size`: number of keys and their dimensions."""
        super().__init__(size)
        for name, buffer in list(self.named_buffers()):
            self.register_buffer(name, buffer)  # persistent, which Lightly's are not

    def _dequeue_and_enqueue(self, batch: Tensor) -> None:
        super()._dequeue_and_enqueue(all_rows(batch))
