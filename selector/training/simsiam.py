"""SimSiam (Chen & He 2021, https://arxiv.org/abs/2011.10566)."""

from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules import SimSiamPredictionHead, SimSiamProjectionHead
from torch import Tensor

from selector.config import TrainConfig
from selector.training.data import ImageSplits
from selector.training.method import Method


class SimSiam(Method):
    """One view's prediction attracts the other view's projection; the gradient stops at the latter."""

    def __init__(self, config: TrainConfig, images: ImageSplits) -> None:
        """Three-layer projector and two-layer predictor, by default 2048 wide with a bottleneck of 512."""
        super().__init__(config, images)
        width = config.projector_dim
        self.projection_head = SimSiamProjectionHead(self.backbone_dim, config.projector_hidden, width)
        self.prediction_head = SimSiamPredictionHead(width, config.predictor_hidden, width)
        self.criterion = NegativeCosineSimilarity()

    def loss(self, view_a: Tensor, view_b: Tensor) -> Tensor:
        """Symmetric negative cosine similarity.

        SimSiam's own loss; the square root in Eq. 1 of Xu, Lowe & Trappenberg is taken for a slip.
        """
        projected_a = self.projection_head(self.backbone(view_a))
        projected_b = self.projection_head(self.backbone(view_b))
        predicted_a, predicted_b = self.prediction_head(projected_a), self.prediction_head(projected_b)
        return 0.5 * (
            self.compare(predicted_a, projected_b.detach()) + self.compare(predicted_b, projected_a.detach())
        )
