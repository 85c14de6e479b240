"""Pretrained models by name, as frozen encoders: torchvision's, timm's, and those that train.py trained."""

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from selector.errors import UserError
from selector.paper.weights import (
    WeightFile,
    digest_of,
    download_weights,
    find_weights,
    load_state,
    read_state,
    weight_file,
)
from selector.text import first_line, nearest

# Section III-D of Xu, Lowe & Trappenberg: the 17 models of Table II.
PAPER_MODELS = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "densenet121", "densenet161", "densenet169", "densenet201",
    "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4",
    "efficientnet_b5", "efficientnet_b6", "efficientnet_b7",
)  # fmt: skip
UNTRAINED_SEED = 0

WeightsChoice = Literal["imagenet", "none"]
_SIZES = {"nano", "micro", "tiny", "small", "base", "medium", "large", "huge"}


@dataclass(frozen=True)
class Preprocessing:
    """What a model wants of an image.

    Attributes:
        resolution: Side of the square in pixels; images are scaled to it, whatever their size.
        mean: Of each channel, subtracted from pixels in [0, 1].
        std: Of each channel, divided by.
        interpolation: "bilinear", "bicubic" or "nearest".
    """

    resolution: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str


@dataclass(frozen=True)
class PretrainedModel:
    """A model that can be built.

    Attributes:
        name: As the user named it.
        family: Models of one family are of one architecture in several sizes.
        preprocessing: What it wants of an image.
        weights: What its weights are, for people.
        digest: Equal for equal weights.
        build: Makes the encoder: normalised (B, 3, R, R) images → (B, D), in evaluation mode.
    """

    name: str
    family: str
    preprocessing: Preprocessing
    weights: str
    digest: str
    build: Callable[[], nn.Module]

    @property
    def identity(self) -> dict[str, Any]:
        """All that its embeddings depend on, beside the images."""
        return {"model": self.name, "weights": self.digest, "preprocessing": asdict(self.preprocessing)}


def find_model(name: str, weights: WeightsChoice, weights_dir: Path | None) -> PretrainedModel:
    """The model of that name in torchvision, else in timm; `timm/NAME` asks timm alone.

    A name that ends in .ckpt is the path of a checkpoint of train.py.

    Args:
        name: Of the model.
        weights: "imagenet", or "none" for the untrained network.
        weights_dir: Folder with files of weights; without one they are downloaded.

    Raises:
        UserError: There is no such model, or its weights cannot be had.
    """
    if name.endswith(".ckpt"):
        from selector.paper.own import own_model

        return own_model(name, weights)
    from torchvision import models

    if name in _torchvision_names():
        return _torchvision_model(name, models, weights, weights_dir)
    plain = name.removeprefix("timm/")
    if plain in _timm_names():
        return _timm_model(name, plain, weights, weights_dir)
    known = [*_torchvision_names(), *_timm_names()]
    library = "torchvision and timm" if _timm_names() else "torchvision (timm is not installed)"
    raise UserError(
        f"unknown model '{name}'{nearest(plain, known)} Any classification model of {library} will do"
    )


def family_of(name: str) -> str:
    """The family that a model's name tells: resnet of resnet50, efficientnet of efficientnet_b0.

    The name up to its first digit, without a size or a single letter at the end.
    """
    words = [word for word in re.split(r"\d", name.rpartition("/")[2], maxsplit=1)[0].split("_") if word]
    while len(words) > 1 and (words[-1] in _SIZES or len(words[-1]) == 1):
        words.pop()
    return "_".join(words) or name


def without_head(network: nn.Module, model: str, classes: int = 1000) -> nn.Module:
    """The classifier with its last layer taken out: it then gives what that layer reads.

    The last layer is the last linear layer or convolution with an output a class.

    Raises:
        UserError: There is none.
    """
    heads = [name for name, part in network.named_modules() if _outputs(part) == classes]
    if not heads:
        raise UserError(f"{model} has no layer with {classes} outputs, so its embedding is not known")
    parent, _, last = heads[-1].rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Identity())
    return network.eval()


