"""``host.alarm``, ``host.remind``, ``host.timer``, ``@cron``: what an actor does later, or repeatedly."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from plexstream.sdk.errors import DeclarationError, OutsideHandler
from plexstream.sdk.running.current import current
from plexstream.sdk.running.values import arguments_of

F = TypeVar("F", bound=Callable[..., Any])
Misfire = Literal["once", "skip", "all"]
ALARM_HANDLER = "__alarm__"
CRON_MARK = "__plexstream_cron__"


class Cron(NamedTuple):
    """What `cron` declares."""

    expression: str
    tz: str
    misfire: str


class Reminder(NamedTuple):
    """A reminder of this actor that is pending.

    Attributes:
        due: when it comes next, in ms since the epoch.
        every: seconds; 0 where it comes once, or by `cron`.
    """

    name: str
    handler: str
    due: int
    arguments: dict[str, Any]
    every: float
    cron: str
    tz: str
    misfire: str


class TimeApi(Protocol):
    """What an actor host provides while a handler runs."""

    def set_alarm(self, at: int | datetime) -> None: ...
    def set_alarm_in(self, delay: float) -> None: ...
    def alarm(self) -> int | None: ...
    def delete_alarm(self) -> None: ...
    def remind(
        self, name: str, handler: str, payload: Any, every: float | None, at: int | datetime | None,
        cron: str | None, tz: str, misfire: str,
    ) -> None: ...  # fmt: skip
    def forget(self, name: str) -> None: ...
    def reminders(self) -> dict[str, Reminder]: ...
    def timer(self, name: str, handler: str, payload: Any, every: float) -> None: ...
    def stop_timer(self, name: str) -> None: ...


def _time(what: str) -> TimeApi:
    if current.turn is None:
        raise OutsideHandler(f"host.{what} was called outside a handler: use plexstream.Client there")
    api: TimeApi = current.turn.time()
    return api


class Alarm:
    """The one alarm of an actor, delivered to its handler ``__alarm__``. Durable like a message."""

    def set(self, at: int | datetime) -> None:
        """Set it, instead of any that is pending.

        Parameters:
            at: milliseconds since the epoch, as `host.now` gives them, or a datetime with a time zone.
        """
        _time("alarm.set").set_alarm(at)

    def set_in(self, delay: float) -> None:
        """Set it to `delay` seconds from the turn's time, instead of any that is pending."""
        _time("alarm.set_in").set_alarm_in(delay)

    def get(self) -> int | None:
        """When it is due, in milliseconds since the epoch; None if there is none."""
        return _time("alarm.get").alarm()

    def delete(self) -> None:
        """Take it back, if there is one."""
        _time("alarm.delete").delete_alarm()


class Timing:
    """The part of `host` that is about time."""

    alarm = Alarm()

    def remind(
        self, name: str, handler: str, payload: Any = None, /, *,
        every: float | None = None, at: int | datetime | None = None, cron: str | None = None,
        tz: str = "UTC", misfire: Misfire = "once", **arguments: Any,
    ) -> None:  # fmt: skip
        """Call a handler of this actor later, once or again and again, through crashes and restarts.

        It is known by its name: setting it again replaces it. The next of a series is set by the very turn
        that the one before causes, also where that turn fails: none is lost, and none comes twice.

        Parameters:
            name: of the reminder, one of its kind in this actor.
            handler: the name of the handler.
            payload, arguments: its arguments, as a dict or as keywords.
            every: seconds between two; the first comes after so long.
            at: when it comes, once: milliseconds since the epoch, or a datetime with a time zone.
            cron: when it comes, as ``minute hour day-of-month month day-of-week``.
            tz: the time zone of `cron`, such as ``Europe/Berlin``.
            misfire: what becomes of times that passed while no node ran: ``"once"``, one stands for all;
                ``"skip"``, none that would be more than a minute late; ``"all"``, each comes.

        Raises:
            ValueError: a schedule, a time zone or a name that is none; the message says what it may be.
        """
        given = arguments_of("host.remind", payload, arguments)
        _time("remind").remind(name, handler, given, every, at, cron, tz, misfire)

    def forget(self, name: str) -> None:
        """Take a reminder back, if there is one of that name."""
        _time("forget").forget(name)

    def reminders(self) -> dict[str, Reminder]:
        """The reminders of this actor that are pending, by name."""
        return _time("reminders").reminders()

    def timer(
        self, name: str, handler: str, payload: Any = None, /, *, every: float, **arguments: Any
    ) -> None:
        """Call a handler of this actor every so many seconds, as long as the actor is in memory.

        It is not durable: it is gone when the actor is evicted, and after a crash or a handover; set it again
        in a handler. What it causes is a turn like any other. While the actor is busy it is left out, and it
        does not keep an idle actor in memory. Setting it again replaces it.
        """
        given = arguments_of("host.timer", payload, arguments)
        _time("timer").timer(name, handler, given, every)

    def stop_timer(self, name: str) -> None:
        """End a `timer`, if there is one of that name."""
        _time("stop_timer").stop_timer(name)


def cron(expression: str, *, tz: str = "UTC", misfire: Misfire = "once") -> Callable[[F], F]:
    """Call a handler by a cron expression, in every actor of the type that has had a turn.

    The first turn of an actor sets it, the turn that it causes sets the next. A changed expression takes
    effect with the first turn after a start, at the latest when the old one is due; without the decorator it
    ends there. The handler is called without arguments.

    Parameters:
        expression: ``minute hour day-of-month month day-of-week``, or ``@daily`` and the like.
        tz, misfire: as those of `host.remind`.
    """

    given: object = expression
    if not isinstance(given, str):
        raise DeclarationError(f"@cron was given {given!r}: write @cron('0 3 * * *'), with an expression")

    def mark(function: F) -> F:
        if getattr(function, CRON_MARK, None) is not None:
            raise DeclarationError(
                f"@cron({expression!r}) on {function.__name__}: it has one already; declare a second handler"
            )
        setattr(function, CRON_MARK, Cron(expression, tz, misfire))
        return function

    return mark
