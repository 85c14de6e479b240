"""What a user may call a sweep or project on a W&B server: a path, or the URL from the browser."""

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
class WandbSource:
    """A sweep, a group or a whole project.

    Attributes:
        entity: User or team that owns the project.
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


def parse_source(text: str) -> WandbSource:
    """Understand a path or a URL.

    Raises:
        UserError: If it names neither a sweep nor a project.
    """
    url = urlsplit(text.strip()) if "://" in text else None
    host = (url.hostname or "") if url else None
    parts = [unquote(part) for part in (url.path if url else text.strip()).split("/") if part]
    if host and host.endswith("coreweave.com") and parts[:1] == ["wandb"]:
        parts = parts[1:]  # https://forge.coreweave.com/wandb/entity/project
    match parts:
        case [entity, project, "runs", run, *_]:
            raise UserError(f"'{printable(text)}' is the run {printable(run)}, not a sweep: {_WANTED}")
        case [entity, project, "sweeps", sweep, *_]:
            return WandbSource(entity, project, sweep=sweep, host=host)
        case [entity, project, "groups", group, *_]:
            return WandbSource(entity, project, group=group, host=host)
        case [entity, project]:
            return WandbSource(entity, project, host=host)
        case [entity, project, page] if page in _PROJECT_PAGES:
            return WandbSource(entity, project, host=host)
        case [entity, project, sweep] if not url:
            return WandbSource(entity, project, sweep=sweep)
    raise UserError(f"'{printable(text)}' is no sweep or project: {_WANTED}")


def filters_of(place: WandbSource, tag: str | None, group: str | None) -> list[dict[str, Any]]:
    """W&B's filters that select the runs."""
    wanted = (("sweep", place.sweep), ("group", place.group), ("group", group), ("tags", tag))
    return [{field: value} for field, value in wanted if value is not None]


def service_of(host: str) -> str:
    """Which W&B service a host name belongs to: "cloud" for W&B's own, else the host itself."""
    for cloud in _CLOUD_HOSTS:
        if host == cloud or host.endswith(f".{cloud}"):
            return "cloud"
    return host
