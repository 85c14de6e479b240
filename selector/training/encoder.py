"""Where the encoder and its heads are in a module, and what to make of what they give."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

from torch import Tensor, nn

from selector.errors import UserError
from selector.metrics.arrays import Space
from selector.text import counted

Part = str | Callable[[Any, Tensor], Any]
Pool = Literal["cls", "mean"]


@dataclass(frozen=True)
class Encoder:
    """How to get vectors out of a module.

    Attributes:
        backbone: Attribute with the encoder, such as "backbone" or "student.backbone", or a function
            (module, images) → (B, D).
        projector: Attribute with the projection head that reads the encoder's vectors, or a function
            (module, vectors) → (B, D').
        predictor: Attribute with the prediction head that reads the projector's vectors, or a function
            (module, vectors) → (B, D''); None where the method has none.
        pool: What makes a vector of the encoder's tokens (B, T, D) or maps (B, C, H, W): the first token, or
            the mean of all; None refuses both.
    """

    backbone: Part = "backbone"
    projector: Part = "projection_head"
    predictor: Part | None = None
    pool: Pool | None = None

    def __call__(
        self, module: nn.Module, images: Tensor, spaces: Sequence[Space] = ("projector", "predictor")
    ) -> dict[Space, Tensor]:
        """The vectors of a batch, each (B, D), as far as they are needed for `spaces`.

        Raises:
            UserError: A part is not there, or gives something else than vectors.
        """
        found: dict[Space, Tensor] = {}
        found["backbone"] = x = self._vectors("backbone", self.backbone, module, images, self.pool)
        if "projector" in spaces or "predictor" in spaces:
            found["projector"] = x = self._vectors("projector", self.projector, module, x)
        if "predictor" in spaces and self.predictor is not None:
            found["predictor"] = self._vectors("predictor", self.predictor, module, x)
        return found

    @staticmethod
    def _vectors(name: str, part: Part, module: nn.Module, x: Tensor, pool: Pool | None = None) -> Tensor:
        if callable(part):
            output = part(module, x)
        else:
            try:
                function = attrgetter(part)(module)
            except AttributeError as error:
                raise UserError(
                    f"the module has no {name} {part!r} ({error}): Encoder({name}=…) names it, or takes a"
                    " function of the module and its input"
                ) from None
            output = function(x)
        output = getattr(output, "last_hidden_state", output) if pool else output
        if not isinstance(output, Tensor):
            called = f"module.{part if isinstance(part, str) else name}(x)"
            named = f"Encoder({name}=lambda module, x: {called}[{_first(output)}])"
            has_parts = isinstance(output, Mapping | tuple | list)
            raise UserError(
                f"the {name} gives {_described(output)}, expected a tensor (B, D)"
                + f": say which part is meant, as in {named}" * has_parts
            )
        vectors = _pooled(name, output, pool)
        if len(vectors) != len(x):
            raise UserError(
                f"the {name} gives {counted(len(vectors), 'vector')} for a batch of {len(x)},"
                f" expected {len(x)}"
            )
        return vectors


def _described(output: Any) -> str:
    kind = type(output).__name__
    if isinstance(output, Mapping):
        return f"a {kind} with {', '.join(map(repr, output))}"
    return f"a {kind} of {len(output)}" if isinstance(output, tuple | list) else f"a {kind}"


def _first(output: Any) -> str:
    return repr(next(iter(output), 0)) if isinstance(output, Mapping) else "0"


def _pooled(name: str, output: Tensor, pool: Pool | None) -> Tensor:
    if output.ndim == 2:
        return output
    if output.ndim == 4 and output.shape[2:] == (1, 1):
        return output.flatten(1)  # maps of one pixel are vectors
    if output.ndim == 3 and pool is not None:
        return output[:, 0] if pool == "cls" else output.mean(1)
    if output.ndim == 4 and pool == "mean":
        return output.mean((2, 3))
    kinds = {
        3: ("tokens (B, T, D)", ': Encoder(pool="mean") takes their mean, and pool="cls" the first token'),
        4: ("maps (B, C, H, W)", ': Encoder(pool="mean") takes their mean'),
    }
    kind, advice = kinds.get(output.ndim, ("an array", ""))
    raise UserError(f"the {name} gives {kind} of shape {tuple(output.shape)}, not vectors (B, D){advice}")
