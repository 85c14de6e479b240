"""Histories of runs from a W&B server: every row, many runs in one answer, several answers at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Self

from pydantic_core import from_json  # comes with wandb, and reads a million numbers twice as fast as json

from selector.runs.history import History
from selector.runs.history_cache import Milestones
from selector.runs.wandb_client import Unanswered, WandbClient
from selector.runs.wandb_listing import ListedRun, Selection, next_page, nodes

_TOGETHER = 50  # runs in one answer …
_ROWS_TOGETHER = 5_000  # … with at most so many rows; a longer history is left to wandb's own scanner
_SAMPLES = 10_000
_AT_ONCE = 6  # requests in flight

# `history` with a range of steps and room for all of their rows is how wandb's own scanner asks; without a
# range it would be W&B's thinned-out history. That all came is checked against the server's count of rows.
_QUERY = """
query SelectorHistories(
  $entity: String!, $project: String!, $filters: JSONString, $first: Int, $cursor: String,
  $maxStep: Int64!, $samples: Int!
) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, first: $first, after: $cursor, order: "+created_at") {
      edges { node { name historyLineCount history(minStep: 0, maxStep: $maxStep, samples: $samples) } }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""


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

    def __init__(self, client: WandbClient, selection: Selection) -> None:
        self._client = client
        self._selection = selection
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self._work: list[Future[list[ReadHistory]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)  # after Ctrl-C nothing more is asked

    def ask_for(self, runs: Sequence[ListedRun]) -> None:
        """Begin to read the histories of these runs."""
        for batch in _batches(runs):
            self._work.append(self._pool.submit(_read, self._client, self._selection, batch))

    def answers(self) -> Iterator[list[ReadHistory]]:
        """What was asked for, each run once: a list an answer, as the answers come."""
        for batch in as_completed(self._work):
            yield batch.result()


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


def _read(client: WandbClient, selection: Selection, batch: list[ListedRun]) -> list[ReadHistory]:
    """Histories of a batch in one answer; where that does not work, of each half, and at last by scan."""
    if batch[0].lines > _ROWS_TOGETHER:
        return [_scan(client, selection, batch[0])]
    try:
        histories = _ask(client, selection, batch)
    except Unanswered as error:
        if error.kind == "silent":
            return [ReadHistory(run, None, f"history not read: {error}") for run in batch]
        if len(batch) == 1:
            return [_scan(client, selection, batch[0])]
        half = len(batch) // 2
        return _read(client, selection, batch[:half]) + _read(client, selection, batch[half:])
    return [_checked(client, selection, run, histories.get(run.id)) for run in batch]


def _ask(
    client: WandbClient, selection: Selection, batch: list[ListedRun]
) -> dict[str, tuple[int, list[str]]]:
    """Run id → the server's count of its history rows, and those rows as JSON."""
    steps = max(run.last_step for run in batch) + 1
    named = Selection(selection.entity, selection.project, [{"name": {"$in": [run.id for run in batch]}}])
    histories: dict[str, tuple[int, list[str]]] = {}
    cursor = None
    while True:
        variables = {**named.page(len(batch), cursor), "maxStep": steps, "samples": min(steps, _SAMPLES)}
        project = client.ask(_QUERY, variables, patient=len(batch) == 1)["project"]
        for node in nodes(project and project["runs"]):
            histories[node["name"]] = (node["historyLineCount"] or 0, node["history"] or [])
        cursor = next_page(project and project["runs"])
        if cursor is None:
            return histories


def _checked(
    client: WandbClient, selection: Selection, run: ListedRun, history: tuple[int, list[str]] | None
) -> ReadHistory:
    """Milestones of a history that came whole; wandb's own scanner for one that did not."""
    if history is None:
        return ReadHistory(run, None, "deleted while the runs were read")
    count, lines = history
    if len(lines) < min(count, run.lines):
        return _scan(client, selection, run)
    text = f"[{','.join(lines)}]"
    try:
        rows = from_json(text)
        if 'NaN"' in text or 'Infinity"' in text:
            rows = [_with_numbers(row) for row in rows]
        return ReadHistory(run, _milestones(rows))
    except (ValueError, AttributeError):
        return ReadHistory(run, None, "a row of its history is no JSON object")


def _scan(client: WandbClient, selection: Selection, run: ListedRun) -> ReadHistory:
    """A history by wandb's own scanner, which pages it and reads what W&B moved to parquet files."""
    try:
        rows = client.scan_history(selection.entity, selection.project, run.id, run.last_step)
    except Unanswered as error:
        return ReadHistory(run, None, f"history not read: {error}")
    short = f"W&B counts {run.lines} history rows and gave {len(rows)}" if len(rows) < run.lines else ""
    return ReadHistory(run, _milestones(map(_with_numbers, rows)), short)


def _milestones(rows: Iterable[Mapping[str, Any]]) -> Milestones:
    history = History()
    for row in rows:
        history.add(row)
    return Milestones(history.axis, history.milestones())


_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def _with_numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row in which the three values that JSON has no word for, and W&B writes as text, are numbers."""
    return {key: _NOT_FINITE.get(v, v) if isinstance(v, str) else v for key, v in row.items()}
