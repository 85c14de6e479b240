"""BYOL (Grill et al. 2020, https://arxiv.org/abs/2006.07733)."""

from typing import TYPE_CHECKING

from selector.ranges import Count, Momentum
from selector.training.methods import method

if TYPE_CHECKING:
    from torch import Tensor

    from selector.training.network import Loss, Network


@method(epochs=800, learning_rate=0.06, weight_decay=5e-4, projector_hidden=4096, projector_dim=256)
def byol(net: "Network", *, encoder_momentum: Momentum = 0.99, predictor_hidden: Count = 4096) -> "Loss":
    """One view's prediction attracts the other view's projection by a slow copy of the encoder.

    Heads and momentum are those of the paper, the latter for up to 300 epochs. The optimiser is SGD instead
    of LARS, with the learning rate and weight decay of SimSiam, whose loss is the same.

    Args:
        net: Gets the heads.
        encoder_momentum: Share of the slow copy of the encoder that each step keeps.
        predictor_hidden: Width of the prediction head's hidden layer.
    """
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead
    from lightly.utils.scheduler import cosine_schedule

    from selector.training.momentum import MomentumEncoder

    hidden, width = net.train_config.projector_hidden, net.train_config.projector_dim
    net.projection_head = BYOLProjectionHead(net.backbone_dim, hidden, width)
    net.prediction_head = BYOLPredictionHead(width, predictor_hidden, width)
    slow = MomentumEncoder(net)
    net.criterion = NegativeCosineSimilarity()

    def loss(view_a: "Tensor", view_b: "Tensor") -> "Tensor":
        """Symmetric negative cosine similarity; the momentum rises to 1 along a cosine, as in the paper."""
        steps = int(net.trainer.estimated_stepping_batches)
        slow.follow(cosine_schedule(net.global_step, steps, encoder_momentum, 1.0))
        predicted_a = net.prediction_head(net.project(view_a))
        predicted_b = net.prediction_head(net.project(view_b))
        return 0.5 * (
            net.compare(predicted_a, slow.project(view_b)) + net.compare(predicted_b, slow.project(view_a))
        )

    return loss
