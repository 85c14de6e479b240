"""Pretrained models by name, as frozen encoders: torchvision's, timm's, and those that train.py trained."""

import contextlib
import hashlib
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from selector.errors import UserError
from selector.text import counted, first_line, nearest
from selector.training.exported import encoder_of
from selector.training.stored import load_plain, read_stored

# Section III-D of Xu, Lowe & Trappenberg: the 17 models of Table II.
PAPER_MODELS = (
    *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
    *(f"densenet{depth}" for depth in (121, 161, 169, 201)),
    *(f"efficientnet_b{size}" for size in range(8)),
)
UNTRAINED_SEED = 0
CLASSES = 1000  # of ImageNet

WeightsChoice = Literal["imagenet", "none"]
SUFFIXES = (".pth", ".pt", ".bin")
_WRAPPERS = ("state_dict", "model")  # training scripts keep the weights of a model under these names
# DenseNet's published files are older than its modules: torchvision, too, renames norm.1 to norm1.
_DENSENET = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.(?:weight|bias|running_mean|running_var))$"
)
_SIZES = {"nano", "micro", "tiny", "small", "base", "medium", "large", "huge"}


@dataclass(frozen=True)
class Preprocessing:
    """What a model expects of an image: its side in pixels, to which images of any size are scaled.

    `mean` is subtracted from pixels in [0, 1], which are then divided by `std`, channel by channel;
    `interpolation` is "bilinear", "bicubic" or "nearest".
    """

    resolution: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str


@dataclass(frozen=True)
class PretrainedModel:
    """A model that can be built.

    Models of one `family` are of one architecture in several sizes; equal weights have an equal `digest`, and
    `weights` says for people what they are. `build` makes the encoder: normalised (B, 3, R, R) images →
    (B, D), in evaluation mode.
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

    Without `weights_dir`, a folder with files of weights, they are downloaded.

    Raises:
        UserError: There is no such model, or its weights cannot be loaded.
    """
    if name.endswith(".ckpt"):
        return _own_model(name, weights)
    from torchvision import models

    ours = models.list_models(module=models)
    if name in ours:
        return _torchvision_model(name, weights, weights_dir)
    plain, theirs = name.removeprefix("timm/"), []
    with contextlib.suppress(ImportError):
        theirs = _timm().list_models()
    if plain in theirs:
        return _timm_model(name, plain, weights, weights_dir)
    library = "torchvision and timm" if theirs else "torchvision (timm is not installed)"
    raise UserError(
        f"unknown model '{name}'{nearest(plain, [*ours, *theirs])} Any classification model of {library}"
        " will do"
    )


def family_of(name: str) -> str:
    """The family that a model's name tells: resnet of resnet50, efficientnet of efficientnet_b0.

    The name up to its first digit, without a size or a single letter at the end.
    """
    words = [word for word in re.split(r"\d", name.rpartition("/")[2], maxsplit=1)[0].split("_") if word]
    while len(words) > 1 and (words[-1] in _SIZES or len(words[-1]) == 1):
        words.pop()
    return "_".join(words) or name


def without_head(network: nn.Module, model: str) -> nn.Module:
    """The classifier with its last layer taken out: it then gives what that layer reads.

    The last layer is the last linear layer or convolution with an output for each class of ImageNet.

    Raises:
        UserError: There is none.
    """
    heads = [
        name
        for name, part in network.named_modules()
        if isinstance(part, nn.Linear | nn.Conv2d) and len(part.weight) == CLASSES
    ]
    if not heads:
        raise UserError(f"{model} has no layer with {CLASSES} outputs, so its embedding is not known")
    parent, _, last = heads[-1].rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Identity())
    return network.eval()


def _timm() -> Any:
    """The module, imported when it is needed; stdout is for results, and timm's companions print there."""
    with contextlib.redirect_stdout(sys.stderr):
        import timm
    return timm


