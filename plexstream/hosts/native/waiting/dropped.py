"""Handlers that leave memory at a wait: whatever they do on their way out, they do it here and now."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from greenlet import GreenletExit, getcurrent, greenlet

from plexstream.sdk.host.waiting import Waitable

_log = logging.getLogger("plexstream.actor")
_TRIES = 100
_held: list[object] = []
"""What would not end: kept for ever, so that the garbage collector does not run it in another's turn."""


class Dropped(GreenletExit):
    """The task leaves memory: raised where its handler waits."""


class Pausing(Protocol):
    """A task whose greenlet can wait."""

    def pause(self, waitable: Waitable[Any]) -> None: ...
    def foreign(self) -> str:
        """What is wrong with waiting for what is no step."""


def close(coroutine: Coroutine[Any, Any, Any]) -> None:
    """End a coroutine, though its ``finally`` and ``except`` wait again, some times even.

    One that does so inside of it is left behind by those that await it, which end with an error.
    """
    inside: list[Any] = []
    one: Any = coroutine
    while (one := getattr(one, "cr_await", None)) is not None and hasattr(one, "close"):
        inside.append(one)
    _end(coroutine, coroutine.close)
    for one in inside:
        _end(one, one.close)


def kill(one: greenlet) -> None:
    """The same for a greenlet."""

    def throw() -> None:
        if not one.dead:
            one.parent = getcurrent()
            one.throw(Dropped)
            if not one.dead:
                raise RuntimeError("it waits again")

    _end(one, throw)


def drive(task: Pausing, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a task's greenlet, where its init hook has run before it; returns its value."""
    error: BaseException | None = None
    try:
        while True:
            waiting = coroutine.send(None) if error is None else coroutine.throw(error)
            if not isinstance(waiting, Waitable):
                raise TypeError(task.foreign())
            error = None
            try:
                task.pause(waiting)
            except BaseException as problem:
                error = problem
    except StopIteration as stop:
        return stop.value
    finally:
        close(coroutine)


def _end(what: object, close: Callable[[], None]) -> None:
    for _ in range(_TRIES):
        try:
            close()
            return
        except KeyboardInterrupt:
            raise
        except RuntimeError as error:  # "coroutine ignored GeneratorExit": it waits again
            problem: BaseException = error
            if _over(what):
                return
        except BaseException as error:
            _log.debug("dropped, it raised %s", type(error).__name__)
            return
    _held.append(what)
    _log.warning("%r does not end when it is dropped: it catches everything in a loop (%s)", what, problem)


def _over(what: object) -> bool:
    """Whether it has ended, be it by an error of its own."""
    if isinstance(what, greenlet):
        return bool(what.dead)
    return getattr(what, "cr_frame", None) is None
