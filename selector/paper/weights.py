"""Weights of a pretrained model: found in a folder or fetched, and read without running any code."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from selector.errors import UserError
from selector.text import first_line
from selector.training.torch_file import load_plain

SUFFIXES = (".pth", ".pt", ".bin")
_WRAPPERS = ("state_dict", "model")  # training scripts keep the weights of a model under these names
# DenseNet's published files are older than its modules: torchvision, too, renames norm.1 to norm1.
_DENSENET = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.(?:weight|bias|running_mean|running_var))$"
)


@dataclass(frozen=True)
class WeightFile:
    """A file of weights.

    Attributes:
        path: Where it is.
        digest: First 16 hex digits of the SHA-256 of its content.
    """

    path: Path
    digest: str


def weight_file(path: Path) -> WeightFile:
    """The file at `path`, read once for its digest.

    Raises:
        UserError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return WeightFile(path, hashlib.file_digest(file, "sha256").hexdigest()[:16])
    except OSError as error:
        raise UserError(f"weights {str(path)!r} cannot be read: {error.strerror}") from error


def find_weights(folder: Path, model: str, published: str | None) -> Path:
    """The one file in `folder` that holds the weights of `model`.

    Args:
        folder: As `--weights-dir` names it.
        model: Name of the model, without a library before it.
        published: Address that the library itself downloads from; its last part is a file name, too.

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
    if not isinstance(content, Mapping) or not content or not all(map(_is_entry, content.items())):
        raise UserError(f"weights {str(path)!r} hold no state dict: expected tensors by name")
    return {_DENSENET.sub(r"\1\2", name.removeprefix("module.")): value for name, value in content.items()}


def load_state(network: nn.Module, state: Mapping[str, Tensor], model: str, where: str) -> None:
    """Put the tensors into the network, every one of them.

    Raises:
        UserError: They are another architecture's.
    """
    wanted = network.state_dict()
    # Counters of BatchNorm's batches, which older files lack, have no part in evaluation.
    missing = [name for name in wanted if name not in state and not name.endswith("num_batches_tracked")]
    foreign = [name for name in state if name not in wanted]
    unlike = [name for name in wanted if name in state and wanted[name].shape != state[name].shape]
    problems = [*_listed("lack", missing), *_listed("hold unknown", foreign)]
    if unlike:
        shapes = tuple(state[unlike[0]].shape), tuple(wanted[unlike[0]].shape)
        problems.append(f"have {unlike[0]} of shape {shapes[0]} in place of {shapes[1]}")
    if problems:
        raise UserError(f"weights {where} are not those of {model}: they {', '.join(problems)}")
    network.load_state_dict(dict(state), strict=False)


def digest_of(state: Mapping[str, Tensor]) -> str:
    """First 16 hex digits of a SHA-256 of the tensors, for weights that no file holds."""
    sha = hashlib.sha256()
    for name, value in state.items():
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        sha.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()[:16]


def _is_entry(item: tuple[Any, Any]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def _listed(verb: str, names: Iterable[str]) -> list[str]:
    names = list(names)
    if not names:
        return []
    return [f"{verb} {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")]
