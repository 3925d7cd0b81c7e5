"""Functions in the place of handlers: whoever checks arguments takes them for the handler."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from plexstream.sdk.running.current import current

T = TypeVar("T")
SENDER = "from_actor"
"""The parameter of a handler that gets the sender's address."""
Run = Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Coroutine[Any, Any, Any]]
"""Called with ``self`` and the arguments, by position and by name."""


def like(function: Callable[..., Any], run: Run, *, waits: bool) -> Callable[..., Any]:
    """`run` with the signature of `function`; an ``async def`` if, and only if, it `waits`."""
    if waits:

        @functools.wraps(function)
        async def waiting(self: Any, /, *args: Any, **rest: Any) -> Any:
            return await run(self, args, rest)

        return waiting

    @functools.wraps(function)
    def plain(self: Any, /, *args: Any, **rest: Any) -> Any:
        return _complete(run(self, args, rest))

    return plain


def without_result(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with null as its result."""

    async def run(self: Any, args: tuple[Any, ...], rest: Mapping[str, Any]) -> None:
        await finish(function(self, *args, **rest))

    return like(function, run, waits=inspect.iscoroutinefunction(function))


def with_sender(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which has the parameter `SENDER`, without it: the host gives it, and no message can."""
    signature = inspect.signature(function)
    own = [p for p in signature.parameters.values() if p.name != SENDER]
    names = [p.name for p in own[1:]]

    async def run(self: Any, args: tuple[Any, ...], rest: Mapping[str, Any]) -> Any:
        named = {**rest, **dict(zip(names, args, strict=False)), SENDER: current.turn.sender()}
        return await finish(function(self, **named))

    wrapped = like(function, run, waits=inspect.iscoroutinefunction(function))
    wrapped.__dict__["__signature__"] = signature.replace(parameters=own)
    return wrapped


def by_name(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which has parameters that are given by name only, for whoever gives all by position."""
    names = [*inspect.signature(function).parameters][1:]

    async def run(self: Any, args: tuple[Any, ...], rest: Mapping[str, Any]) -> Any:
        return await finish(function(self, **dict(zip(names, args, strict=False)), **rest))

    return like(function, run, waits=inspect.iscoroutinefunction(function))


async def finish(value: Any) -> Any:
    """The result of a call, be it of a plain or of an async function."""
    return await value if inspect.iscoroutine(value) else value


def _complete(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in which nothing is awaited that waits: plain functions wait without it."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        coroutine.close()
    raise AssertionError("a plain handler awaited something")
