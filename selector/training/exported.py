"""A run's encoder to take home: images of any size in, representations out; written for others to load."""

import json
import platform
import re
import shutil
import tempfile
import textwrap
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import center_crop, resize

from selector.errors import UserError, writing
from selector.files import refuse_existing
from selector.text import counted, first_line, printable
from selector.training.datasets import DATASETS
from selector.training.run_folder import milestone_checkpoints
from selector.training.stored import Stored, read_stored

WEIGHTS, PROGRAM, CONFIG, CARD, ONNX = (
    "encoder.safetensors", "encoder.pt2", "config.json", "README.md", "encoder.onnx",
)  # fmt: skip
_PACKAGES = ("ssl-sweep-selector", "torch", "torchvision")
_ARTIFACT = re.compile(r"[^/\s:]+/[^/\s:]+/[^/\s:]+:[^/\s:]+")
_LAYERS: dict[str, tuple[type[BasicBlock | Bottleneck], tuple[int, ...]]] = {
    "resnet-9": (BasicBlock, (1, 1, 1, 1)),
    "resnet-18": (BasicBlock, (2, 2, 2, 2)),
    "resnet-34": (BasicBlock, (3, 4, 6, 3)),
    "resnet-50": (Bottleneck, (3, 4, 6, 3)),
    "resnet-101": (Bottleneck, (3, 4, 23, 3)),
    "resnet-152": (Bottleneck, (3, 8, 36, 3)),
}
# The encoder in training is a sequence; these are the places of its parts that have weights.
_PARTS = {"0": "conv1", "1": "bn1", "3": "layer1", "4": "layer2", "5": "layer3", "6": "layer4"}


@dataclass(frozen=True)
class EncoderConfig:
    """What config.json says of an encoder.

    Attributes:
        architecture: Its name in train.py, such as "resnet-18": 3x3 stem, no max-pool, no classifier.
        backbone_width: Multiplier of all channel counts.
        image_size: Side of the square images that it was trained on, in pixels.
        channels: Of an image.
        representation_dim: D.
        mean: Of each channel, subtracted from pixels in [0, 1].
        std: Of each channel, divided by.
        pixel_range: The numbers in files that are black and white, which uint8 images have as 0 and 255.
        background: Colour behind transparent images.
        interpolation: How images of another size were scaled in training: "bilinear" or "bicubic".
        versions: Of the packages that wrote it.
    """

    architecture: str
    backbone_width: float
    image_size: int
    channels: int
    representation_dim: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pixel_range: tuple[float, float]
    background: str
    interpolation: str
    versions: Mapping[str, str]


class PlainResNet(ResNet):
    """torchvision's ResNet, under its names, with a 3x3 stem and without max-pool and classifier."""

    def __init__(self, architecture: str, base: int, channels: int) -> None:
        """`base`: channels of the first stage, which are 64 in all that torchvision builds itself."""
        nn.Module.__init__(self)
        block, depths = _LAYERS[architecture]
        self._norm_layer, self.dilation, self.groups, self.base_width = nn.BatchNorm2d, 1, 1, 64
        self.inplanes = base
        self.conv1 = nn.Conv2d(channels, base, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(base)
        for stage, depth in enumerate(depths):
            blocks = self._make_layer(block, base * 2**stage, depth, stride=1 if stage == 0 else 2)
            self.add_module(f"layer{stage + 1}", blocks)
        self.representation_dim = self.inplanes

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, S, S) normalised images → (B, D) representations."""
        x = self.bn1(self.conv1(images)).relu()
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        representations: Tensor = x.mean((2, 3))
        return representations


class Encoder(nn.Module):
    """Images → representations, in evaluation mode; its weights are frozen until `requires_grad_(True)`.

    Attributes:
        config: What it wants of images, and what it gives.
        network: The ResNet itself.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: EncoderConfig, network: PlainResNet) -> None:
        super().__init__()
        self.config, self.network = config, network
        for name in ("mean", "std"):
            values = torch.tensor(getattr(config, name)).view(1, -1, 1, 1)
            self.register_buffer(name, values, persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) or (C, H, W) images, a tensor or an array, uint8 or floats in [0, 1] → (B, D) float32.

        Images of another shape than in training are cropped to the square in their middle and scaled.

        Raises:
            UserError: They have another number of channels, or numbers that are no pixels.
        """
        images = torch.as_tensor(images)
        if images.ndim == 3:
            images = images[None]
        if images.ndim != 4 or images.shape[1] != self.config.channels:
            raise UserError(
                f"expected images (B, {self.config.channels}, H, W), got shape {tuple(images.shape)}:"
                f" this encoder was trained on images of {counted(self.config.channels, 'channel')}"
            )
        images = images.to(self.mean.device)
        if images.dtype != torch.uint8:
            images = images.float()
            if images.numel() and not (images.min() >= 0 and images.max() <= 1):
                raise UserError("expected pixels as uint8 from 0 to 255, or as floats from 0 to 1")
        return self.represent(self._scaled(images))

    def represent(self, images: Tensor) -> Tensor:
        """(B, C, S, S) images of the trained size, uint8 or floats in [0, 1] → (B, D) float32."""
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images
        representations: Tensor = self.network((scaled - self.mean) / self.std)
        return representations

    def _scaled(self, images: Tensor) -> Tensor:
        size = self.config.image_size
        if images.shape[-2:] == (size, size):
            return images
        side = min(images.shape[-2:])
        mode = InterpolationMode(self.config.interpolation)
        scaled: Tensor = resize(
            center_crop(images, [side, side]), [size, size], interpolation=mode, antialias=True
        )
        return scaled if images.dtype == torch.uint8 else scaled.clamp(0, 1)  # bicubic overshoots at edges


class _Program(nn.Module):
    """What encoder.pt2 holds: no choices, no checks."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder.represent(images)