def _torchvision_model(name: str, weights: WeightsChoice, weights_dir: Path | None) -> PretrainedModel:
    from torchvision import models

    known = models.get_model_weights(name)
    # The paper's year had the first weights only; a few models have no others than later ones.
    published = known.__members__.get("IMAGENET1K_V1") or next(iter(known))
    wanted = published.transforms()
    preprocessing = Preprocessing(
        wanted.crop_size[0], tuple(wanted.mean), tuple(wanted.std), wanted.interpolation.value
    )
    # These two were trained on images scaled otherwise, and convert them themselves if they are told to.
    told = name in ("inception_v3", "googlenet")
    options = {"transform_input": True, "init_weights": True} if told else {}

    network = partial(models.get_model, name, weights=None, **options)
    headless = partial(without_head, model=name)
    if weights == "none":
        return _untrained(name, preprocessing, lambda: headless(network()))
    if weights_dir is not None:
        path = find_weights(weights_dir, name, published.url)
        return _filled_model(name, preprocessing, path, path.name, network, headless)
    path = download_weights(name, published.url)
    return _filled_model(name, preprocessing, path, published.name, network, headless)


def _timm_model(name: str, plain: str, weights: WeightsChoice, weights_dir: Path | None) -> PretrainedModel:
    timm = _timm()
    wanted = timm.get_pretrained_cfg(plain)
    preprocessing = Preprocessing(
        wanted.input_size[-1], tuple(wanted.mean), tuple(wanted.std), wanted.interpolation
    )
    network = partial(timm.create_model, plain)

    def headless(network: Any) -> nn.Module:
        network.reset_classifier(0)  # leaves the pooling that the model has
        encoder: nn.Module = network.eval()
        return encoder

    if weights == "none":
        return _untrained(name, preprocessing, lambda: headless(network()))
    if weights_dir is not None:
        path = find_weights(weights_dir, plain, wanted.url or None)
        return _filled_model(name, preprocessing, path, path.name, network, headless)
    try:
        fetched = network(pretrained=True)
    except Exception as error:  # whatever its hub and the network raise
        raise UserError(
            f"timm could not get the weights of {plain} ({first_line(error)}): put {plain}.pth into a"
            " folder and pass it as --weights-dir, or pass --weights none to see the untrained network"
        ) from error
    label, digest = wanted.tag or "timm", digest_of(fetched.state_dict())
    return PretrainedModel(name, family_of(name), preprocessing, label, digest, lambda: headless(fetched))


def _filled_model(
    name: str,
    preprocessing: Preprocessing,
    path: Path,
    label: str,
    network: Callable[[], nn.Module],
    headless: Callable[[nn.Module], nn.Module],
) -> PretrainedModel:
    def build() -> nn.Module:
        return headless(_filled(network(), path, name))

    return PretrainedModel(name, family_of(name), preprocessing, label, digest_of_file(path), build)


def _untrained(name: str, preprocessing: Preprocessing, build: Callable[[], nn.Module]) -> PretrainedModel:
    def seeded() -> nn.Module:
        with torch.random.fork_rng([]):
            torch.manual_seed(UNTRAINED_SEED)
            return build()

    label, digest = f"untrained, seed {UNTRAINED_SEED}", f"untrained-{UNTRAINED_SEED}-{torch.__version__}"
    return PretrainedModel(name, family_of(name), preprocessing, label, digest, seeded)


def _own_model(path: str, weights: WeightsChoice) -> PretrainedModel:
    """The encoder of one checkpoint of train.py, with the normalisation and image size of its training.

    Its family is its method: encoders of one method, whatever their size, are held against each other.
    """
    if weights == "none":
        raise UserError(f"{path!r} names trained weights, and --weights none asks for untrained ones")
    stored = read_stored(Path(path))
    encoder = encoder_of(stored)
    wanted = encoder.config
    if wanted.channels != 3:
        raise UserError(
            f"{path!r} was trained on images of {counted(wanted.channels, 'channel')}, and these have 3"
        )
    return PretrainedModel(
        name=f"{stored.path.resolve().parent.name}/{stored.path.stem}",
        family=stored.config.method,
        preprocessing=Preprocessing(wanted.image_size, wanted.mean, wanted.std, "bilinear"),
        weights=f"trained on {stored.config.dataset} for {counted(stored.epoch, 'epoch')}",
        digest=digest_of_file(stored.path),
        build=lambda: encoder.network.eval(),
    )


