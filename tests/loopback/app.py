"""The HTTP side: GraphQL, the file stream, and storage."""

import asyncio
import base64
import gzip
import json
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .faults import Fault
from .graph import execute, operation_names
from .operations import NotFound
from .records import Run
from .store import Store


@dataclass
class App:
    """Routes over a store.

    Attributes:
        requests: Names of the operations asked for so far, in order.
        errors: What was refused of them: what a client sent that is not in the schema, or not so.
        faults: What to do wrong.
    """

    store: Store
    api_key: str
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def routes(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/graphql", self.graphql, methods=["POST"]),
                Route("/files/{entity}/{project}/{run}/file_stream", self.file_stream, methods=["POST"]),
                Route("/storage/{number:int}/{name:path}", self.storage, methods=["PUT", "GET"]),
            ]
        )

    async def graphql(self, request: Request) -> Response:
        asked = json.loads(await _body(request))
        names = operation_names(asked["query"])
        return await self._answer(request, names, True, lambda: self._execute(asked))

    def _execute(self, asked: dict[str, Any]) -> Response:
        try:
            with self.store.lock:
                answer = execute(
                    self.store, asked["query"], asked.get("variables"), asked.get("operationName")
                )
        except NotFound as error:
            return _json({"errors": [{"message": str(error)}]}, 404)
        self.errors.extend(error["message"] for error in answer.get("errors", ()))
        return _json(answer, 200)

    async def file_stream(self, request: Request) -> Response:
        sent = json.loads(await _body(request))
        path = request.path_params
        return await self._answer(request, ("file_stream",), False, lambda: self._stream(path, sent))

    def _stream(self, path: dict[str, str], sent: dict[str, Any]) -> Response:
        with self.store.lock:
            try:
                run = self.store.find_run(path["entity"], path["project"], path["run"])
            except ValueError as error:
                return _json({"error": str(error)}, 404)
            receive(self.store, run, sent)
            return _json({"stopped": run.should_stop}, 200)

    async def storage(self, request: Request) -> Response:
        number = request.path_params["number"]
        if request.method == "PUT":
            self.store.contents[number] = await request.body()
            return Response(status_code=200)
        return Response(self.store.contents.get(number), 200 if number in self.store.contents else 404)

    async def _answer(
        self, request: Request, names: tuple[str, ...], is_graphql: bool, work: Any
    ) -> Response:
        """Check the key, misbehave as told, and else do the work."""
        self.requests.extend(names)
        text = (await request.body()).decode(errors="replace")
        for fault in [fault for fault in self.faults if fault.takes(names, is_graphql, text)]:
            if (spoilt := await _spoil(fault, work)) is not None:
                return spoilt
        if not _authorised(request, self.api_key):
            return _json({"errors": [{"message": "permission denied"}]}, 401)
        return work()  # type: ignore[no-any-return]


async def _spoil(fault: Fault, work: Any) -> Response | None:
    """The bad answer, or None where the request is to be answered after all."""
    match fault.kind:
        case "slow":
            await asyncio.sleep(fault.seconds)
            return None
        case "call":
            if fault.action:
                fault.action()
            return None
        case "error":
            return _json({"errors": [{"message": "something broke"}]}, fault.status)
        case "rate_limit":
            headers = {"Retry-After": f"{fault.seconds:g}"}
            return Response('{"errors": [{"message": "rate limit exceeded"}]}', 429, headers)
        case "html":
            return Response("<html><body>Down for maintenance</body></html>", 200, media_type="text/html")
        case "text":
            return Response(fault.text, 200, media_type="application/json")
        case "truncate":
            body = work().body
            return Response(body[: len(body) // 2], 200, media_type="application/json")
        case "drop":
            return _Broken(work().body)


class _Broken(Response):
    """Promises the whole body and stops half-way: the server then closes the connection."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        length = str(len(self.body)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})


def receive(store: Store, run: Run, sent: dict[str, Any]) -> None:
    """Take in one message of a run's file stream."""
    run.heartbeat = time.time()
    for name, chunk in (sent.get("files") or {}).items():
        match name:
            case "wandb-history.jsonl":
                run.write_history(chunk["offset"], chunk["content"])
            case "wandb-events.jsonl" | "output.log":
                lines = run.log_lines if name == "output.log" else run.event_lines
                lines[chunk["offset"] : chunk["offset"] + len(chunk["content"])] = chunk["content"]
            case "wandb-summary.json":
                run.summary = json.loads(chunk["content"][-1])
            case _:
                raise ValueError(f"unknown file in a file stream: {name}")
    if sent.get("preempting"):
        run.preempting, run.state = True, "preempting"
    if sent.get("complete"):
        store.end_run(run, sent["exitcode"])


async def _body(request: Request) -> bytes:
    body = await request.body()
    return gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body


def _authorised(request: Request, api_key: str) -> bool:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return scheme == "Basic" and base64.b64decode(value).decode() == f"api:{api_key}"


def _json(answer: Any, status: int) -> Response:
    return Response(json.dumps(answer), status, media_type="application/json")
