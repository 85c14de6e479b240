"""Where to compute."""

import os

import torch

from selector.errors import UserError


def device_named(name: str) -> torch.device:
    """The device that `--device` names; `auto` takes a GPU where there is one.

    Raises:
        UserError: A GPU was asked for, and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: this machine has no GPU that torch can use")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def take_device(name: str, processes: int) -> None:
    """Make this process's GPU torch's current one, where `processes` of a run have one each.

    Raises:
        UserError: There are not as many.
    """
    if device_named(name).type != "cuda" or processes == 1:
        return
    if processes > (found := torch.cuda.device_count()):
        raise UserError(f"--devices {processes}: this machine has {found} GPUs that torch can use")
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
