"""A turn of a system actor as its models see it, and who waits there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from plexstream.model.journal.deferred import read_call
from plexstream.model.messages.message import deadline_of
from plexstream.testing.simulation.errors import Violation

FOR_EVER = 1 << 60


class Answer(NamedTuple):
    """What a turn tells somebody who has called: now, or before."""

    call: str
    failed: bool
    value: Any


class Handled(NamedTuple):
    """A turn whose handler has ended well.

    Attributes:
        call: whom it is for; "": it was told, or is a timer.
        id: of the message.
        now: in ms since the epoch.
        answers: in order.
    """

    handler: str
    arguments: dict[str, Any]
    call: str
    id: str
    now: int
    answers: list[Answer]

    def of(self, name: str, default: Any = None) -> Any:
        """One of the arguments."""
        return self.arguments.get(name, default)


class Waiter:
    """One who waits.

    Attributes:
        until: in ms since the epoch.
        wish: what for.
        gone: it has said that it waits no more.
    """

    def __init__(self, call: str, until: int, wish: Any, gone: bool = False) -> None:
        self.call = call
        self.until = until
        self.wish = wish
        self.gone = gone

    def there(self, now: int) -> bool:
        """Whether it still waits, and its time is not up."""
        deadline = deadline_of(read_call(self.call)[0])
        return not self.gone and self.until > now and not 0 < deadline <= now


class Line:
    """Those who wait for one thing, in order of arrival."""

    def __init__(self) -> None:
        self.waiters: list[Waiter] = []

    def first(self, now: int, own: str = "") -> Waiter | None:
        """The first who still waits; `own`: a call that is not left waiting, if it is the turn's."""
        return next(self.there(now, own), None)

    def there(self, now: int, own: str = "") -> Iterator[Waiter]:
        """Those who still wait."""
        return (w for w in self.waiters if w.call == own or w.there(now))

    def find(self, call: str) -> Waiter | None:
        """Who made a call, if that one is here."""
        return next((w for w in self.waiters if w.call == call), None)

    def leave(self, waiter: Waiter) -> None:
        """It is answered."""
        self.waiters.remove(waiter)


def until(now: int, wait: float | None) -> int:
    """Until when one waits who says `wait`, in seconds; None: for ever."""
    return FOR_EVER if wait is None else now + (ms(wait) if wait else 0)


def ms(seconds: float) -> int:
    """Milliseconds of a length of time. Raises Violation: it is none, and should have been refused."""
    if isinstance(seconds, bool) or not seconds > 0:
        raise Violation(f"{seconds!r} is taken for a length of time")
    return max(1, round(seconds * 1000))


def claim_that(holds: object, otherwise: str) -> None:
    """Raises Violation unless it holds."""
    if not holds:
        raise Violation(otherwise)
