"""Modules that are called like the function of their name."""

import sys
from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """A module `rankme` with a function `rankme`, for which `rankme(x)` and `rankme.rankme(x)` are the same.

    `from selector.metrics import rankme` gives the module, whatever was imported before: a package's
    attribute of that name is its submodule as soon as anybody imports it.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function of the module's name."""
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **kwargs)


def make_callable(name: str) -> None:
    """Let the module of that name be called; Python's manual, "Customizing module attribute access"."""
    sys.modules[name].__class__ = CallableModule
