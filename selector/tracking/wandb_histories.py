"""Histories of runs from a W&B server: every row, many runs in one answer, several answers at a time."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Self

from pydantic_core import from_json  # comes with wandb, and reads a million numbers twice as fast as json

from selector.runs import SPECTRUM_PREFIX
from selector.tracking.history import History
from selector.tracking.history_cache import Milestones
from selector.tracking.wandb_client import Unanswered, WandbClient
from selector.tracking.wandb_listing import ListedRun, Selection, next_page, nodes, rows_with

_TOGETHER = 50  # runs in one answer …
_ROWS_TOGETHER = 5_000  # … with at most so many rows; a longer history is left to wandb's own scanner
_SAMPLES = 10_000
_AT_ONCE = 6  # requests in flight

# `history` with a range of steps and room for all of their rows is how wandb's own scanner asks; without a
# range it would be W&B's thinned-out history. That all came is checked against the server's count of rows.
_WHOLE_ROWS = "history(minStep: 0, maxStep: $maxStep, samples: $samples)"
# The same for some keys, as the scanner asks for them: only rows come that hold every key of a specification.
_SOME_KEYS = "sampledHistory(specs: $specs)"
_MOST_SPECIFICATIONS = 8  # for keys that not every row holds; with more of them whole rows are asked for

_QUERY = """
query SelectorHistories(
  $entity: String!, $project: String!, $filters: JSONString, $first: Int, $cursor: String, %s
) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, first: $first, after: $cursor, order: "+created_at") {
      edges { node { name historyLineCount history: %s } }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""
_WHOLE_QUERY = _QUERY % ("$maxStep: Int64!, $samples: Int!", _WHOLE_ROWS)
_KEYS_QUERY = _QUERY % ("$specs: [JSONString!]!", _SOME_KEYS)

# Keys to ask for together; None asks for whole rows.
Keys = tuple[tuple[str, ...], ...] | None


@dataclass(frozen=True)
class ReadHistory:
    """What became of one run's history.

    Attributes:
        run: The run.
        milestones: All of them, or None if they could not be read.
        problem: Why they could not, or what is strange about them; one line, or "".
    """

    run: ListedRun
    milestones: Milestones | None
    problem: str = ""


class HistoryReader:
    """Reads histories in the background, for as long as its `with` block lasts."""

    def __init__(self, client: WandbClient, selection: Selection, spectra: bool = False) -> None:
        self._source = _Source(client, selection, spectra)
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self._work: list[Future[list[ReadHistory]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)  # after Ctrl-C nothing more is asked

    def ask_for(self, runs: Sequence[ListedRun]) -> None:
        """Begin to read the histories of these runs."""
        alike: dict[Keys, list[ListedRun]] = {}
        for run in runs:
            alike.setdefault(None if self._source.spectra else keys_of(run), []).append(run)
        for keys, some in alike.items():
            for batch in _batches(some):
                self._work.append(self._pool.submit(self._source.read, batch, keys))

    def answers(self) -> Iterator[list[ReadHistory]]:
        """What was asked for, each run once: a list an answer, as the answers come."""
        for batch in as_completed(self._work):
            yield batch.result()


def keys_of(run: ListedRun) -> Keys:
    """The keys of a run that logs spectra, but for these: one specification for what every row holds, and
    one for each key that some rows lack; None where whole rows are less work.

    W&B counts the rows that hold a key. Where it does not, those of train.py are known: the untrained
    network has no loss.
    """
    if run.keys is None or not any(key.startswith(SPECTRUM_PREFIX) for key in run.keys):
        return None
    wanted = [key for key in run.keys if not key.startswith((SPECTRUM_PREFIX, "_"))]
    counts = {key: rows_with(run, key) for key in wanted}
    lacking = [key for key, n in counts.items() if n < run.lines and (n or key.startswith("train/"))]
    if len(lacking) > _MOST_SPECIFICATIONS:
        return None
    always = [key for key in sorted(counts) if key not in lacking]
    return (("_step", *always), *(("_step", key) for key in sorted(lacking)))


def _batches(runs: Sequence[ListedRun]) -> Iterator[list[ListedRun]]:
    """Runs to ask for together, and long histories alone."""
    batch: list[ListedRun] = []
    rows = 0
    for run in runs:
        if batch and (len(batch) == _TOGETHER or rows + run.lines > _ROWS_TOGETHER):
            yield batch
            batch, rows = [], 0
        batch.append(run)
        rows += run.lines
    if batch:
        yield batch


@dataclass(frozen=True)
class _Source:
    """Where histories come from, and whether spectra are wanted."""

    client: WandbClient
    selection: Selection
    spectra: bool

    def read(self, batch: list[ListedRun], keys: Keys) -> list[ReadHistory]:
        """Histories of a batch in one answer; where that does not work, of each half, and at last by scan."""
        if batch[0].lines > _ROWS_TOGETHER:
            return [self._scan(batch[0])]
        try:
            histories = self._ask(batch, keys)
        except Unanswered as error:
            if error.kind == "silent":
                return [ReadHistory(run, None, f"history not read: {error}") for run in batch]
            if len(batch) == 1:
                return [self._scan(batch[0])]
            half = len(batch) // 2
            return self.read(batch[:half], keys) + self.read(batch[half:], keys)
        return [self._checked(run, histories.get(run.id), keys) for run in batch]

    def _ask(self, batch: list[ListedRun], keys: Keys) -> dict[str, tuple[int, list[Any]]]:
        """Run id → the server's count of its history rows, and what came of them."""
        steps = max(run.last_step for run in batch) + 1
        samples = min(steps, _SAMPLES)
        asked: dict[str, Any] = {"maxStep": steps, "samples": samples}
        if keys is not None:
            room = {"minStep": 0, "maxStep": steps, "samples": samples + 1}
            asked = {"specs": [json.dumps({"keys": some, **room}) for some in keys]}
        query = _WHOLE_QUERY if keys is None else _KEYS_QUERY
        chosen = [{"name": {"$in": [run.id for run in batch]}}]
        named = Selection(self.selection.entity, self.selection.project, chosen)
        histories: dict[str, tuple[int, list[Any]]] = {}
        cursor = None
        while True:
            variables = {**named.page(len(batch), cursor), **asked}
            project = self.client.ask(query, variables, patient=len(batch) == 1)["project"]
            for node in nodes(project and project["runs"]):
                histories[node["name"]] = (node["historyLineCount"] or 0, node["history"] or [])
            cursor = next_page(project and project["runs"])
            if cursor is None:
                return histories

    def _checked(self, run: ListedRun, history: tuple[int, list[Any]] | None, keys: Keys) -> ReadHistory:
        """Milestones of a history that came whole; wandb's own scanner for one that did not."""
        if history is None:
            return ReadHistory(run, None, "deleted while the runs were read")
        count, came = history
        if keys is not None:
            rows = _joined(run, min(count, run.lines), keys, came)
            return self.read([run], None)[0] if rows is None else ReadHistory(run, self._milestones(rows))
        if len(came) < min(count, run.lines):
            return self._scan(run)
        text = f"[{','.join(came)}]"
        try:
            rows = from_json(text)
            if 'NaN"' in text or 'Infinity"' in text:
                rows = [_with_numbers(row) for row in rows]
            return ReadHistory(run, self._milestones(rows))
        except (ValueError, AttributeError, TypeError):
            return ReadHistory(run, None, "a row of its history is no JSON object")

    def _scan(self, run: ListedRun) -> ReadHistory:
        """A history by wandb's own scanner, which pages it and reads what W&B moved to parquet files."""
        try:
            rows = self.client.scan_history(
                self.selection.entity, self.selection.project, run.id, run.last_step
            )
        except Unanswered as error:
            return ReadHistory(run, None, f"history not read: {error}")
        short = f"W&B counts {run.lines} history rows and gave {len(rows)}" if len(rows) < run.lines else ""
        return ReadHistory(run, self._milestones(map(_with_numbers, rows)), short)

    def _milestones(self, rows: Iterable[dict[str, Any]]) -> Milestones:
        history = History(self.spectra)
        for row in rows:
            history.add(row)
        return Milestones(history.axis, history.milestones())


def _joined(
    run: ListedRun, count: int, keys: tuple[tuple[str, ...], ...], came: Sequence[Sequence[dict[str, Any]]]
) -> list[dict[str, Any]] | None:
    """Rows put together from what came for each specification, or None where some did not come."""
    always, *lacking = came
    if len(always) < count:
        return None
    rows = {row["_step"]: row for row in always}
    for (_, key), some in zip(keys[1:], lacking, strict=True):
        if len(some) < rows_with(run, key):
            return None
        for row in some:
            if row["_step"] in rows:
                rows[row["_step"]][key] = row[key]
    return [_with_numbers(row) if str in set(map(type, row.values())) else row for row in rows.values()]


_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def _with_numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row in which the three values that JSON has no word for, and W&B writes as text, are numbers."""
    return {key: _NOT_FINITE.get(v, v) if isinstance(v, str) else v for key, v in row.items()}
