"""Invocations as callers have them: what a tell has begun."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from plexstream.edge.calls.calls import MAX_TIMEOUT
from plexstream.edge.http.routes.system.invocations import ENDED
from plexstream.model.errors import BadArguments, TimedOut, call_error

_decode = msgspec.json.Decoder().decode


class _Begun(msgspec.Struct):
    id: str


_begun = msgspec.json.Decoder(_Begun)


def begun(answer: bytes) -> str:
    """The id in the answer to a tell."""
    return _begun.decode(answer).id


class Invocation:
    """What a call has begun, named by its id.

    Attributes:
        id: finds it by any client, and over HTTP at ``/v1/invocations/{id}``, as long as its outcome is kept:
            24 hours after its end with an idempotency key, one hour without.
    """

    def __init__(self, id: str, look: Callable[[str, float, float | None], bytes]) -> None:
        self.id = id
        self._look = look

    def status(self, *, wait: float = 0.0, timeout: float | None = None) -> dict[str, Any]:
        """How it stands: ``status`` (queued, running, waiting, retrying, paused, stuck; done, failed,
        cancelled, killed), and with it ``result``, ``error`` or ``attempts``.

        Args:
            wait: seconds to wait for its end before.

        Raises:
            UnknownInvocation: there is none, or its outcome is not kept any more.
            TimedOut: its partition has not answered within `timeout` seconds, 30 by default.
        """
        return _standing(self._look(self.id, wait, timeout))

    def result(self, timeout: float | None = None) -> Any:
        """Its result, once it has ended.

        Args:
            timeout: seconds to wait; by default for ever.

        Raises:
            TimedOut: it has not ended by then. It goes on.
            CallError: it has failed; the subclasses say how, as of `Client.ask`.
            UnknownInvocation: there is none, or its outcome is not kept any more.
        """
        end = _end(timeout)
        while True:
            found = _standing(self._look(self.id, _wait(end), None))
            if found["status"] in ENDED:
                return _result(found)
            _check(self.id, found, end, timeout)

    def __repr__(self) -> str:
        return f"<Invocation {self.id}>"


class AsyncInvocation:
    """`Invocation` for one asyncio event loop."""

    def __init__(self, id: str, look: Callable[[str, float, float | None], Awaitable[bytes]]) -> None:
        self.id = id
        self._look = look

    async def status(self, *, wait: float = 0.0, timeout: float | None = None) -> dict[str, Any]:
        """As `Invocation.status`."""
        return _standing(await self._look(self.id, wait, timeout))

    async def result(self, timeout: float | None = None) -> Any:
        """As `Invocation.result`."""
        end = _end(timeout)
        while True:
            found = _standing(await self._look(self.id, _wait(end), None))
            if found["status"] in ENDED:
                return _result(found)
            _check(self.id, found, end, timeout)

    def __repr__(self) -> str:
        return f"<AsyncInvocation {self.id}>"


_AT_ONCE = 60.0  # seconds for which one request waits: what lies between may cut a longer one


def _standing(answer: bytes) -> dict[str, Any]:
    found: dict[str, Any] = _decode(answer)
    return found


def _end(timeout: float | None) -> float:
    if timeout is not None and not 0 <= timeout <= MAX_TIMEOUT:
        raise BadArguments(f"timeout {timeout!r}: give seconds from 0 to {MAX_TIMEOUT:.0f}, or None")
    return float("inf") if timeout is None else time.monotonic() + timeout


def _wait(end: float) -> float:
    return min(max(end - time.monotonic(), 0.0), _AT_ONCE)


def _check(id: str, found: dict[str, Any], end: float, timeout: float | None) -> None:
    if time.monotonic() >= end:
        raise TimedOut(f"{id} is {found['status']}, and has not ended within {timeout:g} s; it goes on")


def _result(found: dict[str, Any]) -> Any:
    error = found.get("error")
    if error is None:
        return found.get("result")
    raise call_error(error["code"], error["detail"], error.get("data"))
