"""What ``host.alarm``, ``host.remind`` and ``host.timer`` do in a turn."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec

from plexstream.model.errors import BadSchedule
from plexstream.model.host import CronInfo, Reader
from plexstream.model.journal.journal import Out, OutKind
from plexstream.model.journal.snapshot import Snapshot
from plexstream.model.journal.timer import ALARM, REMINDER, decode_timer, timer_piece
from plexstream.model.schedule import MAX_EVERY_MS, Schedule, check, first, parse_schedule, text_of
from plexstream.sdk.errors import DeclarationError
from plexstream.sdk.host.time import ALARM_HANDLER, CRON_MARK, Cron, Reminder
from plexstream.sdk.spec import ActorType, Handler

_TIMER, _CANCEL, _TICK = OutKind.TIMER.value, OutKind.CANCEL.value, OutKind.TICK.value
MAX_NAME = 128
_MAX_TIME = 253_402_300_800_000  # the year 10000
MAX_SECONDS = MAX_EVERY_MS // 1000


Encode = Callable[[str, Any], bytes]  # of a payload, for a function of `host`


class RunningTurn(Protocol):
    """What the functions here need of the turn."""

    address: str
    firing: str  # id of the timer that causes it; "": none does
    outs: list[Out]

    def now(self) -> int: ...
    def look(self, name: str, find: Callable[[], Any]) -> Any:
        """What `find` returns, or what it returned when the handler ran before."""


class TurnTime:
    """The timers of one actor, in one turn."""

    __slots__ = ("_encode", "_handlers", "_reader", "_turn")

    def __init__(
        self, turn: RunningTurn, encode: Encode, handlers: Mapping[str, Handler], reader: Reader
    ) -> None:
        self._turn = turn
        self._encode = encode
        self._handlers = handlers
        self._reader = reader

    # The alarm

    def set_alarm(self, at: int | datetime) -> None:
        self._check_handler("alarm", ALARM_HANDLER)
        self._set("alarm", ALARM, ALARM_HANDLER, {}, _moment("alarm.set", at), "")

    def set_alarm_in(self, delay: float) -> None:
        self.set_alarm(self._turn.now() + _milliseconds("alarm.set_in", delay))

    def alarm(self) -> int | None:
        def find() -> int | None:
            found = self._pending(ALARM)
            return None if found is None else found.time

        return self._turn.look("alarm", find)  # type: ignore[no-any-return]

    def delete_alarm(self) -> None:
        self._cancel(ALARM)

    # Reminders

    def remind(
        self, name: str, handler: str, payload: Any, every: float | None, at: int | datetime | None,
        cron: str | None, tz: str, misfire: str,
    ) -> None:  # fmt: skip
        _check_name("remind", name)
        self._check_handler("remind", handler)
        if sum(x is not None for x in (every, at, cron)) != 1:
            raise BadSchedule(f"host.remind({name!r}): give one of every=SECONDS, at=TIME, cron=EXPRESSION")
        if at is not None:
            due, text = _moment("remind", at), ""
        else:
            interval = 0 if every is None else _milliseconds("remind", every) or -1
            schedule = check(Schedule(interval, "" if cron is None else _cron(cron), tz, misfire))
            due, text = first(schedule, self._turn.now()), text_of(schedule)
        self._set("remind", REMINDER + name, handler, payload, due, text)

    def forget(self, name: str) -> None:
        _check_name("forget", name)
        self._cancel(REMINDER + name)

    def reminders(self) -> dict[str, Reminder]:
        rows = self._turn.look("reminders", self._find_reminders)
        return {row[0]: Reminder(*row) for row in rows}

    def _find_reminders(self) -> list[list[Any]]:
        ids = [t.name for t in self._reader.timers()] + [out.id for out in self._turn.outs]
        found: dict[str, Snapshot] = {}
        for id in ids:
            if not id.startswith(REMINDER):
                continue
            pending = self._pending(id)
            if pending is None:
                found.pop(id, None)
            else:
                found[id] = pending
        return [list(_reminder(timer)) for _, timer in sorted(found.items())]

    # Timers in memory

    def timer(self, name: str, handler: str, payload: Any, every: float) -> None:
        _check_name("timer", name)
        self._check_handler("timer", handler)
        interval = check(Schedule(_milliseconds("timer", every) or -1)).every
        data = self._encode("timer", _arguments("timer", payload))
        self._turn.outs.append(Out(_TICK, name, "", handler, data, due=interval))

    def stop_timer(self, name: str) -> None:
        _check_name("stop_timer", name)
        self._turn.outs.append(Out(_TICK, name, "", "", b""))

    # What they share

    def _set(self, what: str, id: str, handler: str, payload: Any, due: int, schedule: str) -> None:
        data = self._encode(what, _arguments(what, payload))
        self._turn.outs.append(Out(_TIMER, id, self._turn.address, handler, data, "", schedule, due))

    def _cancel(self, id: str) -> None:
        if self._turn.look(f"pending {id}", lambda: self._pending(id) is not None):
            self._turn.outs.append(Out(_CANCEL, id, "", "", b""))

    def _pending(self, id: str) -> Snapshot | None:
        for out in reversed(self._turn.outs):
            if out.id == id and out.kind == _CANCEL:
                return None
            if out.id == id and out.kind == _TIMER:
                return timer_piece(self._turn.address, out, -1, 0)
        timer = self._reader.timer(id)
        # The one that this turn fires is over, unless it is one of a series.
        return None if timer is None or (id == self._turn.firing and _is_over(timer)) else timer

    def _check_handler(self, what: str, handler: str) -> None:
        found = self._handlers.get(handler)
        if found is not None and not found.read_only:
            return
        if found is not None:
            raise ValueError(f"host.{what}: the handler {handler!r} is read_only: nothing would come of it")
        if handler == ALARM_HANDLER:
            raise ValueError(f'host.{what}: what it calls is not there: add @handler("{ALARM_HANDLER}")')
        if "*" not in self._handlers:
            known = ", ".join(sorted(self._handlers)) or "none"
            raise ValueError(f"host.{what}: this actor has no handler {handler!r}; it has {known}")
        _check_name(what, handler)


def crons_of(spec: ActorType) -> tuple[CronInfo, ...]:
    """What the `cron` decorators of a type declare.

    Raises:
        DeclarationError: on what is no handler, or with an expression or a time zone that is none.
    """
    handlers = {h.function: h for h in spec.handlers.values()}
    found = []
    for member, function in inspect.getmembers(spec.cls, inspect.isfunction):
        mark: Cron | None = getattr(function, CRON_MARK, None)
        if mark is None:
            continue
        where = f"{spec.cls.__name__}.{member}: @cron({mark.expression!r})"
        handler = handlers.get(function)
        if handler is None:
            raise DeclarationError(f"{where} is on a method that is no handler: add @handler below it")
        if handler.read_only:
            raise DeclarationError(f"{where} is on a read_only handler: nothing would come of it")
        try:
            schedule = check(Schedule(0, _cron(mark.expression), mark.tz, mark.misfire))
        except BadSchedule as error:
            raise DeclarationError(f"{where}: {error}") from None
        found.append(CronInfo(handler.name, text_of(schedule)))
    return tuple(found)


def _is_over(timer: Snapshot) -> bool:
    return not decode_timer(timer.data).schedule


def _reminder(timer: Snapshot) -> Reminder:
    _, handler, text, payload = decode_timer(timer.data)
    s = parse_schedule(text) if text else Schedule()
    arguments = msgspec.json.decode(payload)
    name = timer.name.removeprefix(REMINDER)
    return Reminder(name, handler, timer.time, arguments, s.every / 1000, s.cron, s.tz, s.misfire)


def _arguments(what: str, payload: Any) -> dict[str, Any]:
    if not isinstance(payload, dict):
        payload = msgspec.to_builtins(payload)
        if not isinstance(payload, dict):
            raise TypeError(f"host.{what}: the payload is {type(payload).__name__}; arguments are a dict")
    return payload


def _cron(expression: object) -> str:
    if not isinstance(expression, str) or not expression:
        raise BadSchedule(f"cron is {expression!r}: write minute hour day-of-month month day-of-week")
    return expression


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise ValueError(f"host.{what}: {name!r} is no name: give 1 to {MAX_NAME} printable characters")


def _milliseconds(what: str, seconds: object) -> int:
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not 0 <= seconds <= MAX_SECONDS:  # type: ignore[operator]
        raise ValueError(f"host.{what}: {seconds!r} is no number of seconds from 0 to {MAX_SECONDS}")
    return round(seconds * 1000)  # type: ignore[operator]


def _moment(what: str, at: object) -> int:
    if isinstance(at, datetime):
        if at.tzinfo is None:
            raise ValueError(f"host.{what}: {at!r} has no time zone: write datetime(…, tzinfo=ZoneInfo(…))")
        at = round(at.timestamp() * 1000)
    if not isinstance(at, int) or isinstance(at, bool) or not 0 <= at < _MAX_TIME:
        raise ValueError(
            f"host.{what}: {at!r} is no time: give milliseconds since the epoch, as host.now(), or a datetime"
        )
    return at
