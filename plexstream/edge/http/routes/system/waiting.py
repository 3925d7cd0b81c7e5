"""Requests whose answer may come much later: a client that goes away meanwhile waits no more."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.requests import Request

from plexstream.edge.calls.loop import LoopCalls
from plexstream.edge.http.limits import WAITS
from plexstream.edge.http.problems import Problem
from plexstream.edge.http.routes.actors import check_arguments, key_of, read_body, timeout_of
from plexstream.edge.http.routes.paths import ACTORS, WAITING, route
from plexstream.edge.http.routes.system import coordination


async def asked(request: Request, calls: LoopCalls) -> bytes:
    """The answer to an ask below `WAITING`. If its caller goes away, its actor hears of that."""
    body = await body_of(request, calls.calls.max_payload) or b"{}"
    check_arguments(body)
    target, handler, _ = route(ACTORS + request.scope["raw_path"][len(WAITING) :])
    timeout = timeout_of(request.scope["query_string"], _prefer(request))
    request.scope[WAITS] = True
    ask = calls.ask_while_wanted(target, handler, body, timeout=timeout, idempotency_key=_key(request))
    return await while_there(request, _answer_of(ask))


async def operated(request: Request, calls: LoopCalls) -> bytes:
    """The result of an operation on a noun, as JSON."""
    post, scope = request.method == "POST", request.scope
    body = await body_of(request, calls.calls.max_payload) if post else b""
    wanted = coordination.operated(request.method, scope["raw_path"], scope["query_string"], body)
    timeout = timeout_of(scope["query_string"] if post else b"", _prefer(request))
    scope[WAITS] = True
    return await while_there(request, coordination.run(wanted.steps, calls, timeout, _key(request)))


async def body_of(request: Request, limit: int) -> bytes:
    """The body of a request. Raises Problem: it has more than `limit` bytes."""
    length = request.headers.get("content-length", "").encode()
    return await read_body(request.receive, limit, length, expects="expect" in request.headers)


async def while_there(request: Request, work: Coroutine[Any, Any, bytes]) -> bytes:
    """What `work` gives, unless the client goes away before: nobody would read it.

    Raises:
        Problem: the client has gone.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise Problem(400, "disconnected", "the client went away while it waited")
        return tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()


def _prefer(request: Request) -> bytes:
    return request.headers.get("prefer", "").encode("latin-1")


def _key(request: Request) -> str:
    given = request.headers.getlist("idempotency-key")
    return key_of([key.encode("latin-1") for key in given]).decode("latin-1")


async def _answer_of(ask: asyncio.Future[bytes]) -> bytes:
    return await ask
