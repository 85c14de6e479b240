"""Self-supervised methods. Each is one file in this folder, which is all it takes to add one.

A file decorates the function that builds its heads and returns its loss. The decorator gets the recipe:
values of TrainConfig where the method's paper differs from the defaults. The keyword arguments of
the function are the hyperparameters that the method has of its own: each becomes a field of TrainConfig, a
flag of train.py and a parameter that can be swept, and is refused for methods without it.

Command lines read this, so no file in this folder imports torch before it builds.
"""

import inspect
import pkgutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, get_args

from selector.errors import UserError
from selector.ranges import Range


@dataclass(frozen=True)
class OwnField:
    """A hyperparameter that not every method has.

    Attributes:
        kind: Its type.
        limits: What it may be.
        default: Its value in the method's recipe.
        meaning: What it is, for the help.
    """

    kind: type
    limits: Range
    default: Any
    meaning: str


@dataclass(frozen=True)
class Method:
    """A method and its recipe.

    Attributes:
        name: Its name on the command line.
        recipe: Values of TrainConfig that its paper gives.
        own: The hyperparameters that it has of its own.
        in_loss: Those of them that are part of the loss: under other values it is another measure.
        build: (network, **own values) → loss of two views; gives the network its heads.
        refuse: Its own values and the batch size → what is wrong with them together, or "".
    """

    name: str
    recipe: Mapping[str, Any]
    own: Mapping[str, OwnField]
    in_loss: Collection[str]
    build: Callable[..., Any]
    refuse: Callable[[Mapping[str, Any]], str]


METHODS: dict[str, Method] = {}


def method(
    refuse: Callable[[Mapping[str, Any]], str] = lambda _: "", in_loss: Collection[str] = (), **recipe: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as the method of its name; see `Method` for what it is given."""

    def register(build: Callable[..., Any]) -> Callable[..., Any]:
        parameters = inspect.signature(build).parameters.values()
        meanings = _meanings(build)
        own = {}
        for p in (p for p in parameters if p.kind is p.KEYWORD_ONLY):
            kind, limits = get_args(p.annotation)
            own[p.name] = OwnField(kind, limits, p.default, meanings[p.name])
        METHODS[build.__name__] = Method(build.__name__, recipe, own, in_loss, build, refuse)
        return build

    return register


def method_named(name: str) -> Method:
    """The method of that name."""
    if name not in METHODS:
        raise UserError(f"unknown method {name!r}: {', '.join(METHODS)} are known")
    return METHODS[name]


def _meanings(build: Callable[..., Any]) -> dict[str, str]:
    """What the docstring says of each argument, one line each."""
    lines = inspect.cleandoc(build.__doc__ or "").partition("\n\nArgs:\n")[2].splitlines()
    pairs = (line.strip().partition(": ") for line in lines)
    return {name: meaning for name, _, meaning in pairs}


for found in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{found.name}")
