"""Where the encoder and its heads are in a LightningModule."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from selector.metrics.embeddings import Space


@dataclass(frozen=True)
class Encoder:
    """How to get vectors out of a LightningModule.

    Attributes:
        backbone: Attribute with the encoder, or a function (module, images) → (B, D).
        projector: Attribute with the projection head that reads the encoder's vectors, or a function
            (module, vectors) → (B, D').
        predictor: Attribute with the prediction head that reads the projector's vectors, or a function
            (module, vectors) → (B, D''); None where the method has none.
    """

    backbone: str | Callable[[Any, Tensor], Tensor] = "backbone"
    projector: str | Callable[[Any, Tensor], Tensor] = "projection_head"
    predictor: str | Callable[[Any, Tensor], Tensor] | None = None

    def __call__(self, module: pl.LightningModule, images: Tensor) -> dict[Space, Tensor]:
        """All spaces of a batch, flattened to (B, D)."""
        vectors = self._apply(self.backbone, module, images).flatten(1)
        projected = self._apply(self.projector, module, vectors).flatten(1)
        spaces: dict[Space, Tensor] = {"backbone": vectors, "projector": projected}
        if self.predictor is not None:
            spaces["predictor"] = self._apply(self.predictor, module, projected).flatten(1)
        return spaces

    @staticmethod
    def _apply(part: str | Callable[[Any, Tensor], Tensor], module: Any, x: Tensor) -> Tensor:
        result: Tensor = getattr(module, part)(x) if isinstance(part, str) else part(module, x)
        return result
