"""An encoder that train.py trained, beside the pretrained ones."""

from pathlib import Path

from torch import nn

from selector.errors import UserError
from selector.pretrained.models import Preprocessing, PretrainedModel, WeightsChoice
from selector.pretrained.weights import load_state, weight_file
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
    state = stored.state
    means, stds = (state[f"views.normalize.{name}"].flatten().tolist() for name in ("mean", "std"))
    config = stored.config
    return PretrainedModel(
        name=f"{stored.path.resolve().parent.name}/{stored.path.stem}",
        family=config.method,
        preprocessing=Preprocessing(
            config.image_size or _NATIVE[config.dataset], tuple(means), tuple(stds), "bilinear"
        ),
        weights=f"trained on {config.dataset} for {stored.epoch} epochs",
        digest=weight_file(stored.path).digest,
        build=lambda: _encoder(stored),
    )


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
