"""VICReg (Bardes, Ponce & LeCun 2022, https://arxiv.org/abs/2105.04906)."""

from typing import TYPE_CHECKING

from selector.ranges import NotNegative, Positive
from selector.training.methods import method

if TYPE_CHECKING:
    from torch import Tensor

    from selector.training.network import Loss, Network


@method(
    in_loss=("invariance_weight", "variance_weight", "covariance_weight"),
    epochs=800,
    learning_rate=0.03,
    weight_decay=1e-4,
    projector_hidden=2048,
    projector_dim=2048,
)
def vicreg(
    net: "Network",
    *,
    invariance_weight: Positive = 25.0,
    variance_weight: NotNegative = 25.0,
    covariance_weight: NotNegative = 1.0,
) -> "Loss":
    """Two views of an image have one projection, whose channels vary and are not correlated.

    Three-layer projector. The weights of the loss are those of the paper.

    Args:
        net: Gets the heads.
        invariance_weight: Weight of the distance between two views' projections.
        variance_weight: Weight of how far each channel's standard deviation falls short of 1.
        covariance_weight: Weight of the squared covariances between channels.
    """
    from lightly.loss import VICRegLoss
    from lightly.models.modules.heads import VICRegProjectionHead

    hidden, width = net.train_config.projector_hidden, net.train_config.projector_dim
    net.projection_head = VICRegProjectionHead(net.backbone_dim, hidden, width)
    net.criterion = VICRegLoss(invariance_weight, variance_weight, covariance_weight, gather_distributed=True)

    def loss(view_a: "Tensor", view_b: "Tensor") -> "Tensor":
        """Variance and covariance over the rows of all processes, invariance of each pair."""
        return net.compare(net.project(view_a), net.project(view_b))

    return loss
