"""Relay connections, and the part of W&B's Mongo-like filters and orders that the clients use."""

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Edge:
    node: Any
    cursor: str = ""
    version: str = ""


@dataclass(frozen=True)
class PageInfo:
    end_cursor: str | None = None
    has_next_page: bool = False


@dataclass(frozen=True)
class Connection:
    edges: list[Edge]
    page_info: PageInfo
    total_count: int


def page(
    items: Sequence[Any], first: int | None = None, after: str | None = None, limit: int = 1000
) -> Connection:
    """One page of at most `limit` items.

    A cursor holds an item's number and its position, so that an item deleted between two pages neither
    hides nor repeats its neighbours.
    """
    start = 0
    if after:
        number, position = (int(part) for part in base64.b64decode(after).decode().split(":"))
        places = {item.number: place for place, item in enumerate(items)}
        start = places[number] + 1 if number in places else position
    stop = start + min(first if first is not None else limit, limit)
    edges = [
        Edge(item, base64.b64encode(f"{item.number}:{place}".encode()).decode())
        for place, item in enumerate(items[start:stop], start)
    ]
    end = edges[-1].cursor if edges else None
    return Connection(edges, PageInfo(end, stop < len(items)), len(items))


def matches(run: Any, query: dict[str, Any]) -> bool:
    """Whether a run meets a Mongo-like query; an operator or field that is not known is an error."""
    return all(_clause(run, key, wanted) for key, wanted in query.items())


def _clause(run: Any, key: str, wanted: Any) -> bool:
    if key == "$and":
        if not wanted:
            raise ValueError("$and wants at least one filter")
        return all(matches(run, query) for query in wanted)
    if key == "$or":
        return any(matches(run, query) for query in wanted)
    values = _values(run, key)
    operators = wanted if isinstance(wanted, dict) else {"$eq": wanted}
    return all(_OPERATORS[operator](values, operand) for operator, operand in operators.items())


def _any(compare: Callable[[Any, Any], bool]) -> Callable[[list[Any], Any], bool]:
    return lambda values, operand: any(value is not None and compare(value, operand) for value in values)


_OPERATORS: dict[str, Callable[[list[Any], Any], bool]] = {
    "$eq": lambda values, operand: operand in values,
    "$ne": lambda values, operand: operand not in values,
    "$in": lambda values, operand: any(value in operand for value in values),
    "$gt": _any(lambda value, operand: value > operand),
    "$lt": _any(lambda value, operand: value < operand),
    "$regex": _any(lambda value, operand: bool(re.search(operand, str(value)))),
}


def _values(run: Any, key: str) -> list[Any]:
    """What a filter's key names on a run: one value, or several for its tags."""
    match key.split(".", 1):
        case ["config", name]:
            return [run.config_value(name.removesuffix(".value"))]
        case ["summary_metrics", name]:
            return [run.summary.get(name)]
        case ["tags"]:
            return list(run.tags)
        case ["name" | "state" | "group" | "sweep"]:
            return [run.sweep_name if key == "sweep" else getattr(run, key)]
    raise ValueError(f"filter on an unknown field: {key}")


def order_of(order: str | None) -> tuple[Callable[[Any], Any], bool]:
    """Sort key and whether it falls, from an order such as "+created_at" or "-summary_metrics.loss"."""
    text = order or "+created_at"
    name, falls = text.lstrip("+-"), text.startswith("-")
    if name in ("created_at", "createdAt"):
        return (lambda run: run.number), falls
    missing = -float("inf") if falls else float("inf")  # runs without the key come last, either way

    def value(run: Any) -> Any:
        found = _values(run, name)[0]
        return missing if found is None else found

    return value, falls
