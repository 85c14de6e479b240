"""The way to a W&B server: what a user may call a sweep, and wandb.Api, logged in.

wandb's client repeats by itself, with growing pauses, what a server answers with 429 or 5xx or not at all,
and heeds Retry-After. An answer that broke off it leaves to the caller: that is asked for again here.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from selector.errors import UserError
from selector.text import first_line, printable

if TYPE_CHECKING:
    import wandb

T = TypeVar("T")

MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")  # of WANDB_MODE
SILENT_MODES = {"offline", "disabled", "dryrun"}  # nothing is to be sent

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
_PAGE = 100  # runs in one answer of a list
LOGIN_SECONDS = 20  # for the first answer of all, which a server that is there gives at once
ANSWER_SECONDS = 90  # for one answer, wandb's own repetitions included; W&B's rate limits ask for up to 60
PAUSES = (0.5, 1.0, 2.0)  # seconds, before an answer that broke off is asked for again, and again
_SLOW = "did not respond in time"  # wandb's words where its own repetitions take longer than the timeout


class Unreachable(UserError):
    """The server gives no useful answer just now; a later try may get one."""


@dataclass(frozen=True)
class Place:
    """A sweep, a group or a whole project."""

    entity: str  # user or team that owns the project; "" is the one whose key is used
    project: str
    sweep: str | None = None
    group: str | None = None
    host: str | None = None  # of the URL that was given; None where it was a path

    @property
    def path(self) -> str:
        """As W&B writes it."""
        return "/".join(part for part in (self.entity, self.project, self.sweep) if part)

    def filters(self, tag: str | None, group: str | None) -> dict[str, Any]:
        """W&B's filters that select its runs."""
        wanted = (("sweep", self.sweep), ("group", self.group), ("group", group), ("tags", tag))
        filters = [{field: value} for field, value in wanted if value is not None]
        return {"$and": filters} if filters else {}


@dataclass(frozen=True)
class Found:
    """A sweep or project that is there."""

    api: "wandb.Api"  # logged in; several threads may ask it at once
    place: Place
    server: str  # its URL
    sweep: Any  # what wandb's client says of it, or None for a project

    def runs(self, filters: dict[str, Any]) -> Any:
        """The runs that W&B's filters select, as wandb's client lists them: anew with each call."""
        self.api.flush()  # type: ignore[no-untyped-call]
        path = f"{self.place.entity}/{self.place.project}"
        return self.api.runs(path, filters=filters, per_page=_PAGE, lazy=False)

    def each(self, listing: Any) -> Iterator[Any]:
        """The items of a list of wandb's client; by their places, so that a page can be asked for again."""
        for place in count():
            try:
                yield again(partial(listing.__getitem__, place))
            except IndexError:
                return


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


@contextmanager
def settings_of_wandb() -> Iterator[None]:
    """For wandb's first calls, which read the WANDB_* variables and W&B's own files of settings.

    Raises:
        UserError: wandb does not take one of them.
    """
    if os.environ.get("WANDB_MODE") == "":
        del os.environ["WANDB_MODE"]  # empty is unset, as for W&B's other variables
    try:
        yield
    except (ValueError, RuntimeError) as error:  # of pydantic's, and of a user without a home folder
        raise UserError(
            f"W&B refuses a setting ({_refused(error)}): check the WANDB_ environment variables"
        ) from error


def _refused(error: Exception) -> str:
    """Which setting and why, without its value, which may be a key."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return printable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    return printable(first_line(error))


def find(source: str) -> Found:
    """Log in, and look for what a user named.

    Raises:
        UserError: The source names nothing, there is no such thing, or the key is missing or wrong.
        Unreachable: The server does not answer.
    """
    places = places_named(source)
    api, server = _connect(places[0].host)
    try:
        places = tuple(replace(one, entity=one.entity or api.default_entity or "") for one in places)
        for place in places:
            if place.sweep is None and _project_exists(api, place):
                return Found(api, place, server, None)
            if place.sweep is not None and (sweep := _sweep(api, place)) is not None:
                return Found(api, place, server, sweep)
        with_project = [one for one in places if one.sweep and _project_exists(api, one)]
    except Exception as error:  # of wandb's client, which raises private kinds too
        raise Unreachable(f"cannot read {printable(source)} from {server}: {reason(error)}") from None
    place = (with_project or places)[0]
    named = f"{printable(place.entity)}/{printable(place.project)}"
    if with_project:
        raise UserError(
            f"no sweep {printable(place.sweep or '')} in {named} on {server}:"
            " it was deleted, it has another id, or this is the id of a run"
        )
    raise UserError(
        f"no project {named} on {server}, or no access to it:"
        " check the path, and whose key you are logged in with"
    )


def _connect(host: str | None) -> tuple["wandb.Api", str]:
    """An API with the credentials that wandb finds in the environment, netrc or its settings.

    A key is never sent to where a URL happens to point: its host must be the server that wandb is set up for.
    """
    import wandb

    with settings_of_wandb():
        settings = wandb.setup(settings=wandb.Settings(silent=True)).settings  # silent: no key is asked for
    server, app = str(settings.base_url).rstrip("/"), urlsplit(str(settings.app_url)).hostname or ""
    if host is not None and service_of(host) not in (service_of(app), urlsplit(server).hostname):
        raise UserError(
            f"the URL points to {printable(host)}, but wandb is set up for {app}:"
            f" set WANDB_BASE_URL to the server of {printable(host)}"
        )
    try:
        wandb.Api(timeout=LOGIN_SECONDS)
        return wandb.Api(timeout=ANSWER_SECONDS), server
    except wandb.errors.UsageError:
        raise UserError(f"no W&B login for {server}: run `wandb login`, or set WANDB_API_KEY") from None
    except (wandb.errors.Error, ValueError) as error:
        if _SLOW in str(error):
            raise Unreachable(
                f"no answer from the W&B server {server} within {LOGIN_SECONDS} s:"
                " check the network, or WANDB_BASE_URL"
            ) from None
        raise UserError(f"cannot log in to W&B at {server}: {reason(error)}") from None


def _project_exists(api: "wandb.Api", place: Place) -> bool:
    return _if_found(lambda: api.project(place.project, place.entity).id) is not None


def _sweep(api: "wandb.Api", place: Place) -> Any | None:
    return _if_found(lambda: api.sweep(place.path))  # type: ignore[no-untyped-call]


def _if_found(call: Callable[[], T]) -> T | None:
    try:
        return again(call)
    except Exception as error:
        if _says_no(error):
            return None
        raise


def again(call: Callable[[], T]) -> T:
    """What a call of wandb's client gives; an answer that broke off is asked for again."""
    for pause in PAUSES:
        try:
            return call()
        except Exception as error:
            if isinstance(error, IndexError) or _says_no(error) or _SLOW in str(error):
                raise
            time.sleep(pause)
    return call()


def reason(error: BaseException) -> str:
    """Why a call of wandb's client failed, in one line; its errors hold no credentials."""
    from pydantic import ValidationError

    inner = _inner(error)
    if isinstance(inner, AttributeError | KeyError | TypeError | ValidationError):
        return "the answer lacks fields that W&B always sends"
    if _SLOW in str(inner):
        return "no usable answer in time, although wandb's client kept asking"
    return " ".join(printable(str(inner)).split()) or type(inner).__name__


def _says_no(error: BaseException) -> bool:
    """Whether wandb's client found nothing, rather than failed."""
    return type(_inner(error)) is ValueError


def _inner(error: BaseException) -> BaseException:
    """The error that wandb's client wrapped in one of its own."""
    return getattr(error, "exc", None) or error.__cause__ or error
