"""``host.start.…``: the steps of a handler that waits, as handles. `host` waits for each by itself.

What a step came to is in the journal: after a crash the handler runs again from its start, and steps that
are done give their recorded result instead of happening again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from plexstream.sdk.errors import OutsideHandler
from plexstream.sdk.host.waiting import All, First, Handle, Then, Waitable
from plexstream.sdk.running.current import current
from plexstream.sdk.running.values import arguments_of, milliseconds
from plexstream.sdk.spec import MAX_SECONDS, Retry


class TaskApi(Protocol):
    """What an actor host provides for the steps of a running handler."""

    blocking: bool
    """Whether the handler is a plain ``def``, and waits inside the call."""
    cancellation: Exception | None
    """What was raised in the handler as its own invocation was cancelled, and not one that it asks for."""

    def wait(self, waitable: Waitable[Any]) -> None: ...
    def used(self, index: int) -> None: ...
    def seen(self, handle: Handle[Any]) -> None: ...
    def ask(self, to: str, handler: str, payload: Any, detach: bool = False) -> Handle[Any]: ...
    def spawn(self, to: str, args: dict[str, Any]) -> Handle[Any]: ...
    def run(
        self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...], retry: Retry | None
    ) -> Handle[Any]: ...
    def sleep(self, until: int) -> Handle[None]: ...
    def awakeable(self) -> Handle[Any]: ...
    def promise(self, name: str) -> Handle[Any]: ...
    def settle_promise(self, name: str, value: Any, error: str | None) -> None: ...
    def peek_promise(self, name: str) -> tuple[bool, Any]: ...
    def version(self, change: str, latest: int) -> int: ...
    def now(self) -> int:
        """The time at which the next step is asked for."""

    def timed_out(self, what: str, late: list[Handle[Any]]) -> Exception: ...
    def withdraw(self, ask: Handle[Any]) -> None:
        """Nobody waits for the answer to an ask any more: whom it asked is told, once."""


class Awakeable(Waitable[Any]):
    """Something that a system outside completes.

    Attributes:
        id: what it is completed by: ``POST /v1/awakeables/{id}/resolve``, or `Client.resolve_awakeable`.
    """

    __slots__ = ("_handle", "id")

    def __init__(self, task: TaskApi, handle: Handle[Any]) -> None:
        super().__init__(task)
        self._handle = handle
        self.id = handle.name

    def use(self) -> None:
        self._handle.use()

    def handles(self) -> tuple[Handle[Any], ...]:
        return self._handle.handles()

    def done(self) -> bool:
        return self._handle.done()

    def result(self) -> Any:
        return self._handle.result()


class Promise:
    """A named value of this actor that one handler waits for and another gives, once."""

    __slots__ = ("_task", "name")

    def __init__(self, task: TaskApi, name: str) -> None:
        self._task = task
        self.name = name

    def start(self) -> Handle[Any]:
        """The handle of its value, to combine with others."""
        return self._task.promise(self.name)

    def wait(self) -> Any:
        """Wait for its value, in a plain ``def`` handler. A rejected promise raises."""
        return self.start().wait()

    def __await__(self) -> Any:
        return self.start().__await__()

    def resolve(self, value: Any = None) -> None:
        """Give it its value, with this turn.

        Raises:
            AlreadyDone: it has one, or is rejected.
        """
        self._task.settle_promise(self.name, value, None)

    def reject(self, reason: str) -> None:
        """Let whoever waits get a `Rejected` error, with this turn. Raises AlreadyDone."""
        self._task.settle_promise(self.name, None, reason)

    def peek(self, default: Any = None) -> Any:
        """Its value if it has one, else `default`. A rejected promise raises."""
        known, value = self._task.peek_promise(self.name)
        return value if known else default


def task(what: str) -> TaskApi:
    """The running handler's steps."""
    turn = current.turn
    if turn is None:
        raise OutsideHandler(f"host.{what} was called outside a handler: use plexstream.Client there")
    found: TaskApi = turn.task()
    return found


