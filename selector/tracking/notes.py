"""What a selector writes back to a W&B server about the runs that it chose from: plain data.

Names in W&B, for the metric NAME:

- on each ranked run the summary fields `selection/NAME/rank`, `/score`, `/epoch` (the score's milestone),
  `/tied` (whether the metric cannot tell it from the best) and `/picked`;
- on the picked run, and on no other of the source, the tag `label-free-best`;
- on its checkpoint, an artifact of type `model`, the alias `label-free-best`: on the version
  `milestone-EPOCH`, or where that is not kept on `last`;
- in one run of job type `selection` for each source, always the same, the tables `ranking/NAME` and, where
  the runs know an accuracy, `regret/NAME`, the report's charts as `charts/NAME/…`, and in its summary
  `selection/decision`: what was decided last.

Tag and alias follow the last decision, whatever its metric was.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MARK = "label-free-best"
DECISION = "selection/decision"
CHECKPOINT_TYPE = "model"


@dataclass(frozen=True)
class NotesTable:
    """A table: as many values in each row as there are columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Pick:
    """A chosen run.

    Attributes:
        run: Its id.
        epoch: The milestone that it was chosen at.
    """

    run: str
    epoch: int


@dataclass(frozen=True)
class Notes:
    """What a ranking says of runs.

    Attributes:
        metric: Name of the metric that chose.
        fields: Run id → what is noted of it, such as {"rank": 1, "score": 41.2}.
        picks: The chosen run of each group.
        tables: Name → table, for the run of job type `selection`.
        charts: Name → Plotly figure as plain data, for the same run.
    """

    metric: str
    fields: Mapping[str, Mapping[str, Any]]
    picks: tuple[Pick, ...]
    tables: Mapping[str, NotesTable]
    charts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        """How the summary fields of this metric begin."""
        return f"selection/{self.metric}/"

    @property
    def decision(self) -> str:
        """As it is kept in the summary of the run of job type `selection`: equal for equal notes."""
        tables = {name: [table.columns, table.rows] for name, table in self.tables.items()}
        fields = {run: dict(f) for run, f in self.fields.items()}
        charts = {name: dict(figure) for name, figure in self.charts.items()}
        content = json.dumps([self.metric, fields, tables, charts], sort_keys=True)
        signature = hashlib.sha256(content.encode()).hexdigest()[:16]
        picks = [[pick.run, pick.epoch] for pick in self.picks]
        return json.dumps({"metric": self.metric, "picks": picks, "signature": signature})

    def summary_of(self, run: str, summary: Mapping[str, Any]) -> dict[str, Any]:
        """A run's summary with what is noted of it, in place of what an earlier ranking noted."""
        kept = {key: value for key, value in summary.items() if not key.startswith(self.prefix)}
        return kept | {self.prefix + name: value for name, value in self.fields.get(run, {}).items()}


def decided(text: object) -> tuple[str, tuple[Pick, ...]] | None:
    """Metric and picks of a decision as it is kept, or None for what is none."""
    try:
        decision = json.loads(text) if isinstance(text, str) else {}
        return str(decision["metric"]), tuple(Pick(str(run), int(epoch)) for run, epoch in decision["picks"])
    except (ValueError, KeyError, TypeError):
        return None


@dataclass
class Changes:
    """What W&B lacks of some notes; or, after writing, what was changed.

    Attributes:
        place: Where the tables are: the run of job type `selection`.
        tables: Whether tables, charts and decision are not there yet.
        noted: Runs whose summary fields differ.
        tag_on: Runs that lack the tag.
        tag_off: Runs that must lose it.
        alias_on: Checkpoints that lack the alias, as collection:version.
        alias_off: Checkpoints that must lose it.
        no_checkpoint: Picked runs whose checkpoint is no artifact in W&B.
    """

    place: str
    tables: bool = False
    noted: list[str] = field(default_factory=list)
    tag_on: list[str] = field(default_factory=list)
    tag_off: list[str] = field(default_factory=list)
    alias_on: list[str] = field(default_factory=list)
    alias_off: list[str] = field(default_factory=list)
    no_checkpoint: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.tables or any(self.lists)

    @property
    def lists(self) -> Sequence[list[str]]:
        """What would be, or was, changed."""
        return (self.noted, self.tag_on, self.tag_off, self.alias_on, self.alias_off)

    def add(self, later: "Changes") -> None:
        """Take in what was changed afterwards."""
        self.tables = self.tables or later.tables
        for mine, theirs in zip(self.lists, later.lists, strict=True):
            mine += [name for name in theirs if name not in mine]
        self.no_checkpoint = later.no_checkpoint
