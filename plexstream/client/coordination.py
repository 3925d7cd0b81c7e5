"""Operations on system actors, from a client: their calls are made by asks, one after another or together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from plexstream.client.request import Request, request, result
from plexstream.edge.calls.calls import DEFAULT_TIMEOUT, MAX_TIMEOUT
from plexstream.model.errors import Rejected, TimedOut
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.coordination.nouns import Nouns, NounsBy
from plexstream.sdk.host.coordination.operation import Call, Course, Operation, Outcome

AT_ONCE = 32
"""Calls that one operation has under way in threads at the same time."""


def run(steps: Operation[Any], key: str, make: Callable[[Request], bytes]) -> Any:
    """Run an operation, with calls at the same time, `AT_ONCE` at most, where it says so.

    Raises:
        Rejected: the operation refuses what its calls have come to. And what they raise.
    """
    course = Course(steps)
    try:
        calls = course.begin()
        while calls:
            calls = course.go_on(_made(_Calls(course, key, calls), make))
    except Reject as refusal:
        raise Rejected(refusal.reason, refusal.data) from None
    return course.value


def _made(calls: _Calls, make: Callable[[Request], bytes]) -> list[Outcome]:

    def one(number: int) -> Outcome:
        try:
            return Outcome(result(make(calls.request(number))), None)
        except Exception as error:
            return Outcome(None, error)

    if len(calls) == 1:
        return [one(0)]
    with ThreadPoolExecutor(min(len(calls), AT_ONCE), "plexstream-operation") as threads:
        return list(threads.map(one, range(len(calls))))


async def run_async(
    steps: Operation[Any], key: str, make: Callable[[Request], Awaitable[bytes]]
) -> Any:
    """Run an operation, with calls at the same time where it says so. Raises what `run` does."""
    course = Course(steps)
    try:
        calls = course.begin()
        while calls:
            made = _Calls(course, key, calls)
            calls = course.go_on(await asyncio.gather(*(_awaited(made, n, make) for n in range(len(made)))))
    except Reject as refusal:
        raise Rejected(refusal.reason, refusal.data) from None
    return course.value


async def _awaited(calls: _Calls, number: int, make: Callable[[Request], Awaitable[bytes]]) -> Outcome:
    try:
        return Outcome(result(await make(calls.request(number))), None)
    except Exception as error:
        return Outcome(None, error)


class _Calls:
    """Calls that are made at the same time: their limits begin now."""

    def __init__(self, course: Course, key: str, calls: Sequence[Call]) -> None:
        self._calls = calls
        self._keys = course.keys(key, calls)
        self._begun = time.monotonic()

    def __len__(self) -> int:
        return len(self._calls)

    def request(self, number: int) -> Request:
        """One of them as a request. Raises TimedOut: its limit has passed."""
        call = self._calls[number]
        timeout = MAX_TIMEOUT if call.wait is None else min(MAX_TIMEOUT, DEFAULT_TIMEOUT + call.wait)
        target = f"{call.type}/{call.id}"
        if call.limit is not None:
            timeout = min(timeout, call.limit - (time.monotonic() - self._begun))
            if timeout <= 0:
                raise TimedOut(f"{target} {call.handler}: not begun within {call.limit} s")
        made = request(False, target, call.handler, call.arguments, {}, timeout, self._keys[number])
        return made._replace(looks=call.reads, waits=call.wait != 0)


class Keyed(Nouns):
    """Of a client: the nouns there are. A subclass says by which `_operation` they are operated."""

    def _operation(self, steps: Operation[Any], key: str) -> Any:
        raise NotImplementedError

    def _operate(self, steps: Operation[Any]) -> Any:
        return self._operation(steps, "")

    def keyed(self, key: str) -> Nouns:
        """The same nouns; an operation that is repeated with its key has no effect, and the first result.

            client.keyed("order-17").kv.increment("orders")

        Args:
            key: for one operation, as `idempotency_key` of `ask`.
        """
        return NounsBy(lambda steps: self._operation(steps, key))
