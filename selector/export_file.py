"""Runs as one small JSON file: to keep what a sweep showed, to share it, and to rank it again anywhere."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from math import isfinite
from pathlib import Path
from typing import Any, get_args

from selector.errors import UserError
from selector.files import is_regular
from selector.milestone import LARGEST, Milestone, as_written, figure, for_json
from selector.record import plain, settings
from selector.runs import Axis, Last, Run, RunSet, State, Unreadable
from selector.text import printable

FORMAT = 1
_NOT_KEPT = {"milestones", "config", "definition", "directory", "checkpoint", "last"}


def write_records(runs: RunSet, digits: int = 7) -> str:
    """The runs as text: what all of them share once, then one line per run. The same runs give the same text.

    Paths of the machine (checkpoints, folders, a local data set's place) and spectra are left out.

    Args:
        runs: What a source holds.
        digits: Significant digits of each logged number.
    """
    configs = [_kept(run.config) for run in runs.runs]
    definitions = [_kept(run.definition) for run in runs.runs]
    shared, definition = _shared(configs), _shared(definitions)
    keys = sorted({key for run in runs.runs for row in run.milestones for key in row.values})
    head = {
        "format": FORMAT,
        "planned": runs.planned,
        "config": shared,
        "definition": definition,
        "keys": keys,
        "unreadable": [asdict(gone) for gone in runs.unreadable],
    }
    lines = [
        _compact(
            {name: value for name, value in _attributes(run).items() if value not in ("", None, (), [])}
            | {
                "config": _rest(config, shared),
                "definition": _rest(how, definition),
                "milestones": [
                    [row.epoch, *(_number(row.values.get(key), digits) for key in keys)]
                    for row in run.milestones
                ],
            }
            | ({"last": _written_last(run, digits)} if run.last else {})
        )
        for run, config, how in zip(runs.runs, configs, definitions, strict=True)
    ]
    body = ",\n".join(lines)
    return _compact(head)[:-1] + ',"runs":[\n' + body + "\n]}\n"


def read_records(path: Path) -> RunSet:
    """The runs that `write_records` wrote.

    Raises:
        UserError: The file cannot be read, or is no such file.
    """
    try:
        if not is_regular(path):
            raise UserError(
                f"cannot read the records {str(path)!r}: it is not a regular file; name one of `export`"
            )
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise UserError(f"cannot read the records {str(path)!r}: {reason}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(
            f"{str(path)!r} is not a file of `selector export` (format {FORMAT}): export the runs again"
        )
    try:
        runs = tuple(sorted((_run(one, content) for one in content["runs"]), key=lambda run: run.id))
        unreadable = tuple(
            Unreadable(str(gone["run"]), str(gone["reason"])) for gone in content["unreadable"]
        )
        planned = content["planned"]
        if len({run.id for run in runs}) < len(runs) or type(planned) not in (int, type(None)):
            raise ValueError("two runs of one id, or a plan that is not a number")
        return RunSet(str(path), runs, unreadable, planned)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError) as error:
        reason = printable(str(error))[:200]
        raise UserError(f"the records {str(path)!r} are damaged ({reason}): export the runs again") from error


def _attributes(run: Run) -> dict[str, Any]:
    return {field.name: getattr(run, field.name) for field in fields(Run) if field.name not in _NOT_KEPT}


def _run(one: Mapping[str, Any], content: Mapping[str, Any]) -> Run:
    known = {field.name for field in fields(Run)} - _NOT_KEPT
    attributes = {name: value for name, value in one.items() if name in known}
    if "tags" in attributes:
        attributes["tags"] = tuple(attributes["tags"])
    started = attributes.get("started")
    if isinstance(started, int | float) and not abs(started) <= LARGEST:
        del attributes["started"]  # which says nothing, as no time at all does
    if not one["id"]:
        raise ValueError("a run without an id")
    _refuse_others(attributes)
    return Run(
        **{"name": ""} | attributes,
        config=settings("config", content) | settings("config", one),
        definition=settings("definition", content) | settings("definition", one),
        milestones=_milestones(one["milestones"], content["keys"]),
        last={str(key): Last(figure(value), epoch, source) for key, (epoch, value, source) in _last(one)},
    )


def _milestones(rows: Sequence[Sequence[Any]], keys: Sequence[Any]) -> tuple[Milestone, ...]:
    if not all(isinstance(key, str) for key in keys) or len({*keys}) < len(keys):
        raise ValueError("keys are different texts")
    if any(len(row) != 1 + len(keys) for row in rows):
        raise ValueError("a milestone of another length")
    milestones = tuple(
        as_written(epoch, {key: value for key, value in zip(keys, values, strict=True) if value is not None})
        for epoch, *values in rows
    )
    epochs = [milestone.epoch for milestone in milestones]
    if sorted({*epochs}) != epochs:
        raise ValueError("epochs must be whole numbers in ascending order")
    return milestones


def _written_last(run: Run, digits: int) -> dict[str, list[Any]]:
    return {key: [one.epoch, _number(one.value, digits), one.source] for key, one in run.last.items()}


def _last(one: Mapping[str, Any]) -> list[tuple[str, tuple[int, Any, str]]]:
    """What `_written_last` wrote, which other people's runs have."""
    found = [(key, tuple(value)) for key, value in one.get("last", {}).items()]
    if not all(len(v) == 3 and type(v[0]) is int and isinstance(v[2], str) for _, v in found):
        raise ValueError("a last value that was never written")
    return found


def _refuse_others(attributes: Mapping[str, Any]) -> None:
    """Refuse what `write_records` never wrote, before it is taken for a figure or a name."""
    for name, value in attributes.items():
        match name:
            case "state" | "counted_by":
                sound = value in get_args(State if name == "state" else Axis)
            case "tags":
                sound = all(isinstance(tag, str) for tag in value)
            case "started":
                sound = type(value) in (int, float)
            case _:
                sound = isinstance(value, str)
        if not sound:
            raise ValueError(f"{name} is {value!r}")


def _kept(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as plain values, without places on one machine: only a folder's images are known by theirs."""
    local = {"output_dir"} if settings.get("dataset") == "folder" else {"output_dir", "data_dir"}
    return {name: plain(value) for name, value in settings.items() if name not in local}


def _shared(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is equal in all of some settings."""
    if not settings:
        return {}
    first, *others = settings
    return {
        name: value
        for name, value in first.items()
        if all(name in other and _compact(other[name]) == _compact(value) for other in others)
    }


def _rest(settings: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in shared}


def _number(value: float | None, digits: int) -> float | str | None:
    if value is None:
        return None
    if not isfinite(value):
        return for_json(value)
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _compact(value: Any) -> str:
    # Escaped: names from elsewhere may hold halves of characters, which UTF-8 cannot write.
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
