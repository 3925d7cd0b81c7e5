"""Calls to actors over HTTP, as a bare ASGI application. Nearly all come another way: `edge.plain`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from plexstream.edge.calls.calls import DEFAULT_TIMEOUT, MAX_TIMEOUT, READ_ONLY, Calls
from plexstream.edge.calls.loop import LoopCalls
from plexstream.edge.http import problems
from plexstream.edge.http.problems import Header, Problem
from plexstream.edge.http.routes.metrics import CallMetrics
from plexstream.edge.http.routes.paths import route

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = logging.getLogger(__name__)

MAX_PARAMETERS = 100
_JSON: Header = (b"content-type", b"application/json")
_arguments = msgspec.json.Decoder(dict[str, msgspec.Raw])  # checks the syntax, builds nothing
_encode = msgspec.json.Encoder().encode


class Actors:
    """ASGI application for everything below ``/v1/actors/``. Belongs to one event loop."""

    def __init__(self, calls: Calls, metrics: CallMetrics, *, max_body: int) -> None:
        self.calls = calls
        self.metrics = metrics
        self.max_body = max_body
        self._on_loop: LoopCalls | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin = perf_counter()
        kind = "ask"
        request_id = prefer = length = b""
        keys: list[bytes] = []
        expects = False
        for name, value in scope["headers"]:
            if name == b"idempotency-key":
                keys.append(value)
            elif name == b"x-request-id":
                request_id = value
            elif name == b"content-length":
                length = value
            elif name == b"prefer":
                prefer = value
            elif name == b"expect":
                expects = True
        try:
            key = key_of(keys)
            target, handler, tell = route(scope["raw_path"])
            method = scope["method"]
            headers = None
            if method == "POST":
                payload = await read_body(receive, self.max_body, length, expects=expects) or b"{}"
                check_arguments(payload)
                timeout = timeout_of(scope["query_string"], prefer)
                kind = "tell" if tell else "ask"
            elif method in ("GET", "HEAD") and not tell:
                payload = query_arguments(scope["query_string"])
                timeout = timeout_of(b"", prefer)
                kind = "read"
                headers = READ_ONLY
            else:
                await self._other_method(method, tell, request_id, send)
                return
            calls = self._on_loop
            if calls is None:
                calls = self._on_loop = LoopCalls(self.calls)
            idempotency_key = key.decode("latin-1") if headers is None else ""
            if tell:
                id, done = calls.begin(
                    target, handler, payload, timeout=timeout, idempotency_key=idempotency_key
                )
                await done
                status, body = 202, _encode({"id": id})
                answer_headers = [_JSON, (b"location", b"/v1/invocations/%b" % id.encode())]
            else:
                status = 200
                body = await calls.ask(
                    target, handler, payload,
                    timeout=timeout, idempotency_key=idempotency_key, headers=headers,
                )  # fmt: skip
                answer_headers = [_JSON]
            answer_headers.append((b"content-length", b"%d" % len(body)))
            if request_id:
                answer_headers.append((b"x-request-id", request_id))
            outcome = "ok"
        except (Exception, asyncio.CancelledError) as error:
            # The server cancels what is under way when it ends: nobody else does.
            problem = problems.of(error)
            if problem.code == "internal":
                log.exception("%s %r failed", scope["method"], scope["raw_path"])
            outcome = problem.code
            instance = scope["raw_path"].decode("latin-1")
            status, answer_headers, body = problems.answer(problem, instance, request_id)
        self.metrics.observe(kind, outcome, perf_counter() - begin)
        await send({"type": "http.response.start", "status": status, "headers": answer_headers})
        await send({"type": "http.response.body", "body": body})

    async def _other_method(self, method: str, tell: bool, request_id: bytes, send: Send) -> None:
        allow = b"POST, OPTIONS" if tell else b"GET, HEAD, POST, OPTIONS"
        if method != "OPTIONS":
            raise Problem(
                405, "method_not_allowed", f"{method} is not allowed here, but {allow.decode()}",
                headers=((b"allow", allow),),
            )  # fmt: skip
        headers = [(b"allow", allow)]
        if request_id:
            headers.append((b"x-request-id", request_id))
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def key_of(keys: list[bytes]) -> bytes:
    """The idempotency key of a request, empty without one. Raises Problem: a call is not to lose it."""
    if len(keys) > 1:
        raise Problem(400, "bad_request", "there are two Idempotency-Key headers: send one")
    if keys == [b""]:
        raise Problem(422, "bad_arguments", "the idempotency key is empty: use 1 to 256 printable characters")
    return keys[0] if keys else b""


async def read_body(receive: Receive, limit: int, length: bytes = b"", *, expects: bool = False) -> bytes:
    """The body of a request.

    Args:
        length: what the request declares, if it does.
        expects: whether the client sends it only when it is told to go on.

    Raises:
        Problem: 413 if it has more than `limit` bytes. What follows is still taken off the connection, up
            to four times the limit: a client that is still sending would not read the answer.
        ConnectionError: the client went away.
    """
    declared = int(length) if length.isdigit() else 0
    if declared > (limit if expects else 4 * limit):  # known before any of it has come
        raise _body_too_large(declared, limit, ((b"connection", b"close"),))
    message = await receive()
    body: bytes = message.get("body", b"")
    size = len(body)
    if message.get("more_body"):
        parts = [body]
        while message.get("more_body") and size <= 4 * limit:
            message = await receive()
            part = message.get("body", b"")
            size += len(part)
            if size <= limit:
                parts.append(part)
        body = b"".join(parts)
        if message.get("more_body"):
            raise _body_too_large(max(size, declared), limit, ((b"connection", b"close"),))
    if message["type"] == "http.disconnect":
        raise Problem(400, "disconnected", "the client went away while it sent the body")
    if size > limit:
        raise _body_too_large(size, limit, ())
    return body


def _body_too_large(size: int, limit: int, headers: tuple[Header, ...]) -> Problem:
    return Problem(
        413, "too_large", f"the body has {size} bytes or more, at most {limit} are allowed", headers=headers
    )


def check_arguments(payload: bytes) -> None:
    """Raises Problem (400) if `payload` is no JSON object in UTF-8."""
    try:
        _arguments.decode(payload)
        payload.decode()  # what is skipped over is not looked into
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "bad_json", f"the body must be a JSON object of the arguments: {error}") from None


def query_arguments(query: bytes) -> bytes:
    """The arguments of a read, from its query. The values stay strings: "007" is no number.

    Raises:
        Problem: 400 for a parameter given twice, text that is not UTF-8, or more than `MAX_PARAMETERS`.
    """
    if not query:
        return b"{}"
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except ValueError as error:
        raise Problem(400, "bad_query", f"the query cannot be read: {error}") from None
    arguments = dict(pairs)
    if len(arguments) != len(pairs):
        raise Problem(400, "bad_query", "a query parameter is given twice: to pass a list, use POST")
    return _encode(arguments)


def timeout_of(query: bytes, prefer: bytes) -> float:
    """Seconds, from the query's `timeout` or from RFC 7240's ``Prefer: wait=…``."""
    if not query and not prefer:
        return DEFAULT_TIMEOUT
    text = prefer.decode("latin-1").partition("wait=")[2].partition(",")[0].partition(";")[0].strip()
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name != "timeout":
            raise Problem(
                400, "bad_query",
                f"unknown query parameter {name!r}: arguments go into the body; only timeout is taken here",
            )  # fmt: skip
        text = value
    if not text:
        return DEFAULT_TIMEOUT
    try:
        timeout = float(text)
    except ValueError:
        timeout = 0.0
    if not 0 < timeout <= MAX_TIMEOUT:
        raise Problem(
            400, "bad_timeout", f"timeout {text!r}: give seconds above 0, at most {MAX_TIMEOUT:.0f}"
        )
    return timeout
