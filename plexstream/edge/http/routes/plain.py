"""Calls to actors as nearly all of them come: answered without a task, an ASGI scope and a future for each.

Whatever is unusual about a request is left to `edge.actors`, before anything was done for it: a header of
more than the plain ones, a body in chunks, a path of no handler, a request that is refused. The answers are
the same (ADR 29).
"""

from __future__ import annotations

import asyncio
import logging
from functools import lru_cache
from time import perf_counter
from typing import Protocol

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from plexstream.edge.calls.calls import READ_ONLY, Calls
from plexstream.edge.calls.loop import hand_over
from plexstream.edge.calls.sender import Sending
from plexstream.edge.calls.waiters import Done
from plexstream.edge.http import problems
from plexstream.edge.http.guard import Guard, is_json
from plexstream.edge.http.problems import Header, Problem
from plexstream.edge.http.routes.actors import Actors, check_arguments, query_arguments, timeout_of
from plexstream.edge.http.routes.paths import ACTORS, route
from plexstream.model.messages.message import ASK, TELL

log = logging.getLogger(__name__)

_UNUSUAL = frozenset({b"origin", b"prefer", b"expect", b"transfer-encoding", b"upgrade", b"trailer"})
_encode = msgspec.json.Encoder().encode
_timeout_of = lru_cache(maxsize=4096)(timeout_of)
_JSON = b"content-type: application/json\r\n"
_OK = STATUS_LINE[200] + _JSON
_ACCEPTED = STATUS_LINE[202] + _JSON


class Answered(Protocol):
    """The connection that a request came by."""

    loop: asyncio.AbstractEventLoop

    def answer(self, head: bytes, body: bytes, keep_alive: bool) -> None:
        """Send an answer. `head`: its status line and headers, without what each answer has."""


class _NobodyWaits:
    def set(self) -> None:
        """No task is to be woken."""


_NOBODY = _NobodyWaits()


class Plain:
    """One such call. Has, as uvicorn's cycles do, what a connection asks of its requests."""

    __slots__ = (
        "_actors", "_begin", "_connection", "_handler", "_id", "_key", "_path", "_request_id", "_sink",
        "_target", "_timeout", "body", "disconnected", "keep_alive", "kind", "message_event", "more_body",
        "response_complete", "response_started",
    )  # fmt: skip

    def __init__(
        self, actors: Actors, sink: _Sink, connection: Answered, kind: str, target: str, handler: str,
        body: bytes, timeout: float, key: str, path: bytes, request_id: bytes, keep_alive: bool,
    ) -> None:  # fmt: skip
        self._actors = actors
        self._sink = sink
        self._connection = connection
        self.kind = kind  # ask, tell or read
        self._target, self._handler = target, handler
        self.body = body
        self._timeout = timeout
        self._key = key
        self._path = path
        self._request_id = request_id
        self.keep_alive = keep_alive
        self._begin = perf_counter()
        self._id = ""
        self.more_body = True
        self.response_started = self.response_complete = self.disconnected = False
        self.message_event = _NOBODY

    def start(self) -> None:
        """It has arrived as a whole."""
        self.more_body = False
        kind, payload = self.kind, self.body or b"{}"
        try:
            if kind == "read":
                headers = READ_ONLY
            else:
                headers = None
                check_arguments(payload)
            id = self._actors.calls.submit(
                TELL if kind == "tell" else ASK, self._target, self._handler, payload, self._timeout,
                self._key, headers, self._sink, self, kind == "tell", self._sink.put,
            )  # fmt: skip
            if kind == "tell":
                self._id = id
        except Exception as error:  # later: this is called from within the parser
            self._connection.loop.call_soon(self.finish, None, error)

    def finish(self, result: bytes | None, error: BaseException | None) -> None:
        """It has come to this."""
        if self.response_complete:
            return
        self.response_started = self.response_complete = True
        if error is not None:
            self._fail(error)
            return
        self._actors.metrics.observe(self.kind, "ok", perf_counter() - self._begin)
        if self.disconnected:
            return
        head = _OK
        if self.kind == "tell":
            result = _encode({"id": self._id})
            head = b"%blocation: /v1/invocations/%b\r\n" % (_ACCEPTED, self._id.encode())
        assert result is not None
        id = b"x-request-id: %b\r\n" % self._request_id if self._request_id else b""
        self._connection.answer(
            b"%bcontent-length: %d\r\n%b" % (head, len(result), id), result, self.keep_alive
        )

    def _fail(self, error: BaseException) -> None:
        problem = problems.of(error)
        if problem.code == "internal":
            log.error("a %s of %r failed", self.kind, self._path, exc_info=error)
        self._actors.metrics.observe(self.kind, problem.code, perf_counter() - self._begin)
        if self.disconnected:
            return
        answer = problems.answer(problem, self._path.decode("latin-1"), self._request_id)
        self._connection.answer(STATUS_LINE[answer[0]] + lines(answer[1]), answer[2], self.keep_alive)