def load_encoder(where: str | Path) -> Encoder:
    """The encoder of a run: uint8 or float images of any size in, representations out.

    Args:
        where: A folder of `selector best --export`, a checkpoint, the folder of a run (its last milestone),
            or the path of a W&B artifact, entity/project/model-RUN:ALIAS.

    Raises:
        UserError: There is none, or it is damaged.
    """
    path = Path(where)
    if path.is_file():
        return encoder_of(read_stored(path))
    if path.is_dir():
        if (path / CONFIG).exists() or (path / WEIGHTS).exists():
            return _read_export(path)
        if milestones := list(milestone_checkpoints(path).values()):
            return encoder_of(read_stored(milestones[-1]))
        raise UserError(
            f"{printable(str(path))!r} holds no encoder: expected {CONFIG} and {WEIGHTS}, or milestone-*.ckpt"
        )
    if _ARTIFACT.fullmatch(str(where)):
        from selector.tracking.artifacts import fetched_checkpoint

        with fetched_checkpoint(str(where)) as checkpoint:
            return encoder_of(read_stored(checkpoint))
    raise UserError(
        f"there is no encoder {printable(str(where))!r}: name a folder of `selector best --export`,"
        " a checkpoint, a run's folder, or a W&B artifact entity/project/model-RUN:ALIAS"
    )


def encoder_of(stored: Stored) -> Encoder:
    """The encoder of a checkpoint."""
    shown, config = f"checkpoint {printable(str(stored.path))!r}", stored.config
    weights = _plain_weights(stored.state)
    if "conv1.weight" not in weights or config.dataset not in DATASETS:
        raise UserError(f"{shown} is damaged, or of another version: it holds no encoder")
    base, channels = weights["conv1.weight"].shape[:2]
    numbers = []
    for name in ("views.normalize.mean", "views.normalize.std"):
        values = tuple(stored.state.get(name, torch.empty(0)).flatten().tolist())
        if len(values) != channels:
            raise UserError(
                f"{shown} is damaged, or of another version: it lacks {name} of each of its {channels}"
                " channels, by which the images of its training were normalised; name another checkpoint"
            )
        numbers.append(values)
    network = _filled(config.backbone, base, channels, weights, shown)
    described = EncoderConfig(
        architecture=config.backbone,
        backbone_width=config.backbone_width,
        image_size=config.image_size or DATASETS[config.dataset].side,
        channels=channels,
        representation_dim=network.representation_dim,
        mean=numbers[0],
        std=numbers[1],
        pixel_range=stored.pixel_range,
        background=config.background,
        interpolation="bicubic" if config.dataset == "folder" else "bilinear",
        versions={name: version(name) for name in _PACKAGES} | {"python": platform.python_version()},
    )
    return Encoder(described, network)


