"""Things that a handler waits for: handles, and ways to combine them.

In an ``async def`` handler what ``host.ask``, ``host.run``, … return is awaited; in a plain ``def`` handler
they wait by themselves, and ``host.start.ask(…)`` gives the handle instead. After a crash the handler runs
again from its start, and every handle gets the result that is recorded: so order and names must be the same
each time.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Waiter(Protocol):
    """What lets a plain ``def`` handler wait; `blocking` where the handler is one."""

    blocking: bool

    def wait(self, waitable: Waitable[Any]) -> None: ...
    def used(self, index: int) -> None:
        """The handler waits for its command `index`, or looks at what came of it."""

    def seen(self, handle: Handle[Any]) -> None:
        """The handler sees for the first time that something is done."""


class Waitable(Generic[T]):
    """Something that comes about later."""

    __slots__ = ("_waiter",)

    def __init__(self, waiter: Waiter) -> None:
        self._waiter = waiter

    def done(self) -> bool:
        """Whether waiting for it would return at once."""
        raise NotImplementedError

    def result(self) -> T:
        """What came of it: returned or raised. Only once it is `done`."""
        raise NotImplementedError

    def use(self) -> None:
        """Somebody waits for it: of what nobody does the handler hears at its end."""
        raise NotImplementedError

    def handles(self) -> tuple[Handle[Any], ...]:
        """What it is made of."""
        raise NotImplementedError

    def wait(self) -> T:
        """Wait, in a plain ``def`` handler, and return or raise what comes of it."""
        self.use()
        if not self.done():
            self._waiter.wait(self)
        return self.result()

    def __await__(self) -> Generator[Any, None, T]:
        self.use()
        if not self.done():
            yield self
        return self.result()

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r} is neither true nor false: await it, and look at its result")


class Handle(Waitable[T]):
    """One thing that the handler asked for. `order` tells which of several came about first.

    `seen`: where the handler was when it first saw that it was done, as its host says it; None: not yet.
    """

    __slots__ = ("_error", "_used", "_value", "index", "kind", "name", "order", "seen")

    def __init__(self, waiter: Waiter, index: int, name: str, kind: int = -1) -> None:
        self._waiter = waiter
        self.index = index
        self.name = name
        self.kind = kind
        self.order = -1
        self.seen: tuple[int, int] | None = None
        self._used = False
        self._value: Any = None
        self._error: BaseException | None = None

    def settle(self, order: int, value: Any, error: BaseException | None) -> None:
        """Called by the actor host, once."""
        self.order = order
        self._value = value
        self._error = error

    def use(self) -> None:
        if not self._used:
            self._used = True
            self._waiter.used(self.index)

    def handles(self) -> tuple[Handle[Any], ...]:
        return (self,)

    def __await__(self) -> Generator[Any, None, T]:
        if not self.done():
            yield self
        return self.result()

    def done(self) -> bool:
        if not self._used:
            self._used = True
            self._waiter.used(self.index)
        if self.order < 0:
            return False
        if self.seen is None:
            self._waiter.seen(self)
        return True

    def failed(self) -> bool:
        """Whether it came to an error."""
        return self._error is not None

    def failed_with(self, error: BaseException) -> bool:
        """Whether it came to that very error."""
        return self._error is error

    def result(self) -> T:
        if self.order < 0:
            raise RuntimeError(f"{self.name} is not done yet: wait for it first")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        state = "waiting" if self.order < 0 else "failed" if self._error is not None else "done"
        return f"<Handle {self.index} {self.name}: {state}>"


class All(Waitable[list[Any]]):
    """All results in the order given, or the first error."""

    __slots__ = ("_of",)

    def __init__(self, waiter: Waiter, of: tuple[Handle[Any], ...]) -> None:
        super().__init__(waiter)
        self._of = of

    def use(self) -> None:
        for handle in self._of:
            handle.use()

    def handles(self) -> tuple[Handle[Any], ...]:
        return self._of

    def done(self) -> bool:
        over = all(h.order >= 0 for h in self._of) or any(h.failed() for h in self._of)
        return over and _seen(self._waiter, self._of)

    def result(self) -> list[Any]:
        failed = [h for h in self._of if h.failed()]
        if failed:
            min(failed, key=lambda h: h.order).result()
        return [h.result() for h in self._of]


class First(Waitable[Handle[Any]]):
    """The handle that is done first. With `good`, the first that is no error, or else the last error's."""

    __slots__ = ("_good", "_of")

    def __init__(self, waiter: Waiter, of: tuple[Handle[Any], ...], good: bool) -> None:
        super().__init__(waiter)
        self._of = of
        self._good = good

    def use(self) -> None:
        for handle in self._of:
            handle.use()

    def handles(self) -> tuple[Handle[Any], ...]:
        return self._of

    def done(self) -> bool:
        found = [h for h in self._of if h.order >= 0]
        over = any(not (self._good and h.failed()) for h in found) or len(found) == len(self._of)
        return over and _seen(self._waiter, self._of)

    def result(self) -> Handle[Any]:
        found = sorted((h for h in self._of if h.order >= 0), key=lambda h: h.order)
        return next((h for h in found if not (self._good and h.failed())), found[-1])


class Then(Waitable[T]):
    """A waitable whose result is made of another's."""

    __slots__ = ("_make", "_of")

    def __init__(self, waiter: Waiter, of: Waitable[Any], make: Any) -> None:
        super().__init__(waiter)
        self._of = of
        self._make = make

    def use(self) -> None:
        self._of.use()

    def handles(self) -> tuple[Handle[Any], ...]:
        return self._of.handles()

    def done(self) -> bool:
        return self._of.done()

    def result(self) -> T:
        return self._make(self._of)  # type: ignore[no-any-return]


def _seen(waiter: Waiter, handles: tuple[Handle[Any], ...]) -> bool:
    for handle in handles:
        if handle.order >= 0 and handle.seen is None:
            waiter.seen(handle)
    return True
