"""What has become of an invocation, by its id: asked of its actor's partition.

`look` says what to ask next and takes the answers, so that threads and event loops share it. Who waits is
told by the partition's owner, which keeps that in memory: after some seconds of silence the question is put
again, to whoever owns the partition by then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from typing import NamedTuple
from urllib.parse import parse_qsl

import msgspec

from plexstream.edge.calls.calls import DEFAULT_TIMEOUT, MAX_TIMEOUT, Calls
from plexstream.edge.calls.loop import LoopCalls
from plexstream.edge.http.problems import Problem
from plexstream.model.errors import BadArguments, TimedOut
from plexstream.model.messages.control import RESULT
from plexstream.model.messages.idempotency import read_id

PATH = "/v1/invocations/"
ENDED = frozenset(("done", "failed", "cancelled", "killed"))
"""Each `status` that is the last one."""
_SLICE = 5.0  # seconds between two questions of who waits
_PAUSE = 0.5
_encode = msgspec.json.Encoder().encode


class _Standing(msgspec.Struct):
    status: str


_standing = msgspec.json.Decoder(_Standing)


class Question(NamedTuple):
    """Ask the actor `target` this. No answer within `timeout` seconds: None, where that is `patient`."""

    target: str
    payload: bytes
    timeout: float
    patient: bool = False


class Pause(NamedTuple):
    """Wait."""

    seconds: float


Look = Generator[Question | Pause, bytes | None, bytes]


def look(id: str, wait: float = 0.0, timeout: float = DEFAULT_TIMEOUT) -> Look:
    """How an invocation stands, as JSON; once it has ended, if that is within `wait` seconds.

    Raises:
        UnknownInvocation: `id` is none, or there is no such invocation (any more).
        TimedOut: its partition has not answered within `timeout` seconds.
        BadArguments: `wait` cannot be.
    """
    if not 0 <= wait <= MAX_TIMEOUT:
        raise BadArguments(f"wait {wait!r}: give seconds from 0 to {MAX_TIMEOUT:.0f}")
    found = read_id(id)
    of = {"name": found.name, "digest": found.digest}
    end = time.monotonic() + wait
    while True:
        answer = None
        left = end - time.monotonic()
        if left > 0:
            slice = min(left, _SLICE)
            answer = yield Question(
                found.address, _encode({**of, "wait": round(slice * 1000)}), slice, patient=True
            )
        if answer is None:
            answer = yield Question(found.address, _encode(of), timeout)
            assert answer is not None
        left = end - time.monotonic()
        if left <= 0 or _standing.decode(answer).status in ENDED:
            return b'{"id":%b,"actor":%b,%b' % (_encode(id), _encode(found.address), answer[1:])
        yield Pause(min(_PAUSE, left))


async def look_on(calls: LoopCalls, steps: Look) -> bytes:
    """Ask over the log, on an event loop."""
    step = next(steps)
    while True:
        answer = None
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
        else:
            try:
                answer = await calls.ask(step.target, RESULT, step.payload, timeout=step.timeout)
            except TimedOut:
                if not step.patient:
                    raise
        try:
            step = steps.send(answer)
        except StopIteration as end:
            return bytes(end.value)


def look_by(calls: Calls, steps: Look) -> bytes:
    """The same, on a thread."""
    step = next(steps)
    while True:
        answer = None
        if isinstance(step, Pause):
            time.sleep(step.seconds)
        else:
            try:
                answer = calls.ask(step.target, RESULT, step.payload, timeout=step.timeout).result()
            except TimedOut:
                if not step.patient:
                    raise
        try:
            step = steps.send(answer)
        except StopIteration as end:
            return bytes(end.value)


def wait_of(query: bytes, prefer: bytes) -> float:
    """Seconds to wait for the end, from the query's `wait` or from ``Prefer: wait=…``.

    Raises:
        Problem: 400 for another parameter, or what is no number of seconds.
    """
    text = prefer.decode("latin-1").partition("wait=")[2].partition(",")[0].partition(";")[0].strip()
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name != "wait":
            raise Problem(400, "bad_query", f"unknown query parameter {name[:40]!r}: only wait is taken here")
        text = value
    if not text:
        return 0.0
    try:
        wait = float(text)
    except ValueError:
        wait = -1.0
    if not 0 <= wait <= MAX_TIMEOUT:
        raise Problem(400, "bad_timeout", f"wait {text[:40]!r}: give seconds from 0 to {MAX_TIMEOUT:.0f}")
    return wait
