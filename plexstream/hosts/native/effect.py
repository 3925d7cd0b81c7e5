"""Side effects of handlers: functions called off the processor's thread, tried again as their policy says."""

from __future__ import annotations

import inspect
import logging
import random
import time
from collections.abc import Callable
from typing import Any

from plexstream.hosts.native.values import BadValue, describe_value, encode_value
from plexstream.model.host import EffectResult
from plexstream.model.text import text
from plexstream.sdk.errors import Reject
from plexstream.sdk.spec import Retry

_log = logging.getLogger("plexstream.actor")
MAX_DETAIL = 2_000


class NativeEffect:
    """One `host.run`.

    Parameters:
        where: actor and step, for the log.
        retry: how it is tried again.
        max_size: bytes of its result.
    """

    __slots__ = ("_arguments", "_function", "_max_size", "_retry", "_where", "is_async")

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        retry: Retry,
        where: str,
        max_size: int,
    ) -> None:
        self._function = function
        self._arguments = arguments
        self._retry = retry
        self._where = where
        self._max_size = max_size
        self.is_async = inspect.iscoroutinefunction(function)

    def run(self, attempt: int, spent: int) -> EffectResult:
        began = time.monotonic()
        try:
            value = self._function(*self._arguments)
            if inspect.isawaitable(value):
                if inspect.iscoroutine(value):
                    value.close()
                raise _NotPlain(f"{self._where} returned something to be awaited: give an async def function")
            return self._done(value)
        except BaseException as error:  # a thread of a pool: it is told to the handler, whatever it is
            return self._failed(error, attempt, spent / 1000 + time.monotonic() - began)

    async def run_async(self, attempt: int, spent: int) -> EffectResult:
        began = time.monotonic()
        try:
            return self._done(await self._function(*self._arguments))
        except BaseException as error:  # a loop of others, too: not theirs to end
            return self._failed(error, attempt, spent / 1000 + time.monotonic() - began)

    def _done(self, value: Any) -> EffectResult:
        if value is None:
            return EffectResult(False, b"null")
        try:
            data = encode_value(value)
        except BadValue as error:
            raise _NotPlain(f"{self._where}: its result is no JSON: {error}") from None
        if len(data) > self._max_size:
            raise _NotPlain(
                f"{self._where}: its result has {len(data)} bytes, at most {self._max_size} are allowed: "
                "store it elsewhere and return where"
            )
        return EffectResult(False, data)

    def _failed(self, error: BaseException, attempt: int, spent: float) -> EffectResult:
        if isinstance(error, Reject):
            return EffectResult(True, error_json("rejected", error.reason, error.data))
        try:
            what = f"{type(error).__name__}: {error}"
        except Exception:
            what = type(error).__name__
        if isinstance(error, _NotPlain):
            return EffectResult(True, error_json("step_failed", str(error)))
        retry = self._retry
        delay = retry.delay(attempt) * (1 - retry.jitter * random.random())
        late = retry.max_duration and spent + delay > retry.max_duration
        if attempt >= retry.attempts or late:
            times = f"{attempt} times in {spent:.1f} s" if attempt > 1 else "once"
            detail = f"{self._where} was tried {times}; the last error: {what}"
            return EffectResult(True, error_json("step_failed", detail))
        _log.warning("%s: attempt %d failed, again in %.1f s: %s", self._where, attempt, delay, what)
        return EffectResult(True, error_json("step_failed", what), round(delay * 1000), retry.attempts)


class _NotPlain(TypeError):
    """The step can never succeed: trying again would not help."""


def error_json(code: str, detail: str, data: Any = None) -> bytes:
    """The value of a completion that failed."""
    body: dict[str, Any] = {"code": code, "detail": text(detail, MAX_DETAIL)}
    if data is not None:
        body["data"] = data
    try:
        return encode_value(body)
    except BadValue:
        return encode_value({**body, "data": text(describe_value(data), MAX_DETAIL)})