def _outputs(part: nn.Module) -> int | None:
    match part:
        case nn.Linear():
            return part.out_features
        case nn.Conv2d():
            return part.out_channels
    return None


def _torchvision_names() -> list[str]:
    from torchvision import models

    names: list[str] = models.list_models(module=models)
    return names


def _timm_names() -> list[str]:
    names: list[str] = []
    with contextlib.suppress(ImportError):
        names = _timm().list_models()
    return names


def _timm() -> Any:
    """The module, imported when it is needed; stdout is for results, and timm's companions print there."""
    with contextlib.redirect_stdout(sys.stderr):
        import timm
    return timm


def _torchvision_model(
    name: str, models: Any, weights: WeightsChoice, weights_dir: Path | None
) -> PretrainedModel:
    known = models.get_model_weights(name)
    # The paper's year had the first weights only; a few models have no others than later ones.
    published = known.__members__.get("IMAGENET1K_V1") or next(iter(known))
    wanted = published.transforms()
    preprocessing = Preprocessing(
        wanted.crop_size[0], tuple(wanted.mean), tuple(wanted.std), wanted.interpolation.value
    )
    # These two were trained on images scaled otherwise, and convert them themselves if they are told to.
    options = {"transform_input": True} if name in ("inception_v3", "googlenet") else {}
    options |= {"init_weights": True} if options else {}

    def network() -> nn.Module:
        built: nn.Module = models.get_model(name, weights=None, **options)
        return built

    if weights == "none":
        return _untrained(name, preprocessing, lambda: without_head(network(), name))
    if weights_dir is not None:
        file = weight_file(find_weights(weights_dir, name, published.url))
        label = file.path.name
    else:
        file = weight_file(download_weights(name, published.url))
        label = published.name
    return PretrainedModel(
        name, family_of(name), preprocessing, label, file.digest,
        lambda: without_head(_loaded(network(), file, name), name),
    )  # fmt: skip


def _timm_model(name: str, plain: str, weights: WeightsChoice, weights_dir: Path | None) -> PretrainedModel:
    timm = _timm()
    wanted = timm.get_pretrained_cfg(plain)
    preprocessing = Preprocessing(
        wanted.input_size[-1], tuple(wanted.mean), tuple(wanted.std), wanted.interpolation
    )

    def network(pretrained: bool = False) -> Any:
        return timm.create_model(plain, pretrained=pretrained)

    if weights == "none":
        return _untrained(name, preprocessing, lambda: _without_timm_head(network()))
    if weights_dir is not None:
        file = weight_file(find_weights(weights_dir, plain, wanted.url or None))
        return PretrainedModel(
            name, family_of(name), preprocessing, file.path.name, file.digest,
            lambda: _without_timm_head(_loaded(network(), file, name)),
        )  # fmt: skip
    try:
        fetched = network(pretrained=True)
    except Exception as error:  # whatever its hub and the network raise
        raise UserError(
            f"timm could not get the weights of {plain} ({first_line(error)}): put {plain}.pth into a folder"
            " and pass it as --weights-dir, or pass --weights none to see the untrained network"
        ) from error
    digest = digest_of(fetched.state_dict())
    return PretrainedModel(
        name,
        family_of(name),
        preprocessing,
        wanted.tag or "timm",
        digest,
        lambda: _without_timm_head(fetched),
    )


def _without_timm_head(network: Any) -> nn.Module:
    network.reset_classifier(0)  # leaves the pooling that the model has
    encoder: nn.Module = network.eval()
    return encoder


def _loaded(network: nn.Module, file: WeightFile, model: str) -> nn.Module:
    load_state(network, read_state(file.path), model, repr(str(file.path)))
    return network


def _untrained(name: str, preprocessing: Preprocessing, build: Callable[[], nn.Module]) -> PretrainedModel:
    def seeded() -> nn.Module:
        with _seed(UNTRAINED_SEED):
            return build()

    label = f"untrained, seed {UNTRAINED_SEED}"
    return PretrainedModel(
        name, family_of(name), preprocessing, label, f"untrained-{UNTRAINED_SEED}-{torch.__version__}", seeded
    )


@contextlib.contextmanager
def _seed(seed: int) -> Iterator[None]:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        yield
