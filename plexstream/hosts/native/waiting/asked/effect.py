"""Side effects of handlers: functions called off the processor's thread, tried again as their policy says."""

from __future__ import annotations

import inspect
import logging
import random
import time
from collections.abc import Callable
from types import FunctionType
from typing import Any

from plexstream.hosts.native.data.values import encode_value
from plexstream.model.host import EffectResult
from plexstream.model.messages.text import shown, text, words
from plexstream.sdk.errors import Reject
from plexstream.sdk.spec import Retry

_log = logging.getLogger("plexstream.actor")
_new = tuple.__new__  # a named tuple's own costs several times as much
MAX_DETAIL = 2_000
_JSON = frozenset((type(None), bool, int, float, str, dict, list))
"""Types of results that nobody awaits."""


class NativeEffect:
    """One `host.run`.

    Parameters:
        where: actor and step, for the log.
        retry: how it is tried again.
        max_size: bytes of its result.
    """

    __slots__ = ("_arguments", "_function", "_max_size", "_retry", "is_async", "where")

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
        self.where = where
        self._max_size = max_size
        self.is_async = _is_async(function)

    def run(self, attempt: int, spent: int) -> EffectResult:
        began = time.monotonic()
        try:
            value = self._function(*self._arguments)
        except BaseException as error:  # a thread of a pool: it is told to the handler, whatever it is
            return self._failed(error, attempt, spent / 1000 + time.monotonic() - began)
        return self._returned(value)

    async def run_async(self, attempt: int, spent: int) -> EffectResult:
        began = time.monotonic()
        try:
            value = await self._function(*self._arguments)
        except BaseException as error:  # a loop of others, too: not theirs to end
            return self._failed(error, attempt, spent / 1000 + time.monotonic() - began)
        return self._returned(value)

    def _returned(self, value: Any) -> EffectResult:
        """What it did is done. A result that cannot be recorded fails it for good, whatever the reason:
        to do it again would only do it twice."""
        try:
            if type(value) not in _JSON:
                if inspect.iscoroutine(value):
                    value.close()
                if inspect.isawaitable(value):
                    return self._unfit(f"{self.where} returned something to be awaited: give an async def")
            data = encode_value(value)
        except BaseException as error:  # code of users runs here, too: a property, __iter__
            return self._unfit(f"{self.where}: its result is no JSON: {words(error)}")
        if len(data) > self._max_size:
            return self._unfit(
                f"{self.where}: its result has {len(data)} bytes, at most {self._max_size} are allowed: "
                "store it elsewhere and return where"
            )
        return _new(EffectResult, (False, data, -1, 1))

    def _unfit(self, detail: str) -> EffectResult:
        return EffectResult(True, error_json("step_failed", detail))

    def _failed(self, error: BaseException, attempt: int, spent: float) -> EffectResult:
        if isinstance(error, Reject):
            return EffectResult(True, error_json("rejected", error.reason, error.data))
        what = f"{type(error).__name__}: {words(error)}".removesuffix(": ")
        retry = self._retry
        delay = retry.delay(attempt) * (1 - retry.jitter * random.random())
        late = retry.max_duration and spent + delay > retry.max_duration
        if attempt >= retry.attempts or late:
            times = f"{attempt} times in {spent:.1f} s" if attempt > 1 else "once"
            detail = f"{self.where} was tried {times}; the last error: {what}"
            return EffectResult(True, error_json("step_failed", detail))
        _log.warning("%s: attempt %d failed, again in %.1f s: %s", self.where, attempt, delay, what)
        return EffectResult(True, error_json("step_failed", what), round(delay * 1000), retry.attempts)


def _is_async(function: Callable[..., Any]) -> bool:
    if type(function) is FunctionType and not function.__dict__:  # nothing is marked on it
        return bool(function.__code__.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(function)


def error_json(code: str, detail: str, data: Any = None) -> bytes:
    """The value of a completion that failed."""
    body: dict[str, Any] = {"code": code, "detail": text(detail, MAX_DETAIL)}
    if data is not None:
        body["data"] = data
    try:
        return encode_value(body)
    except BaseException:  # code of users runs here, too
        return encode_value({**body, "data": text(shown(data), MAX_DETAIL)})
