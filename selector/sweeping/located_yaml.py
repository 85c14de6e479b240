"""YAML read safely: plain data, and the line that every value stands on."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from selector.errors import UserError
from selector.text import nearest

KeyPath = tuple[str | int, ...]

# A sweep file is a page long. The limits keep an alias bomb (a few lines that expand to gigabytes), an alias
# that contains itself and a wrongly named file from filling the memory.
_MOST_BYTES = 1_000_000
_MOST_NODES = 100_000
_MOST_LEVELS = 100
_LONGEST_NUMBER = 1_000  # characters; Python prints no integer of 4,300 digits, and JSON readers take fewer

_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(_TAG + kind for kind in ("str", "int", "float", "bool", "null"))


@dataclass(frozen=True)
class LocatedYaml:
    """The content of a YAML file."""

    source: str  # as the user named it
    data: Any  # mappings with text keys, lists, numbers, texts, booleans and None
    lines: Mapping[KeyPath, int]  # path of keys and list positions → line, counted from 1
    traps: tuple[tuple[int, str], ...]  # line and text: plain words that YAML 1.1 does not read as people do
    content: bytes  # what was read; a pipe such as <(…) cannot be read again

    def error(self, path: KeyPath, reason: str) -> UserError:
        """The error for what stands at `path`; its line is that of the closest key that exists."""
        while path not in self.lines:
            path = path[:-1]
        inside = {line for key, line in self.lines.items() if key[: len(path)] == path}
        said = "; ".join([reason, *(trap for line, trap in self.traps if line in inside)])
        return UserError(f"{self.source}, line {self.lines[path]}: {said}")

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each trap."""
        return tuple(f"{self.source}, line {line}: {trap}" for line, trap in self.traps)


class Wrong(ValueError):
    """Something in a section of the file is not allowed.

    Args:
        reason: What came, and what was wanted.
        path: Keys that lead to it from the section; none where the section as a whole is meant.
    """

    def __init__(self, reason: str, *path: str | int) -> None:
        super().__init__(reason)
        self.path = path


