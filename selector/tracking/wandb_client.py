"""Questions to a W&B server in its GraphQL, asked through wandb's own client.

wandb's client (its process wandb-core) repeats by itself, with growing pauses, what a server answers with
429 or 5xx or not at all, and heeds Retry-After. Here is added what it leaves to the caller: an answer that
broke off or is no JSON is asked for again, silence ends after a while, and errors become one line.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic_core import from_json

from selector.errors import UserError
from selector.text import printable
from selector.tracking.wandb_modes import settings_of_wandb
from selector.tracking.wandb_source import service_of

if TYPE_CHECKING:
    import wandb

_LOGIN_SECONDS = 20  # for the first answer of all; a server that is there gives it at once


class Unreachable(UserError):
    """The server gives no useful answer just now; a later try may get one."""


class Unanswered(Exception):
    """A question that got no useful answer; its text is one line.

    Attributes:
        kind: "refused" by the server for a reason, "garbled" answers, "slow" within the time for one
            question, or "silent" when the server has not answered anything for too long.
    """

    def __init__(self, kind: Literal["refused", "garbled", "slow", "silent"], reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds.

    Attributes:
        answer: For one answer, wandb's own repetitions included; W&B's rate limits ask for up to 60.
        silence: Without any answer to any question, until the server counts as gone.
        garbled: Pauses before an unreadable answer is asked for again, and again.
    """

    answer: float = 90.0
    silence: float = 180.0
    garbled: tuple[float, ...] = (0.5, 1.0, 2.0)


class WandbClient:
    """A logged-in wandb.Api that several threads may ask at once."""

    def __init__(self, api: "wandb.Api", patience: Patience) -> None:
        self._service = api._service_api
        self._patience = patience
        self._lock = threading.Lock()
        self._silent_since: float | None = None
        self.server = str(self._service.base_url)

    @classmethod
    def connect(cls, host: str | None, patience: Patience) -> Self:
        """Log in with the credentials that wandb finds in the environment, netrc or its settings.

        Args:
            host: Host name that the user's URL has; it must be the server that wandb is set up for: a key
                is never sent to where a URL happens to point.
            patience: How long to wait for answers.

        Raises:
            UserError: Without credentials, with wrong ones, or if the server does not answer.
        """
        import wandb
        from wandb.sdk.lib import wbauth

        with settings_of_wandb():
            server = str(wandb.env.get_base_url(wandb.setup().settings.base_url))
        seconds = max(1, round(min(patience.answer, _LOGIN_SECONDS)))
        try:
            # Api() by itself would ask for a key at the keyboard.
            login = wbauth.authenticate_session(
                host=server, source="selector", prompt=False, update_session=False
            )
            if login is None:
                raise UserError(f"no W&B login for {server}: run `wandb login`, or set WANDB_API_KEY")
            api = wandb.Api(timeout=seconds)
        except (wandb.errors.Error, ValueError) as error:
            if "did not respond in time" in str(error):
                raise Unreachable(
                    f"no answer from the W&B server {server} within {seconds} s:"
                    " check the network, or WANDB_BASE_URL"
                ) from None
            raise UserError(f"cannot log in to W&B at {server}: {_one_line(error)}") from None
        app = urlsplit(api._service_api.app_url).hostname or ""
        if host is not None and service_of(host) not in (service_of(app), urlsplit(server).hostname):
            raise UserError(
                f"the URL is of {printable(host)}, but wandb is set up for {app}:"
                f" set WANDB_BASE_URL to the server of {printable(host)}"
            )
        return cls(api, patience)

    def ask(
        self, query: str, variables: Mapping[str, Any], patient: bool = True, field: str = "project"
    ) -> dict[str, Any]:
        """The `data` of the answer.

        Args:
            query: GraphQL document; asking twice must do no harm.
            variables: Its variables.
            patient: Ask again after a slow answer, until the server counts as gone.
            field: What the query asks for first of all: an answer without it is none of W&B's.

        Raises:
            Unanswered: If there is no useful answer.
        """
        pauses = list(self._patience.garbled)
        while True:
            try:
                return self._ask_once(query, variables, field)
            except Unanswered as error:
                if error.kind == "slow" and patient:
                    continue
                if error.kind == "garbled" and pauses:
                    time.sleep(pauses.pop(0))
                    continue
                raise

    def _ask_once(self, query: str, variables: Mapping[str, Any], field: str) -> dict[str, Any]:
        from wandb.sdk.lib.service.service_connection import WandbApiFailedError

        started = time.monotonic()
        self._give_up_on_silence(started)
        try:
            answer: dict[str, Any] = self._service.execute_graphql(
                query, variables, timeout=self._patience.answer, parse=from_json
            )
        except WandbApiFailedError as error:
            raise self._judge(error, started) from None
        except ValueError:  # JSON is decoded on this side too
            raise Unanswered("garbled", "the answer is not JSON") from None
        self._heard()
        if not isinstance(answer, dict) or field not in answer:
            raise Unanswered("garbled", "the answer is not one of W&B's")
        return answer

    def _judge(self, error: Any, started: float) -> Unanswered:
        """What a failure of wandb's client means."""
        reason = _one_line(error)
        status = error.response.http_status if error.response is not None else 0
        if error.response is None:  # wandb's client was still waiting or repeating
            with self._lock:
                self._silent_since = min(self._silent_since or started, started)
            return Unanswered("slow", f"no answer within {self._patience.answer:g} s")
        self._heard()
        # An HTTP status, GraphQL's own errors, or an HTTP status as wandb's history scanner writes it.
        if status or reason.startswith(("input:", "returned error")):
            return Unanswered("refused", f"HTTP {status}: {reason}" if status else reason)
        return Unanswered("garbled", f"the answer is broken: {reason}")

    def _heard(self) -> None:
        with self._lock:
            self._silent_since = None

    def _give_up_on_silence(self, now: float) -> None:
        with self._lock:
            silent = now - self._silent_since if self._silent_since is not None else 0.0
        if silent >= self._patience.silence:
            raise Unanswered("silent", f"{self.server} has not answered for {silent:.0f} s")

    def scan_history(self, entity: str, project: str, run: str, last_step: int) -> list[dict[str, Any]]:
        """All history rows of a run by wandb's own scanner, which also reads what W&B moved to parquet.

        Raises:
            Unanswered: If a page stays unread.
        """
        from wandb.apis.public import HistoryScan
        from wandb.sdk.lib.service.service_connection import WandbApiFailedError

        self._give_up_on_silence(started := time.monotonic())
        try:
            scan = HistoryScan(
                _RunPath(entity, project, run),  # type: ignore[arg-type]
                service_api=_Timed(self._service, self._patience.answer),  # type: ignore[arg-type]
                min_step=0,
                max_step=last_step + 1,
            )
            rows = list(scan)
        except WandbApiFailedError as error:
            raise self._judge(error, started) from None
        self._heard()
        return rows


@dataclass(frozen=True)
class _RunPath:
    """All that wandb's scanner asks of a run."""

    entity: str
    project: str
    id: str


class _Timed:
    """wandb's service with a time limit: its scanner would wait for ever."""

    def __init__(self, service: Any, timeout: float) -> None:
        self._service = service
        self._timeout = timeout

    def send_api_request(self, request: object) -> Any:
        return self._service.send_api_request(request, timeout=self._timeout)

    def finalize(self, obj: object, cleanup: object) -> None:
        self._service.finalize(obj, cleanup)


def _one_line(error: BaseException) -> str:
    """The text of an error in one line; wandb's own errors hold no credentials."""
    return " ".join(printable(str(error)).split()) or type(error).__name__
