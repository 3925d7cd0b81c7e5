"""Calls over HTTP, without the HTTP: what to send, when to send it again, and what an answer means.

`exchange` is a generator that says what to do next. The clients do it, one with threads and one with
asyncio, and know nothing else.

A call is sent again after a fault of the connection, with pauses that double, as long as its timeout allows:

- always, if the connection was refused: nothing was sent;
- else only if it only looks, or has an idempotency key: the first attempt may have taken effect, and then the
  second one gets its result. No key is made up for a caller who gives none, since each costs a stored reply.
"""

from __future__ import annotations

import random
import time
from collections.abc import Generator
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from plexstream.client.request import Request
from plexstream.edge.calls.calls import check_key
from plexstream.edge.http.routes.paths import WAITING
from plexstream.model.errors import (
    CALL_ERRORS,
    BadArguments,
    CallError,
    LogUnavailable,
    TimedOut,
    TooLarge,
    call_error,
)
from plexstream.model.messages.again import READS, next_step

_FIRST_PAUSE, _LAST_PAUSE = 0.02, 0.25  # seconds; a node is back within one
_GRACE = 1.0  # seconds that the server is given to say itself that a call has timed out

IDLE_S = 30.0
"""After so long an idle connection is given up, before the server's 75 s are over: a call on one that is just
being closed could not be told from one that was lost."""


class Attempt(NamedTuple):
    """Send this; answer with what came. `timeout`: seconds to connect, to send, and to wait for an answer."""

    path: str
    headers: dict[str, str]
    content: bytes
    timeout: float
    method: str = "POST"


class Pause(NamedTuple):
    """Wait."""

    seconds: float


class Answer(NamedTuple):
    """What the server has said."""

    status: int
    content: bytes


class Fault(Enum):
    """Why there is no answer."""

    NOT_SENT = "not sent"  # no connection
    LATE = "late"
    BROKEN = "broken"


class Failed(NamedTuple):
    """There is no answer; `why` in words."""

    fault: Fault
    why: str


def failed(fault: Fault, error: BaseException) -> Failed:
    """No answer, because of an error of the transport."""
    return Failed(fault, f"{type(error).__name__} {error}".strip())


def closed() -> LogUnavailable:
    """The error of a call by a client that was closed."""
    return LogUnavailable("this client has been closed: open a new one; nothing was sent")


Exchange = Generator[Attempt | Pause, Answer | Failed | None, bytes]


class _Problem(msgspec.Struct):
    code: str = ""
    detail: str = ""
    data: Any = None


_problem = msgspec.json.Decoder(_Problem)


def exchange(request: Request) -> Exchange:
    """Make one call; returns the result's JSON.

    Raises:
        BadArguments: the idempotency key cannot be.
        CallError: what the actor or the edge answered, or TimedOut.
        LogUnavailable: the server was not reached, or the outcome is unknown.
    """
    end = time.monotonic() + request.timeout
    path = request.path or _path(request.target, request.handler, request.tell, request.waits)
    content = request.body if request.path else request.payload
    headers = {"content-type": "application/json"}
    if request.idempotency_key:
        headers |= _key(request.idempotency_key)
    pause = _FIRST_PAUSE
    sent = False  # whether any attempt may have arrived
    while True:
        left = end - time.monotonic()
        if request.looks and request.path:
            answer = yield Attempt(path, {}, b"", left + _GRACE, "GET")
        else:
            timed = f"{path}?timeout={max(left, 0.001):.3f}"
            answer = yield Attempt(timed, headers, content, left + _GRACE)
        if type(answer) is Answer:
            return _result(request, answer)
        assert type(answer) is Failed
        if answer.fault is Fault.LATE:
            raise _timed_out(request)
        refused = answer.fault is Fault.NOT_SENT
        sent = sent or not refused
        if not (refused or request.idempotency_key or request.looks):
            raise LogUnavailable(
                f"{request.target}.{request.handler}: the connection broke ({answer.why}) and the outcome is "
                f"unknown; {_then(request)}"
            )
        wait = pause * (0.5 + random.random() / 2)  # so that many clients do not come back all at once
        if time.monotonic() + wait >= end:
            if not sent:
                raise LogUnavailable(
                    f"{request.target}.{request.handler}: the server was not reached within "
                    f"{request.timeout:g} s ({answer.why}); is it running there?"
                )
            raise _timed_out(request)
        yield Pause(wait)
        pause = min(pause * 2, _LAST_PAUSE)


@lru_cache(maxsize=65_536)
def _path(target: str, handler: str, tell: bool, waits: bool) -> str:
    parts = "/".join(quote(part, safe="") for part in [*target.split("/"), handler])
    path = f"{WAITING if waits else '/v1/actors/'}{parts}"
    return f"{path}/send" if tell else path


def _key(key: str) -> dict[str, str]:
    """The header of an idempotency key. Raises BadArguments for what cannot be in one."""
    check_key(key)
    try:
        key.encode("latin-1")
    except UnicodeEncodeError:
        raise BadArguments(
            f"idempotency key {key[:40]!r}: over HTTP it is a header, which has characters of Latin-1 alone"
        ) from None
    return {"idempotency-key": key}


def _result(request: Request, answer: Answer) -> bytes:
    if answer.status in (200, 202):
        return answer.content
    try:
        problem = _problem.decode(answer.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = _Problem()
    detail = problem.detail or f"{request.target}.{request.handler}: HTTP status {answer.status}"
    if problem.code in CALL_ERRORS:
        raise call_error(problem.code, detail, problem.data)
    if problem.code.startswith("log_"):
        raise LogUnavailable(detail)
    # A proxy between may answer in its own way.
    if answer.status == 413:
        raise TooLarge(detail)
    if answer.status == 504:
        raise TimedOut(detail)
    if answer.status in (502, 503):
        raise LogUnavailable(f"{detail}; the outcome is unknown; {_then(request)}")
    raise CallError(f"{problem.code}: {detail}" if problem.code else detail, problem.data)


def _timed_out(request: Request) -> TimedOut:
    if request.looks and request.path:
        return TimedOut(f"nobody has said within {request.timeout:g} s how the invocation stands: ask again")
    return TimedOut(
        f"no reply from {request.target}.{request.handler} within {request.timeout:g} s; {_then(request)}"
    )


def _then(request: Request) -> str:
    return READS if request.looks else next_step(request.handler, request.idempotency_key)
