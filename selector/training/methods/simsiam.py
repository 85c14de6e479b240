"""SimSiam (Chen & He 2021, https://arxiv.org/abs/2011.10566)."""

from typing import TYPE_CHECKING

from selector.ranges import Count
from selector.training.methods import method

if TYPE_CHECKING:
    from torch import Tensor

    from selector.training.network import Loss, Network


@method(epochs=800, learning_rate=0.06, weight_decay=5e-4, projector_hidden=2048, projector_dim=2048)
def simsiam(net: "Network", *, predictor_hidden: Count = 512) -> "Loss":
    """One view's prediction attracts the other view's projection; the gradient stops at the latter.

    Three-layer projector and two-layer predictor. The recipe is that of Xu et al., section III-B.

    Args:
        net: Gets the heads.
        predictor_hidden: Width of the prediction head's hidden layer.
    """
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.modules import SimSiamPredictionHead, SimSiamProjectionHead

    hidden, width = net.train_config.projector_hidden, net.train_config.projector_dim
    net.projection_head = SimSiamProjectionHead(net.backbone_dim, hidden, width)
    net.prediction_head = SimSiamPredictionHead(width, predictor_hidden, width)
    net.criterion = NegativeCosineSimilarity()

    def loss(view_a: "Tensor", view_b: "Tensor") -> "Tensor":
        """Symmetric negative cosine similarity.

        SimSiam's own loss; the square root in Eq. 1 of Xu, Lowe & Trappenberg is taken for a slip.
        """
        projected_a, projected_b = net.project(view_a), net.project(view_b)
        predicted_a, predicted_b = net.prediction_head(projected_a), net.prediction_head(projected_b)
        return 0.5 * (
            net.compare(predicted_a, projected_b.detach()) + net.compare(predicted_b, projected_a.detach())
        )

    return loss