class Start:
    """Begins steps without waiting for them: each method returns a handle."""

    def ask(
        self, to: str, handler: str, payload: Any = None, /, *, timeout: float | None = None,
        detach: bool = False, **arguments: Any,
    ) -> Waitable[Any]:  # fmt: skip
        """Like `host.ask`."""
        t = task("ask")
        handle = t.ask(to, handler, arguments_of("host.ask", payload, arguments), detach)
        return handle if timeout is None else _limited(t, handle, timeout, handle)

    def run(
        self,
        name: str,
        function: Callable[..., Any],
        /,
        *arguments: Any,
        retry: Retry | None = None,
        timeout: float | None = None,
    ) -> Waitable[Any]:
        """Like `host.run`."""
        t = task("run")
        handle = t.run(name, function, arguments, retry)
        return handle if timeout is None else _limited(t, handle, timeout)

    def sleep(self, seconds: float) -> Handle[None]:
        """Like `host.sleep`."""
        t = task("sleep")
        return t.sleep(t.now() + milliseconds("host.sleep:", seconds, MAX_SLEEP))

    def sleep_until(self, time: int) -> Handle[None]:
        """Like `host.sleep_until`."""
        t = task("sleep_until")
        if type(time) is not int or time > t.now() + MAX_SLEEP * 1000:
            raise ValueError(
                f"host.sleep_until: {time!r}; give milliseconds since the Unix epoch, "
                f"at most {MAX_SLEEP:.0f} s from now"
            )
        return t.sleep(time)

    def awakeable(self) -> Awakeable:
        """Like `host.awakeable`."""
        t = task("awakeable")
        return Awakeable(t, t.awakeable())

    def all(self, *handles: Any, timeout: float | None = None) -> Waitable[list[Any]]:
        """Like `host.all`."""
        t = task("all")
        return _limit(t, All(t, _flat("all", handles)), "all", timeout)

    def any(self, *handles: Any, timeout: float | None = None) -> Waitable[Any]:
        """Like `host.any`."""
        return self._first("any", handles, timeout, good=True)

    def race(self, *handles: Any, timeout: float | None = None) -> Waitable[Any]:
        """Like `host.race`."""
        return self._first("race", handles, timeout, good=False)

    def _first(self, what: str, handles: tuple[Any, ...], timeout: float | None, good: bool) -> Waitable[Any]:
        t = task(what)
        first = First(t, _flat(what, handles), good)
        return _limit(t, Then(t, first, lambda f: f.result().result()), what, timeout)

    def select(self, timeout: float | None = None, **handles: Any) -> Waitable[tuple[str, Any]]:
        """Like `host.select`."""
        t = task("select")
        named = {h: name for name, h in zip(handles, _flat("select", tuple(handles.values())), strict=True)}
        first = First(t, tuple(named), False)
        return _limit(
            t, Then(t, first, lambda f: (named[f.result()], f.result().result())), "select", timeout
        )


MAX_SLEEP = float(MAX_SECONDS)
"""Seconds: ten years."""


def _flat(what: str, waitables: tuple[Any, ...]) -> tuple[Handle[Any], ...]:
    if not waitables:
        raise ValueError(f"host.{what}: give it at least one handle")
    found: list[Handle[Any]] = []
    for w in waitables:
        if isinstance(w, Promise):
            w = w.start()
        elif isinstance(w, Awakeable):
            w = w._handle
        if not isinstance(w, Handle):
            raise TypeError(
                f"host.{what} takes handles of steps, as host.start.ask(…) gives, not {type(w).__name__}"
            )
        found.append(w)
    return tuple(found)


def _limited(
    t: TaskApi, handle: Handle[Any], timeout: float, ask: Handle[Any] | None = None
) -> Waitable[Any]:
    return _limit(t, Then(t, handle, lambda h: h.result()), handle.name, timeout, ask)


def _limit(
    t: TaskApi, waitable: Waitable[Any], what: str, timeout: float | None, ask: Handle[Any] | None = None
) -> Waitable[Any]:
    """`waitable`, or TimedOut once `timeout` seconds have passed before; then `ask` is withdrawn."""
    if timeout is None:
        return waitable
    until = t.now() + milliseconds(f"host.{what}: a timeout of", timeout, MAX_SLEEP)
    return _Limited(t, waitable, t.sleep(until), f"{what}: after {timeout} s", ask)


class _Limited(Waitable[Any]):
    __slots__ = ("_ask", "_of", "_task", "_timer", "_what")

    def __init__(
        self, task: TaskApi, of: Waitable[Any], timer: Handle[None], what: str, ask: Handle[Any] | None
    ) -> None:
        super().__init__(task)
        self._task = task
        self._ask = ask
        self._of = of
        self._timer = timer
        self._what = what

    def use(self) -> None:
        self._of.use()
        self._timer.use()

    def handles(self) -> tuple[Handle[Any], ...]:
        return (*self._of.handles(), self._timer)

    def done(self) -> bool:
        return self._of.done() or self._timer.done()

    def result(self) -> Any:
        if self._of.done():
            return self._of.result()
        if self._timer.failed():
            self._timer.result()  # the handler was cancelled: its time is not up
        late = [h for h in self._of.handles() if h.order < 0]
        if self._ask is not None:
            self._task.withdraw(self._ask)
        raise self._task.timed_out(self._what, [*late, self._timer])
