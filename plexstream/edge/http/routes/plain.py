"""Calls to actors as nearly all of them come: answered without a task, an ASGI scope and a future for each.

Whatever is unusual about a request is left to `edge.actors`, before anything was done for it: a header of
more than the plain ones, a body in chunks, a path of no handler, a request that is refused. The answers are
the same (ADR 29).
"""

from __future__ import annotations

import asyncio
import logging
import re
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from plexstream.edge.calls.calls import READ_ONLY, Calls
from plexstream.edge.calls.loop import hand_over
from plexstream.edge.calls.sending.ways import Sending
from plexstream.edge.calls.waiters import Done
from plexstream.edge.http import problems
from plexstream.edge.http.guard import Guard, is_json
from plexstream.edge.http.problems import Header, Problem
from plexstream.edge.http.routes.actors import Actors, check_arguments, query_arguments, timeout_of
from plexstream.edge.http.routes.paths import ACTORS, route
from plexstream.model.messages.message import ASK, TELL
from plexstream.model.process.compiled import WANTED

if TYPE_CHECKING:
    from types import ModuleType

try:
    if not WANTED:
        raise ImportError
    from plexstream.edge.http import _writes
except ImportError:
    WRITES: ModuleType | None = None
    """None: each answer is written by itself."""
else:
    WRITES = _writes

log = logging.getLogger(__name__)

_UNUSUAL = frozenset({b"origin", b"prefer", b"expect", b"transfer-encoding", b"upgrade", b"trailer"})
_encode = msgspec.json.Encoder().encode
_timeout_of = lru_cache(maxsize=4096)(timeout_of)
_JSON = b"content-type: application/json\r\n"
_OK = STATUS_LINE[200] + _JSON
_ACCEPTED = STATUS_LINE[202] + _JSON

WHOLE_LINE, WHOLE_HEAD = 512, 2048
"""Bytes of the first line, and of the whole head, of a request that is looked at without the parser."""
WHOLE_HEADERS = 32
_END = b"\r\n\r\n"
_LINE = re.compile(rb"(POST|GET) (/[\w.~:@!$&'()*+,;=%/?-]*) HTTP/1\.1", re.ASCII)
_HEADER = re.compile(rb"([A-Za-z0-9-]+): ?([!-~](?:[ -~]*[!-~])?)?")
_OF_CONNECTIONS = {b"connection": b"keep-alive", b"proxy-connection": b"keep-alive"}
"""What these say where a connection goes on as it does without them."""


class Answered(Protocol):
    """The connection that a request came by."""

    loop: asyncio.AbstractEventLoop

    def answer(self, head: bytes, body: bytes, keep_alive: bool) -> None:
        """Send an answer. `head`: its status line and headers, without what each answer has."""


class _NobodyWaits:
    def set(self) -> None:
        """No task is to be woken."""


_NOBODY = _NobodyWaits()


class Call(NamedTuple):
    """What the first line of a plain call says."""

    kind: str  # ask, tell or read
    target: str
    handler: str
    arguments: bytes  # of a read
    timeout: float
    url: bytes


class Marks(NamedTuple):
    """What the headers of a plain call say."""

    length: int  # of its body
    key: str
    request_id: bytes
    own: bool  # it comes from no web page


class Plain:
    """One such call. Has, as uvicorn's cycles do, what a connection asks of its requests."""

    __slots__ = (
        "_actors", "_begin", "_connection", "_id", "_sink", "body", "call", "disconnected", "keep_alive",
        "marks", "message_event", "more_body", "response_complete", "response_started",
    )  # fmt: skip

    def __init__(
        self, actors: Actors, sink: _Sink, connection: Answered, call: Call, marks: Marks, body: bytes,
        keep_alive: bool,
    ) -> None:  # fmt: skip
        self._actors = actors
        self._sink = sink
        self._connection = connection
        self.call = call
        self.marks = marks
        self.body = body
        self.keep_alive = keep_alive
        self._begin = perf_counter()
        self.more_body = True
        self.response_started = self.response_complete = self.disconnected = False
        self.message_event = _NOBODY

    def start(self) -> None:
        """It has arrived as a whole."""
        self.more_body = False
        kind, target, handler, _, timeout, _ = self.call
        payload = self.body or b"{}"
        tells = kind == "tell"
        try:
            if kind == "read":
                key, headers = "", READ_ONLY
            else:
                key, headers = self.marks.key, None
                check_arguments(payload)
            self._id = self._actors.calls.submit(
                TELL if tells else ASK, target, handler, payload, timeout, key, headers, self._sink, self,
                tells, self._sink.put,
            )  # fmt: skip
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
        kind = self.call.kind
        self._actors.metrics.observe(kind, "ok", perf_counter() - self._begin)
        if self.disconnected:
            return
        head = _OK
        if kind == "tell":
            result = _encode({"id": self._id})
            head = b"%blocation: /v1/invocations/%b\r\n" % (_ACCEPTED, self._id.encode())
        assert result is not None
        id = self.marks.request_id
        line = b"x-request-id: %b\r\n" % id if id else b""
        self._connection.answer(
            b"%bcontent-length: %d\r\n%b" % (head, len(result), line), result, self.keep_alive
        )

    def _fail(self, error: BaseException) -> None:
        problem, path = problems.of(error), self.call.url.partition(b"?")[0]
        if problem.code == "internal":
            log.error("a %s of %r failed", self.call.kind, path, exc_info=error)
        self._actors.metrics.observe(self.call.kind, problem.code, perf_counter() - self._begin)
        if self.disconnected:
            return
        answer = problems.answer(problem, path.decode("latin-1"), self.marks.request_id)
        self._connection.answer(STATUS_LINE[answer[0]] + lines(answer[1]), answer[2], self.keep_alive)


