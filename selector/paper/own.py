"""An encoder that train.py trained, beside the pretrained ones."""

from pathlib import Path

from torch import nn

from selector.errors import UserError
from selector.paper.models import Preprocessing, PretrainedModel, WeightsChoice
from selector.paper.weights import load_state, weight_file
from selector.text import printable
from selector.training.stored import Stored, read_stored

_NATIVE = {"digits": 8, "cifar10": 32, "cifar100": 32, "fashion_mnist": 28, "folder": 64}


def own_model(path: str, weights: WeightsChoice) -> PretrainedModel:
    """The encoder of one checkpoint, with the normalisation and image size of its training.

    Its family is its method: encoders of one method, whatever their size, are held against each other.

    Raises:
        UserError: The file is no checkpoint of train.py, or untrained weights were asked for.
    """
    if weights == "none":
        raise UserError(f"{path!r} names trained weights, and --weights none asks for untrained ones")
    stored = read_stored(Path(path))
    means, stds = (_of_channels(stored, f"views.normalize.{name}") for name in ("mean", "std"))
    config = stored.config
    return PretrainedModel(
        name=f"{stored.path.resolve().parent.name}/{stored.path.stem}",
        family=config.method,
        preprocessing=Preprocessing(config.image_size or _NATIVE[config.dataset], means, stds, "bilinear"),
        weights=f"trained on {config.dataset} for {stored.epoch} epochs",
        digest=weight_file(stored.path).digest,
        build=lambda: _encoder(stored),
    )


def _of_channels(stored: Stored, name: str) -> tuple[float, ...]:
    """One number a channel, from the normalisation of the run's images."""
    numbers = stored.state.get(name)
    if numbers is None or numbers.numel() != 3:
        raise UserError(
            f"checkpoint {printable(str(stored.path))!r} is damaged, or of another version: it lacks"
            f" {name}, by which the images of its training were normalised; name another checkpoint"
        )
    return tuple(numbers.flatten().tolist())


def _encoder(stored: Stored) -> nn.Module:
    from selector.training.backbone import build_backbone

    backbone, _ = build_backbone(stored.config)
    state = {
        name.removeprefix("backbone."): value
        for name, value in stored.state.items()
        if name.startswith("backbone.")
    }
    load_state(backbone, state, stored.config.backbone, repr(str(stored.path)))
    return backbone.eval()
