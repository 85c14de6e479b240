"""What a user may call a sweep or project on a W&B server: a path, or the URL from the browser."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from selector.errors import UserError
from selector.text import printable

_CLOUD_HOSTS = ("wandb.ai", "forge.coreweave.com")  # one service: W&B moved from the first to the second
_PROJECT_PAGES = {
    "workspace",
    "table",
    "overview",
    "sweeps",
    "runs",
    "groups",
    "artifacts",
    "logs",
    "reportlist",
}
_WANTED = (
    "name a sweep as entity/project/sweep_id or by its URL, a project as entity/project, or a folder of runs"
)


@dataclass(frozen=True)
class Place:
    """A sweep, a group or a whole project.

    Attributes:
        entity: User or team that owns the project; "" is the one whose key is used.
        project: Its name.
        sweep: Id of one sweep of it, or None for all runs.
        group: Name of one group of runs, or None.
        host: Host name of the URL that was given, or None where it was a path.
    """

    entity: str
    project: str
    sweep: str | None = None
    group: str | None = None
    host: str | None = None

    @property
    def path(self) -> str:
        """As W&B writes it."""
        return "/".join(part for part in (self.entity, self.project, self.sweep) if part)

    def filters(self, tag: str | None, group: str | None) -> dict[str, Any]:
        """W&B's filters that select its runs."""
        wanted = (("sweep", self.sweep), ("group", self.group), ("group", group), ("tags", tag))
        filters = [{field: value} for field, value in wanted if value is not None]
        return {"$and": filters} if filters else {}


def places_named(text: str, environment: Mapping[str, str] = os.environ) -> tuple[Place, ...]:
    """Understand a path or a URL.

    With WANDB_ENTITY and WANDB_PROJECT set, W&B's own commands take `project/sweep_id` and a bare sweep id.

    Returns:
        What it may mean, the likeliest first.

    Raises:
        UserError: If it names neither a sweep nor a project.
    """
    url = urlsplit(text.strip()) if "://" in text else None
    host = (url.hostname or "") if url else None
    parts = [unquote(part) for part in (url.path if url else text.strip()).split("/") if part]
    if host and host.endswith("coreweave.com") and parts[:1] == ["wandb"]:
        parts = parts[1:]  # https://forge.coreweave.com/wandb/entity/project
    usual_entity, usual_project = (environment.get(f"WANDB_{what}", "") for what in ("ENTITY", "PROJECT"))
    match parts:
        case [entity, project, "runs", run, *_]:
            raise UserError(f"'{printable(text)}' is the run {printable(run)}, not a sweep: {_WANTED}")
        case [entity, project, "sweeps", sweep, *_]:
            return (Place(entity, project, sweep=sweep, host=host),)
        case [entity, project, "groups", group, *_]:
            return (Place(entity, project, group=group, host=host),)
        case [first, second]:
            project_of_entity = Place(first, second, host=host)
            if url or not usual_entity:
                return (project_of_entity,)
            return (project_of_entity, Place(usual_entity, first, sweep=second))
        case [entity, project, page] if page in _PROJECT_PAGES:
            return (Place(entity, project, host=host),)
        case [entity, project, sweep] if not url:
            return (Place(entity, project, sweep=sweep),)
        case [sweep] if not url and usual_project:
            return (Place(usual_entity, usual_project, sweep=sweep),)
    raise UserError(f"'{printable(text)}' is not a sweep or project: {_WANTED}")


def service_of(host: str) -> str:
    """Which W&B service a host name belongs to: "cloud" for W&B's own, else the host itself."""
    for cloud in _CLOUD_HOSTS:
        if host == cloud or host.endswith(f".{cloud}"):
            return "cloud"
    return host