def write_encoder(encoder: Encoder, folder: Path, card: str, onnx: bool = False) -> None:
    """Write weights, program, configuration and model card into a new folder, all of them or nothing.

    `card` is the content of README.md. Refuses a folder that exists, or ONNX where torch cannot write it.
    """
    from safetensors.torch import save_file

    refuse_existing(folder)
    if onnx:
        try:
            import onnxscript  # noqa: F401
        except ImportError as error:
            raise UserError(
                "--onnx needs torch's ONNX exporter: pip install 'ssl-sweep-selector[onnx]'"
            ) from error
    encoder = encoder.cpu()
    config = encoder.config
    images = torch.zeros(2, config.channels, config.image_size, config.image_size, dtype=torch.uint8)
    free = ({0: torch.export.Dim("batch", min=1)},)
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        try:
            partial.chmod(0o755)
            weights = {name: value.contiguous() for name, value in encoder.network.state_dict().items()}
            save_file(weights, partial / WEIGHTS)
            program = torch.export.export(_Program(encoder), (images,), dynamic_shapes=free)
            with warnings.catch_warnings():  # some versions of torch remark on their own tensors
                warnings.filterwarnings("ignore", module=r"torch\.export\.pt2_archive")
                torch.export.save(program, partial / PROGRAM)
            if onnx:
                written = torch.onnx.export(
                    program, (images,), input_names=["images"], output_names=["representations"], dynamo=True,
                    verbose=False,
                )  # fmt: skip
                assert written is not None
                written.save(str(partial / ONNX))
            (partial / CONFIG).write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")
            (partial / CARD).write_text(card, encoding="utf-8")
            (partial / WEIGHTS).chmod((partial / CARD).stat().st_mode)  # else only its owner may read it
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _read_export(folder: Path) -> Encoder:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    shown = printable(str(folder))
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        pixels = {name: tuple(map(float, content[name])) for name in ("mean", "std", "pixel_range")}
        config = EncoderConfig(**content | pixels)
        weights = load_file(folder / WEIGHTS)
        base, channels = weights["conv1.weight"].shape[:2]
        sound = (
            config.architecture in _LAYERS
            and config.interpolation in ("bilinear", "bicubic")
            and len(config.pixel_range) == 2
            and isinstance(config.background, str)
            and type(config.image_size) is int
            and 0 < config.image_size <= 2**14
            and channels == config.channels == len(config.mean) == len(config.std)
        )
        if not sound:
            raise ValueError(f"{CONFIG} does not describe {WEIGHTS}")
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, RecursionError) as error:
        raise UserError(
            f"the export {shown!r} is damaged ({printable(first_line(error))}): write it again with"
            " `selector best --export`"
        ) from error
    return Encoder(config, _filled(config.architecture, base, channels, weights, f"the export {shown!r}"))


def _filled(
    architecture: str, base: int, channels: int, weights: Mapping[str, Tensor], shown: str
) -> PlainResNet:
    """The network with these weights, which it then owns."""
    with torch.device("meta"):
        network = PlainResNet(architecture, base, channels)
    try:
        network.load_state_dict({name: weight.clone() for name, weight in weights.items()}, assign=True)
    except RuntimeError as error:  # too few, too many, or of another shape
        reason = textwrap.shorten(str(error).strip().splitlines()[-1], 200)
        raise UserError(
            f"{shown} is damaged: its weights are not those of a {architecture} ({reason})"
        ) from error
    return network


def _plain_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the encoder in training under torchvision's names.

    MoCo-v2's split BatchNorm has the statistics of each part of a batch; in evaluation their mean is used.
    """
    plain: dict[str, Tensor] = {}
    for name, value in state.items():
        part, _, rest = name.removeprefix("backbone.").partition(".")
        if name.startswith("backbone.") and part in _PARTS:
            plain[f"{_PARTS[part]}.{rest.replace('shortcut.', 'downsample.')}"] = value.detach().cpu()
    for name in [name for name in plain if name.endswith(("running_mean", "running_var"))]:
        features = plain.get(f"{name.rpartition('.')[0]}.weight")
        if features is not None and plain[name].numel() % features.numel() == 0:
            plain[name] = plain[name].view(-1, features.numel()).mean(0)
    return plain
