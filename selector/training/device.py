"""Where to compute."""

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
