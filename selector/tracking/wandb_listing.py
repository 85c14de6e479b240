"""The list of the runs that a W&B server holds: all about them but their histories."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from selector.runs import Unreadable
from selector.text import printable
from selector.tracking.wandb_client import Unanswered, WandbClient

_PAGE = 250  # runs; the server may give fewer

_QUERY = """
query SelectorRuns($entity: String!, $project: String!, $filters: JSONString, $first: Int, $cursor: String) {
  project(name: $project, entityName: $entity) {
    runCount(filters: $filters)
    runs(filters: $filters, first: $first, after: $cursor, order: "+created_at") {
      edges {
        node {
          id name displayName group jobType sweepName tags state config summaryMetrics
          createdAt heartbeatAt historyLineCount historyKeys
        }
      }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""


@dataclass(frozen=True)
class ListedRun:
    """What the list says of a run.

    Attributes:
        id: W&B's run id.
        name: Display name.
        group: W&B group, or "".
        job_type: W&B job type, or "".
        sweep_id: W&B sweep id, or "".
        tags: W&B tags.
        started: When it was created (seconds since 1970), or None where the server does not say.
        state: W&B's own word for its state.
        config: As wandb.config, W&B's wrapping removed.
        summary: Last value of each key.
        lines: Number of its history rows.
        last_step: W&B step of the last of them, -1 without any.
        keys: Keys in its history → what the server says of them; None where it does not even say the keys.
        signature: Changes whenever the run logs anything, is resumed or rewound, or is made anew.
    """

    id: str
    name: str
    group: str
    job_type: str
    sweep_id: str
    tags: tuple[str, ...]
    started: float | None
    state: str
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    lines: int
    last_step: int
    keys: Mapping[str, Any] | None
    signature: tuple[object, ...]


@dataclass(frozen=True)
class Selection:
    """Runs of one project that meet all of the filters.

    Attributes:
        entity: User or team.
        project: Its project.
        filters: In W&B's Mongo-like form.
    """

    entity: str
    project: str
    filters: Sequence[Mapping[str, Any]] = ()

    def page(self, first: int, cursor: str | None) -> dict[str, Any]:
        """GraphQL variables that ask for one page of these runs."""
        return {
            "entity": self.entity,
            "project": self.project,
            "filters": json.dumps({"$and": list(self.filters)} if self.filters else {}),
            "first": first,
            "cursor": cursor,
        }


@dataclass
class Page:
    """Some of the runs of a selection.

    Attributes:
        total: Number of runs in the whole selection, as far as the server knows.
        runs: Those of this page; a run that moved between two pages is on the first of them only.
        unreadable: What could not be understood, and what could not be listed at all.
    """

    total: int
    runs: list[ListedRun] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)


def list_pages(client: WandbClient, selection: Selection) -> Iterator[Page]:
    """Ask for the pages of the list one after the other, oldest runs first.

    Raises:
        Unanswered: If not even the first page was answered.
    """
    seen: set[str] = set()
    cursor, total = None, 0
    while True:
        try:
            project = client.ask(_QUERY, selection.page(_PAGE, cursor))["project"]
            if project is None:
                raise Unanswered("refused", "the project was deleted while it was read")
        except Unanswered as error:
            if cursor is None:
                raise
            missing = f"{max(total - len(seen), 0)} more of the {total} runs"
            yield Page(total, unreadable=[Unreadable(missing, f"the list broke off: {error}")])
            return
        page = Page(total := project["runCount"])
        for node in nodes(project["runs"]):
            if node["name"] not in seen:
                seen.add(node["name"])
                _add(page, node)
        yield page
        cursor = next_page(project["runs"])
        if cursor is None:
            return


def _add(page: Page, node: Mapping[str, Any]) -> None:
    try:
        page.runs.append(_listed(node))
    except (ValueError, KeyError, TypeError, AttributeError):
        name = printable(node["name"])
        page.unreadable.append(Unreadable(name, "its config or summary on the server is not JSON"))


def _listed(node: Mapping[str, Any]) -> ListedRun:
    """A node of the list, its JSON texts decoded."""
    config = json.loads(node["config"] or "{}")
    history = node["historyKeys"] or {}
    lines = node["historyLineCount"] or 0
    last_step = max(history.get("lastStep", -1), lines - 1)
    return ListedRun(
        id=node["name"],
        name=node["displayName"] or node["name"],
        group=node["group"] or "",
        job_type=node["jobType"] or "",
        sweep_id=node["sweepName"] or "",
        tags=tuple(node["tags"] or ()),
        started=_seconds(node["createdAt"]),
        state=node["state"] or "",
        config={key: _unwrapped(value) for key, value in config.items() if key != "wandb_version"},
        summary=dict(json.loads(node["summaryMetrics"] or "{}")),
        lines=lines,
        last_step=last_step,
        keys=history.get("keys"),
        signature=(node["id"], node["createdAt"], node["heartbeatAt"], node["state"], lines, last_step),
    )


def rows_with(run: ListedRun, key: str) -> int:
    """How many history rows hold a key, 0 where the server does not say: it counts by the value's type."""
    said = (run.keys or {}).get(key)
    counts = [kind.get("count") for kind in (said or {}).get("typeCounts") or ()]
    return sum(counts) if counts and all(type(count) is int for count in counts) else 0


def _seconds(time: str | None) -> float | None:
    """Seconds since 1970 of a time as W&B writes it, in UTC."""
    try:
        moment = datetime.fromisoformat(time or "")
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _unwrapped(value: Any) -> Any:
    """W&B keeps {"value": …, "desc": …} for each key of a config."""
    return value["value"] if isinstance(value, dict) and "value" in value else value


def nodes(connection: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """The items of one page."""
    for edge in connection["edges"] if connection else ():
        yield edge["node"]


def next_page(connection: Mapping[str, Any] | None) -> str | None:
    """Cursor of the page that follows, or None after the last."""
    if not connection or not connection["edges"] or not connection["pageInfo"]["hasNextPage"]:
        return None
    cursor: str = connection["pageInfo"]["endCursor"]
    return cursor
