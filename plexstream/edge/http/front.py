"""The HTTP front: which path goes where, and every error as a problem document.

POST /v1/actors/[{tenant}/{namespace}/]{type}/{id}/{handler}        ask
POST /v1/actors/[{tenant}/{namespace}/]{type}/{id}/{handler}/send   tell
GET  /v1/actors/[{tenant}/{namespace}/]{type}/{id}/{handler}        ask of a read-only handler
POST /v1/awakeables/…, /v1/promises/…, /v1/invocations/…            see `edge.http.routes.system.control`
GET  /v1/invocations/{id}                                           see `edge.http.routes.system.invocations`
POST /v1/{noun}/{name}/{operation}                                  see `edge.http.routes.system.coordination`
PUT, GET, HEAD, DELETE /v1/blobs/{container}/{name}                 see `edge.http.routes.system.blobs`
POST /v1/topics/{name}                                              append records
GET  /v1/topics/{name}                                              read records
GET  /v1/status, /health/live, /health/ready, /metrics
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from plexstream.blobs.objects import NOWHERE, Objects
from plexstream.edge.calls.calls import MAX_PAYLOAD, Calls
from plexstream.edge.calls.loop import LoopCalls
from plexstream.edge.http import problems
from plexstream.edge.http.guard import Guard
from plexstream.edge.http.problems import Problem
from plexstream.edge.http.routes.actors import (
    Actors,
    Receive,
    Scope,
    Send,
    timeout_of,
)
from plexstream.edge.http.routes.metrics import CallMetrics, Registry
from plexstream.edge.http.routes.paths import ACTORS, WAITING
from plexstream.edge.http.routes.plain import PlainCalls
from plexstream.edge.http.routes.records import (
    MAX_LINES,
    Allowed,
    by_partition,
    ensure_topic,
    parse_lines,
    read_topic,
)
from plexstream.edge.http.routes.system import control, invocations, waiting
from plexstream.edge.http.routes.system.blobs import PATH, BlobPages
from plexstream.edge.http.routes.system.waiting import body_of, while_there
from plexstream.log.base import Log
from plexstream.model.topics.topics import Topics
from plexstream.sdk.host.coordination.nouns import WORDS

_NO_ROUTE = (
    "no such route; actors are below /v1/actors/, what they coordinate with below /v1/{noun}/{name}/: "
    f"a noun is one of {', '.join(WORDS)}, blobs"
)

log = logging.getLogger(__name__)

MAX_NDJSON = 16 << 20  # bytes of one request's records
MAX_REASONS = 3
FRESH_S = 1.0
_READERS = 4  # threads for what blocks; more reads at once wait their turn

_encode = msgspec.json.Encoder(enc_hook=str).encode


def app(
    calls: Calls,
    *,
    log: Log,
    topics: Topics,
    status: Callable[[], dict[str, Any]],
    metrics_registry: Registry,
    max_body: int = MAX_PAYLOAD,
    max_ndjson: int = MAX_NDJSON,
    sources: Iterable[str] = (),
    refresh: Callable[[], Future[None]] | None = None,
    guard: Guard | None = None,
    blobs: Objects | None = None,
) -> Front:
    """The ASGI application. It belongs to one event loop.

    Args:
        status: what ``/v1/status`` shows; ``ready`` in it decides ``/health/ready``. Called on the event
            loop: it must not block.
        metrics_registry: gets the edge's own metrics, and is what ``/metrics`` shows.
        max_body: bytes of a call's arguments.
        max_ndjson: bytes of one request to append records.
        sources: topics outside of the installation that may be read and appended to.
        refresh: asks for what is to be in the status as of now; waited for up to `FRESH_S` seconds before the
            status or metrics are shown.
        guard: refuses what must not be answered; by default, what a server on loopback does.
        blobs: where their bytes are; by default there are none.
    """
    metrics = CallMetrics(calls, metrics_registry)
    actors = Actors(calls, metrics, max_body=max_body)
    allowed = Allowed(topics, frozenset(sources))
    bytes_of = BlobPages(calls, blobs or Objects(NOWHERE))
    pages = _Pages(calls, log, allowed, status, refresh, metrics, metrics_registry, max_ndjson, bytes_of)
    return Front(actors, pages.starlette(), guard or Guard("127.0.0.1"))


class Front:
    """The ASGI application, and beside it what takes plain calls."""

    def __init__(self, actors: Actors, pages: Starlette, guard: Guard) -> None:
        self._actors = actors
        self._pages = pages
        self._check = guard.check
        self.plain = PlainCalls(actors, guard)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            refusal = self._check(scope)
        except Problem as problem:
            await _refuse(scope, problem, send)
            return
        pages = self._pages
        to_actors = scope["type"] == "http" and scope["raw_path"].startswith(ACTORS)
        if refusal is not None and (scope["method"] == "POST" if to_actors else _has_route(pages, scope)):
            await _refuse(scope, refusal, send)
        elif to_actors:
            await self._actors(scope, receive, send)
        else:
            await pages(scope, receive, send)


def _has_route(app: Starlette, scope: Scope) -> bool:
    """Whether anything takes a request with its method: else that is what its answer has to say."""
    return any(route.matches(scope)[0] is Match.FULL for route in app.routes)


async def _refuse(scope: Scope, problem: Problem, send: Send) -> None:
    id = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    status, headers, body = problems.answer(problem, scope["raw_path"].decode("latin-1"), id)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Pages:
    """Everything that is not a call to an actor."""

    def __init__(
        self, calls: Calls, log: Log, allowed: Allowed, status: Callable[[], dict[str, Any]],
        refresh: Callable[[], Future[None]] | None, metrics: CallMetrics, registry: Registry,
        max_ndjson: int, blobs: BlobPages,
    ) -> None:  # fmt: skip
        self._blobs = blobs
        self._calls = calls
        self._log = log
        self._allowed = allowed
        self._status = status
        self._refresh = refresh
        self._metrics = metrics
        self._registry = registry
        self._max_ndjson = max_ndjson
        self._pool = ThreadPoolExecutor(_READERS, "plexstream-topics-")

    def starlette(self) -> Starlette:
        routes = [
            Route("/health/live", _guarded(self._live)),
            Route("/health/ready", _guarded(self._ready)),
            Route("/metrics", _guarded(self._scrape)),
            Route("/v1/status", _guarded(self._show_status)),
            Route("/v1/topics/{name}", _guarded(self._topic), methods=["GET", "POST"]),
            Route(f"{invocations.PATH}{{id}}", _guarded(self._invocation), methods=["GET"]),
            *(
                Route(f"/v1/{what}/{{rest:path}}", _guarded(self._control), methods=["POST"])
                for what in control.PATHS
            ),
            Route(f"{WAITING}{{rest:path}}", _guarded(self._waited), methods=["POST"]),
            *(
                Route(f"/v1/{word}/{{rest:path}}", _guarded(self._operated), methods=["GET", "POST"])
                for word in WORDS
            ),
            Route(f"{PATH}{{rest:path}}", _guarded(self._blob), methods=["GET", "PUT", "DELETE", "POST"]),
        ]
        app = Starlette(
            routes=routes,
            exception_handlers={HTTPException: _on_http},
        )
        app.router.redirect_slashes = False
        return app

    async def _live(self, request: Request) -> Response:
        return _json(request, {"live": True})

    async def _ready(self, request: Request) -> Response:
        status = self._status()
        if not status.get("ready"):
            why = "; ".join(status.get("why", ())[:MAX_REASONS])
            raise Problem(503, "not_ready", f"this node is not in service: {why or 'it starts'}", data=status)
        return _json(request, {"ready": True})

    async def _show_status(self, request: Request) -> Response:
        await self._fresh()
        return _json(request, self._status())

    async def _fresh(self) -> None:
        if self._refresh is not None:
            await asyncio.wait([asyncio.wrap_future(self._refresh())], timeout=FRESH_S)

    async def _scrape(self, request: Request) -> Response:
        # Not on the loop's thread: the first time it takes longer than hundreds of calls.
        prometheus = await asyncio.to_thread(importlib.import_module, "prometheus_client")
        await self._fresh()
        return Response(
            prometheus.generate_latest(self._registry), media_type=prometheus.CONTENT_TYPE_LATEST
        )

    async def _control(self, request: Request) -> Response:
        begin = perf_counter()
        outcome = ""
        try:
            body = await body_of(request, self._calls.max_payload)
            order = control.order(request.scope["raw_path"], body)
            timeout = timeout_of(request.scope["query_string"], request.headers.get("prefer", "").encode())
            on_loop = LoopCalls(self._calls)
            answer = await on_loop.ask(order.target, order.handler, order.payload, timeout=timeout)
            outcome = "ok"
        except (Exception, asyncio.CancelledError) as error:
            outcome = problems.of(error).code
            raise
        finally:
            self._metrics.observe("control", outcome, perf_counter() - begin)
        return Response(answer, headers=_echo(request), media_type="application/json")

    async def _waited(self, request: Request) -> Response:
        return await self._observed("ask", request, waiting.asked)

    async def _operated(self, request: Request) -> Response:
        return await self._observed("operation", request, waiting.operated)

    async def _observed(
        self, kind: str, request: Request, work: Callable[[Request, LoopCalls], Awaitable[bytes]]
    ) -> Response:
        begin = perf_counter()
        outcome = "cancelled"
        try:
            found = await work(request, LoopCalls(self._calls))
            outcome = "ok"
        except Exception as error:
            outcome = problems.of(error).code
            raise
        finally:
            self._metrics.observe(kind, outcome, perf_counter() - begin)
        return Response(found, headers=_echo(request), media_type="application/json")

    async def _blob(self, request: Request) -> Response:
        begin = perf_counter()
        outcome = "cancelled"
        try:
            found = await self._blobs.page(request)
            outcome = "ok"
        except Exception as error:
            outcome = problems.of(error).code
            raise
        finally:
            self._metrics.observe("blob", outcome, perf_counter() - begin)
        found.headers.update(_echo(request))
        return found

    async def _invocation(self, request: Request) -> Response:
        begin = perf_counter()
        outcome = "cancelled"
        try:
            prefer = request.headers.get("prefer", "").encode("latin-1")
            wait = invocations.wait_of(request.scope["query_string"], prefer)
            steps = invocations.look(request.path_params["id"], wait)
            found = await while_there(request, invocations.look_on(LoopCalls(self._calls), steps))
            outcome = "ok"
        except Exception as error:
            outcome = problems.of(error).code
            raise
        finally:
            self._metrics.observe("look", outcome, perf_counter() - begin)
        headers = {"cache-control": "no-store", **_echo(request)}
        return Response(found, headers=headers, media_type="application/json")

    async def _topic(self, request: Request) -> Response:
        return await (self._publish(request) if request.method == "POST" else self._consume(request))

    async def _publish(self, request: Request) -> Response:
        name = request.path_params["name"]
        self._allowed.check(name, write=True)
        body = await body_of(request, self._max_ndjson)
        lines = parse_lines(body, self._calls.max_payload)
        if lines:
            loop = asyncio.get_running_loop()
            question = partial(ensure_topic, self._log, self._allowed.topics, name)
            partitions = await loop.run_in_executor(self._pool, question)
            calls = LoopCalls(self._calls, loop)
            groups = by_partition(lines, partitions)
            await asyncio.gather(*[calls.append(name, number, items) for number, items in groups.items()])
            self._metrics.published(len(lines))
        return _json(request, {"count": len(lines)}, 202)

    async def _consume(self, request: Request) -> Response:
        name = request.path_params["name"]
        self._allowed.check(name, write=False)
        unknown = set(request.query_params) - {"partition", "from", "limit"}
        if unknown:
            raise Problem(
                400, "bad_query", f"unknown parameter {min(unknown)!r}: known are partition, from, limit"
            )
        partition = _number(request, "partition", None, 1 << 31)
        start = _number(request, "from", 0, 1 << 62) or 0
        limit = _number(request, "limit", 100, MAX_LINES)
        loop = asyncio.get_running_loop()
        body = await loop.run_in_executor(
            self._pool, read_topic, self._log, name, partition, start, limit or 0
        )
        return Response(body, media_type="application/x-ndjson", headers=_echo(request))


def _number(request: Request, name: str, default: int | None, most: int) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most):
        raise Problem(400, "bad_query", f"{name} {text[:40]!r}: give a whole number from 0 to {most}")
    return int(text)


def _json(request: Request, value: object, status: int = 200) -> Response:
    return Response(_encode(value), status, _echo(request), "application/json")


def _echo(request: Request) -> dict[str, str]:
    id = request.headers.get("x-request-id")
    return {"x-request-id": id} if id else {}


async def _on_http(request: Request, error: Exception) -> Response:
    """What Starlette's router refuses: no such route, or not with this method."""
    assert isinstance(error, HTTPException)
    headers = error.headers or {}
    allow = ", ".join(sorted({*headers["Allow"].split(", "), "OPTIONS"})) if "Allow" in headers else ""
    if request.method == "OPTIONS" and allow:
        return Response(status_code=204, headers={"allow": allow, **_echo(request)})
    if error.status_code == 405 and control.is_route(request.scope["raw_path"], allow):
        detail = f"{request.method} is not allowed here, but {allow}"
        problem = Problem(405, "method_not_allowed", detail, headers=((b"allow", allow.encode()),))
    else:
        problem = Problem(404, "not_found", _NO_ROUTE)
    return _on_problem(request, problem)


def _guarded(page: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """`page`, with every error as a problem. Starlette raises again what it has no handler for, upon which
    uvicorn drops the connection, and a client's next request with it."""

    async def guarded(request: Request) -> Response:
        try:
            return await page(request)
        except (Exception, asyncio.CancelledError) as error:  # the latter: the server ends
            problem = problems.of(error)
            if problem.code == "internal":
                log.exception("%s %s failed", request.method, request.url.path)
            return _on_problem(request, problem)

    return guarded


def _on_problem(request: Request, problem: Problem) -> Response:
    id = request.headers.get("x-request-id", "").encode("latin-1")
    status, headers, body = problems.answer(problem, request.scope["raw_path"].decode("latin-1"), id)
    response = Response(body, status)
    response.raw_headers = headers
    return response