def digest_of_file(path: Path) -> str:
    """First 16 hex digits of the SHA-256 of its content.

    Raises:
        UserError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise UserError(f"weights {str(path)!r} cannot be read: {error.strerror}") from error


def find_weights(folder: Path, model: str, published: str | None) -> Path:
    """The one file in `folder` that holds the weights of `model`.

    The last part of `published`, the address that the library itself downloads from, is a file name, too.

    Raises:
        UserError: There is no such folder, no such file, or more than one.
    """
    if not folder.is_dir():
        raise UserError(f"no folder {str(folder)!r}: --weights-dir must name a folder of weights")
    own = Path(urlsplit(published).path).name if published else ""
    names = dict.fromkeys(filter(None, [own, *(model + suffix for suffix in SUFFIXES)]))
    if exact := [folder / name for name in names if (folder / name).is_file()]:
        return exact[0]
    # As torch.hub names downloads: the model, a dash, the start of the file's hash.
    hashed = re.compile(re.escape(model) + r"-[0-9a-f]{8,}")
    found = [f for f in sorted(folder.iterdir()) if f.suffix in SUFFIXES and hashed.fullmatch(f.stem)]
    if len(found) > 1:
        raise UserError(
            f"{len(found)} files in {str(folder)!r} may be the weights of {model}"
            f" ({found[0].name}, {found[1].name}): leave one there"
        )
    if not found:
        raise UserError(
            f"no weights of {model} in {str(folder)!r}: put {' or '.join(names)} there,"
            " or pass --weights none to see the untrained network"
        )
    return found[0]


def download_weights(model: str, address: str) -> Path:
    """Torchvision's file of weights, downloaded once into torch's cache, its hash checked.

    Raises:
        UserError: It cannot be downloaded, or what came is something else.
    """
    name = Path(urlsplit(address).path).name
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if path.is_file():
        return path
    expected = re.search(r"-([0-9a-f]{8,})\.", name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(path), expected[1] if expected else None, progress=False)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"weights of {model} could not be downloaded ({first_line(error)}): put {name} into a folder"
            " and pass it as --weights-dir, or pass --weights none to see the untrained network"
        ) from error
    return path


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name; nothing in it is executed.

    Raises:
        UserError: It is damaged, or holds something other than tensors by name.
    """
    try:
        # Some of torchvision's published files, those of DenseNet among them, are older than torch 1.6.
        content: Any = load_plain(path, unchecked=True)
    except Exception as error:
        raise UserError(
            f"weights {str(path)!r} cannot be read ({first_line(error)}): fetch the file again"
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    named = isinstance(content, Mapping) and content and all(isinstance(name, str) for name in content)
    if not named or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"weights {str(path)!r} do not hold a state dict: expected tensors by name")
    return {_DENSENET.sub(r"\1\2", name.removeprefix("module.")): value for name, value in content.items()}


def _filled(network: nn.Module, path: Path, model: str) -> nn.Module:
    """The network with all the tensors of a file.

    Raises:
        UserError: They cannot be read, or are another architecture's.
    """
    state, wanted = read_state(path), network.state_dict()
    # Counters of BatchNorm's batches, which older files lack, have no part in evaluation.
    missing = [name for name in wanted if name not in state and not name.endswith("num_batches_tracked")]
    foreign = [name for name in state if name not in wanted]
    problems = [
        f"{verb} {names[0]}" + f" and {len(names) - 1} more" * (len(names) > 1)
        for verb, names in (("lack", missing), ("hold unknown", foreign))
        if names
    ]
    unlike = [name for name in wanted if name in state and wanted[name].shape != state[name].shape]
    for name in unlike[:1]:
        shapes = tuple(state[name].shape), tuple(wanted[name].shape)
        problems.append(f"have {name} of shape {shapes[0]} in place of {shapes[1]}")
    if problems:
        raise UserError(f"weights {str(path)!r} are not those of {model}: they {', '.join(problems)}")
    network.load_state_dict(dict(state), strict=False)
    return network


def digest_of(state: Mapping[str, Tensor]) -> str:
    """First 16 hex digits of a SHA-256 of the tensors, for weights that no file holds."""
    sha = hashlib.sha256()
    for name, value in state.items():
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        sha.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()[:16]
