"""SimCLR (Chen et al. 2020, https://arxiv.org/abs/2002.05709)."""

from typing import TYPE_CHECKING

from selector.ranges import Positive
from selector.training.methods import method

if TYPE_CHECKING:
    from torch import Tensor

    from selector.training.network import Loss, Network


@method(
    in_loss=("temperature",),
    epochs=1000,
    learning_rate=0.5,
    weight_decay=1e-4,
    projector_hidden=2048,
    projector_dim=128,
)
def simclr(net: "Network", *, temperature: Positive = 0.5) -> "Loss":
    """Two views of an image attract each other and repel all other views of the batch.

    The projector has two layers. The recipe is that of Xu et al., section III-B.

    Args:
        net: Gets the heads.
        temperature: Temperature of the InfoNCE loss.
    """
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead

    hidden, width = net.train_config.projector_hidden, net.train_config.projector_dim
    net.projection_head = SimCLRProjectionHead(net.backbone_dim, hidden, width)
    net.criterion = NTXentLoss(temperature, gather_distributed=True)

    def loss(view_a: "Tensor", view_b: "Tensor") -> "Tensor":
        """InfoNCE over the 2B views of the batch (Xu, Lowe & Trappenberg, Eq. 2)."""
        return net.compare(net.project(view_a), net.project(view_b))

    return loss