def lines(headers: list[Header]) -> bytes:
    """Headers as they are sent."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


class _Sink:
    """Finishes plain calls on their event loop, each batch with a single `call_soon_threadsafe`.

    And lets them go together: those that one look at the sockets has brought. For each by itself the sender's
    thread would be woken, and take turns with this one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, calls: Calls) -> None:
        self._loop = loop
        self._calls = calls
        self._put: list[Sending] = []

    def put(self, sending: Sending) -> None:
        """To be sent. On the loop."""
        if not self._put:
            self._loop.call_soon(self._send)
        self._put.append(sending)

    def _send(self) -> None:
        sendings, self._put = self._put, []
        self._calls.send(sendings)

    def deliver(self, done: list[Done]) -> None:
        hand_over(self._loop, _finish, done)


def _finish(done: list[Done]) -> None:
    for plain, result, error in done:
        try:
            plain.finish(result, error)
        except Exception:  # one connection's fault must not leave the others without an answer
            log.exception("answering a call failed")


class PlainCalls:
    """Finds the plain calls among the requests. Belongs to one event loop.

    Parameters:
        actors: takes all others.
        guard: refuses requests; what it would refuse is not plain.
    """

    def __init__(self, actors: Actors, guard: Guard) -> None:
        self._actors = actors
        self._guard = guard
        self._sink: _Sink | None = None

    def take(
        self, connection: Answered, method: bytes, url: bytes, headers: list[Header], keep_alive: bool
    ) -> Plain | None:
        """The call that a request of HTTP/1.1 is, whose head has arrived; None where it is no plain one."""
        if not url.startswith(ACTORS) or b"#" in url or not url.isascii():
            return None
        host = media = key = None
        request_id, length = b"", 0
        for name, value in headers:
            if name == b"host":
                if host is not None:
                    return None
                host = value
            elif name == b"content-type":
                media = value
            elif name == b"content-length":
                if not value.isdigit():
                    return None
                length = int(value)
            elif name == b"idempotency-key":
                if key is not None or not value:
                    return None
                key = value
            elif name == b"x-request-id":
                request_id = value
            elif name in _UNUSUAL:
                return None
        if host is None or not self._guard.serves(host):
            return None
        path, _, query = url.partition(b"?")
        body = b""
        try:
            target, handler, tell = route(path)
            if method == b"POST":
                if length > self._actors.max_body:
                    return None
                if not (key or request_id or (media is not None and is_json(media))):
                    return None
                kind = "tell" if tell else "ask"
                timeout = _timeout_of(query, b"")
            elif method == b"GET" and not tell and not length:
                kind, key = "read", None
                body = query_arguments(query)
                timeout = _timeout_of(b"", b"")
            else:
                return None
        except Problem:
            return None
        if self._sink is None:
            self._sink = _Sink(asyncio.get_running_loop(), self._actors.calls)
        return Plain(
            self._actors, self._sink, connection, kind, target, handler, body, timeout,
            key.decode("latin-1") if key else "", path, request_id, keep_alive,
        )  # fmt: skip
