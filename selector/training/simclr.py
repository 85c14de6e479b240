"""SimCLR (Chen et al. 2020, https://arxiv.org/abs/2002.05709)."""

from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from torch import Tensor

from selector.config import TrainConfig
from selector.training.data import ImageSplits
from selector.training.method import Method


class SimCLR(Method):
    """Two views of an image attract each other and repel all other views of the batch."""

    def __init__(self, config: TrainConfig, images: ImageSplits) -> None:
        """Two-layer projector, by default D → 2048 → 128."""
        super().__init__(config, images)
        self.projection_head = SimCLRProjectionHead(
            self.backbone_dim, config.projector_hidden, config.projector_dim
        )
        self.criterion = NTXentLoss(config.temperature, gather_distributed=True)

    def loss(self, view_a: Tensor, view_b: Tensor) -> Tensor:
        """InfoNCE over the 2B views of the batch (Xu, Lowe & Trappenberg, Eq. 2)."""
        projected_a = self.projection_head(self.backbone(view_a))
        projected_b = self.projection_head(self.backbone(view_b))
        return self.compare(projected_a, projected_b)
