"""What is declared beside a field or parameter: what a number may be, and how help shows an argument."""

from dataclasses import dataclass
from math import inf
from typing import Annotated


@dataclass(frozen=True)
class Range:
    """Finite numbers between two bounds; `above` and `below` are not part of it, the others are."""

    above: float = -inf
    below: float = inf
    at_least: float = -inf
    at_most: float = inf

    def problem(self, value: float) -> str:
        """What is wrong with `value`, or "": "must be greater than 0"."""
        if not value > self.above:
            return f"must be greater than {self.above:g}"
        if not value >= self.at_least:
            return "must not be negative" if self.at_least == 0 else f"must be at least {self.at_least:g}"
        if value == inf:
            return "must be finite"
        if not value < self.below:
            return f"must be below {self.below}"
        return "" if value <= self.at_most else f"must be at most {self.at_most:g}"


@dataclass(frozen=True)
class Shown:
    """How help shows an argument; it stands in the Annotated of a parameter or field.

    Attributes:
        metavar: Name of its value.
        help: What it means, where no docstring says so.
        positional: Whether a field is positional; of a function, the positional-only parameters are.
    """

    metavar: str = ""
    help: str = ""
    positional: bool = False


Count = Annotated[int, Range(above=0)]
SomeCount = Annotated[int | None, Range(above=0)]
Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(at_least=0)]
Share = Annotated[float, Range(at_least=0, at_most=1)]
Momentum = Annotated[float, Range(at_least=0, below=1)]