def refuse_unknown(section: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    """Refuse a key that is not among `known`, and name the nearest one."""
    for key in section:
        if key not in known:
            raise Wrong(f"{shown(key)} is not {what}{hint(key, known)}", key)


def hint(name: object, known: Sequence[str]) -> str:
    """The end of an error about an unknown name: the nearest known one, or all of them."""
    return nearest(str(name), known) or f"; known are {', '.join(known)}"


def shown(value: object) -> str:
    """A value from a file for a one-line message: quoted, escaped and cut to a readable length."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def read_yaml(path: Path) -> LocatedYaml:
    """Read one YAML document without running anything that it says.

    Raises:
        UserError: The file cannot be read, is no YAML, holds a tag, a duplicate key, a key that is no text,
            a date, NaN or infinity, a number of a thousand characters, values nested too deeply, or
            aliases that expand without end.
    """
    source = str(path)
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read {source}: {error.strerror or error}") from None
    if len(text) > _MOST_BYTES:
        raise UserError(f"{source} is larger than {_MOST_BYTES} bytes: not a sweep file")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = " ".join(filter(None, (error.context, error.problem)))
        raise UserError(f"{source}{line} is not YAML: {problem}") from None
    except yaml.YAMLError as error:  # bytes that are no text
        raise UserError(f"{source} is not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise UserError(f"{source} is nested too deeply") from None
    if root is None:
        raise UserError(f"{source} is empty: a sweep needs at least method and parameters")
    builder = _Builder(source)
    return LocatedYaml(source, builder.build(root, ()), builder.lines, tuple(builder.traps), text)


class _Builder:
    """Turns composed nodes into plain data and notes their lines."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines: dict[KeyPath, int] = {}
        self.traps: dict[tuple[int, str], None] = {}  # in order; an alias repeats none
        self.scalars = yaml.SafeLoader("")
        self.nodes = 0

    def build(self, node: yaml.Node, path: KeyPath, level: int = 0) -> Any:
        self.nodes += 1
        if self.nodes > _MOST_NODES:
            line = self.lines[path[:1]]
            raise UserError(f"{self.source}, line {line}: aliases expand to more than {_MOST_NODES} values")
        if level > _MOST_LEVELS:
            raise self.error(node, f"values are nested on more than {_MOST_LEVELS} levels")
        self.lines.setdefault(path, node.start_mark.line + 1)
        match node:
            case yaml.ScalarNode():
                return self.scalar(node)
            case yaml.SequenceNode(tag="tag:yaml.org,2002:seq"):
                return [self.build(child, (*path, i), level + 1) for i, child in enumerate(node.value)]
            case yaml.MappingNode(tag="tag:yaml.org,2002:map"):
                return self.mapping(node, path, level + 1)
            case _:
                raise self.error(node, f"the tag {shown(node.tag)} is not allowed in a sweep file")

    def scalar(self, node: yaml.ScalarNode) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind == "timestamp":
            raise self.error(node, f"{shown(node.value)} reads as a date; quote it to keep it a text")
        if node.tag not in _SCALARS:
            raise self.error(node, f"the tag {shown(node.tag)} is not allowed in a sweep file")
        if kind in ("int", "float") and len(node.value) > _LONGEST_NUMBER:
            reason = f"is a number of more than {_LONGEST_NUMBER} characters"
            raise self.error(node, f"{shown(node.value)} {reason}")
        try:
            value = self.scalars.construct_object(node)
        except (ValueError, OverflowError, yaml.YAMLError):
            raise self.error(node, f"{shown(node.value)} is not a valid {kind}") from None
        # W&B stores values as JSON, which has neither NaN nor infinity.
        if isinstance(value, float) and not isfinite(value):
            raise self.error(node, f"a number must be finite, got {value}")
        if isinstance(value, str) and (unfit := re.search("[\0\ud800-\udfff]", value)):
            what = "a NUL character" if unfit[0] == "\0" else "half a character (a lone surrogate)"
            raise self.error(node, f"a text must not contain {what}")
        if node.style is None and _is_trap(kind, node.value):
            said = str(value).lower() if isinstance(value, bool) else value
            reason = f"YAML reads {node.value} as {said}; quote it, or write {said}"
            self.traps[node.start_mark.line + 1, reason] = None
        return value

    def mapping(self, node: yaml.MappingNode, path: KeyPath, level: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merges = [value_node for key_node, value_node in node.value if key_node.tag == _TAG + "merge"]
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                continue
            key = self.key(key_node)
            if key in result:
                first = self.lines[(*path, key)]
                raise self.error(key_node, f"{shown(key)} is given twice (first on line {first})")
            self.lines.setdefault((*path, key), key_node.start_mark.line + 1)
            result[key] = self.build(value_node, (*path, key), level)
        # `<<: *defaults`: what the mapping itself says wins, then the first of several defaults.
        for merge in merges:
            for part in merge.value if isinstance(merge, yaml.SequenceNode) else [merge]:
                defaults = self.build(part, path, level)
                if not isinstance(defaults, dict):
                    raise self.error(part, "<< takes a mapping or a list of mappings")
                result |= {key: value for key, value in defaults.items() if key not in result}
        return result

    def key(self, node: yaml.Node) -> str:
        key = self.scalar(node) if isinstance(node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            raise self.error(node, f"the key {shown(node.value)} must be a text; quote it")
        return key

    def error(self, node: yaml.Node, reason: str) -> UserError:
        return UserError(f"{self.source}, line {node.start_mark.line + 1}: {reason}")


def _is_trap(kind: str, text: str) -> bool:
    """Whether a plain word is one of on, no, 1:30 and 010, which YAML 1.1 takes for something else."""
    match kind:
        case "bool":
            return text.lower() not in ("true", "false")
        case "int":
            return ":" in text or re.fullmatch(r"[-+]?0[0-7_]+", text) is not None
        case _:
            return kind == "float" and ":" in text