class Leaving:
    """Answers that are there at once. They leave by one call, which lets go of the interpreter's lock: uvloop
    keeps it while it writes to one socket after the other, for as long as all else here takes."""

    def __init__(self) -> None:
        self._gathers = False
        self._parts: list[tuple[int, bytes]] = []
        self._ways: list[asyncio.WriteTransport] = []

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write to a transport: with others, while they are gathered."""
        if self._gathers and not transport.get_write_buffer_size() and not transport.is_closing():
            self._parts.append((transport.get_extra_info("socket").fileno(), data))
            self._ways.append(transport)
        else:
            transport.write(data)

    def gather(self) -> None:
        """From now on, until `go`: the loop must not be let on in between."""
        self._gathers = WRITES is not None

    def go(self) -> None:
        """Send what was gathered."""
        self._gathers = False
        parts, ways = self._parts, self._ways
        if not parts or WRITES is None:
            return
        self._parts, self._ways = [], []
        for at, taken in WRITES.send(parts):
            try:
                ways[at].write(parts[at][1][taken:])
            except Exception:  # half an answer is on its way there: nothing else may follow it
                log.exception("writing an answer failed")
                ways[at].abort()


def lines(headers: list[Header]) -> bytes:
    """Headers as they are sent."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


class _Sink:
    """Finishes plain calls on their event loop, each batch with a single `call_soon_threadsafe`.

    And lets them go together: those that one look at the sockets has brought. For each by itself the sender's
    thread would be woken, and take turns with this one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, calls: Calls, leaving: Leaving) -> None:
        self._loop = loop
        self._calls = calls
        self._leaving = leaving
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
        hand_over(self._loop, self._finish, done)

    def _finish(self, done: list[Done]) -> None:
        self._leaving.gather()
        try:
            for plain, result, error in done:
                try:
                    plain.finish(result, error)
                except Exception:  # one connection's fault must not leave the others without an answer
                    log.exception("answering a call failed")
        finally:
            self._leaving.go()


class PlainCalls:
    """Finds the plain calls among the requests. Belongs to one event loop.

    Parameters:
        actors: takes all others.
        guard: refuses requests; what it would refuse is not plain.
    """

    def __init__(self, actors: Actors, guard: Guard) -> None:
        self._actors = actors
        self._guard = guard
        self.leaving = Leaving()
        self._sink: _Sink | None = None
        self._of_block = lru_cache(maxsize=2048)(self._read_block)

    def take(
        self, connection: Answered, method: bytes, url: bytes, headers: list[Header], keep_alive: bool
    ) -> Plain | None:
        """The call that a request of HTTP/1.1 is, whose head has arrived; None where it is no plain one."""
        marks = self._marks(headers)
        if marks is None or (call := _call(method, url)) is None or not self._fit(call, marks):
            return None
        return self._plain(connection, call, marks, call.arguments, keep_alive)

    def take_whole(self, connection: Answered, data: bytes) -> Plain | None:
        """The call that `data` is, all of it and nothing else, written as most clients do; else None.

        What is said here of lines and headers is a part of what the parser takes, and said of nothing that it
        would take for something else. Most have been seen before: then they are only looked up.
        """
        end = data.find(_END, 0, WHOLE_HEAD)
        line = data.find(b"\r\n", 0, WHOLE_LINE)
        if end < 0 or line < 0:
            return None
        call, marks = _read_line(data[:line]), self._of_block(data[line:end])
        if call is None or marks is None or end + 4 + marks.length != len(data) or not self._fit(call, marks):
            return None
        return self._plain(connection, call, marks, data[end + 4 :] or call.arguments, True)

    def _plain(
        self, connection: Answered, call: Call, marks: Marks, body: bytes, keep_alive: bool
    ) -> Plain:  # fmt: skip
        sink = self._sink
        if sink is None:
            sink = self._sink = _Sink(asyncio.get_running_loop(), self._actors.calls, self.leaving)
        return Plain(self._actors, sink, connection, call, marks, body, keep_alive)

    def _fit(self, call: Call, marks: Marks) -> bool:
        """Whether these headers may stand with that line."""
        if call.kind == "read":
            return not marks.length
        return marks.own and marks.length <= self._actors.max_body

    def _marks(self, headers: list[Header]) -> Marks | None:
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
        own = bool(key or request_id or (media is not None and is_json(media)))
        return Marks(length, key.decode("latin-1") if key else "", request_id, own)

    def _read_block(self, block: bytes) -> Marks | None:
        """What headers say, each with its line's end before it."""
        headers = []
        for line in block[2:].split(b"\r\n"):
            if (found := _HEADER.fullmatch(line)) is None:
                return None
            name, value = found[1].lower(), found[2] or b""
            if name in _OF_CONNECTIONS and value.lower() != _OF_CONNECTIONS[name]:
                return None
            headers.append((name, value))
        names = [name for name, _ in headers]
        if len(names) > WHOLE_HEADERS or names.count(b"content-length") > 1:
            return None
        return self._marks(headers)


@lru_cache(maxsize=8192)
def _read_line(line: bytes) -> Call | None:
    found = _LINE.fullmatch(line)
    return None if found is None else _call(found[1], found[2])


def _call(method: bytes, url: bytes) -> Call | None:
    if not url.startswith(ACTORS) or b"#" in url or not url.isascii():
        return None
    path, _, query = url.partition(b"?")
    try:
        target, handler, tell = route(path)
        if method == b"POST":
            return Call("tell" if tell else "ask", target, handler, b"", _timeout_of(query, b""), url)
        if method == b"GET" and not tell:
            return Call("read", target, handler, query_arguments(query), _timeout_of(b"", b""), url)
    except Problem:
        pass
    return None
