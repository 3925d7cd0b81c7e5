"""Operations on system actors, from a client: their calls are made by asks, one after another or together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from plexstream.client.request import Request, request, result
from plexstream.edge.calls.calls import DEFAULT_TIMEOUT, MAX_TIMEOUT
from plexstream.sdk.host.coordination.nouns import Nouns, NounsBy
from plexstream.sdk.host.coordination.operation import Call, Course, Operation, Outcome


def run(steps: Operation[Any], key: str, make: Callable[[Request], bytes]) -> Any:
    """Run an operation, its calls one after another."""
    course = Course(steps)
    calls = course.begin()
    while calls:
        outcomes = []
        for made in _requests(course, key, calls):
            try:
                outcomes.append(Outcome(result(make(made)), None))
            except Exception as error:
                outcomes.append(Outcome(None, error))
        calls = course.go_on(outcomes)
    return course.value


async def run_async(
    steps: Operation[Any], key: str, make: Callable[[Request], Awaitable[bytes]]
) -> Any:
    """Run an operation, with calls at the same time where it says so."""

    async def one(made: Request) -> Outcome:
        try:
            return Outcome(result(await make(made)), None)
        except Exception as error:
            return Outcome(None, error)

    course = Course(steps)
    calls = course.begin()
    while calls:
        made = _requests(course, key, calls)
        calls = course.go_on(await asyncio.gather(*map(one, made)))
    return course.value


def _requests(course: Course, key: str, calls: Sequence[Call]) -> list[Request]:
    keys = course.keys(key, calls)
    return [_request(call, own) for call, own in zip(calls, keys, strict=True)]


def _request(call: Call, key: str) -> Request:
    timeout = MAX_TIMEOUT if call.wait is None else min(MAX_TIMEOUT, DEFAULT_TIMEOUT + call.wait)
    target = f"{call.type}/{call.id}"
    return request(False, target, call.handler, call.arguments, {}, timeout, key)._replace(looks=call.reads)


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
