"""When something that recurs is due. Computed from the times given, never from a clock.

Cron expressions are read by `cronsim`. Changes of the clock are treated as Debian's cron(8) does: what names
both its minutes and its hours runs once for each such time, after the gap where the time is left out and at
the first of two where it comes twice. What has a star as its minute or its hour, ``*/15`` too, runs at every
moment that its fields describe: not in a gap, and in an hour that comes twice both times.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from plexstream.model.errors import BadSchedule

MISFIRES = ("once", "skip", "all")
GRACE_MS = 60_000
"""How late what skips its misfires may still run: a restart is no misfire."""
MIN_EVERY_MS = 100
MAX_EVERY_MS = 10 * 365 * 86_400_000
_MAX_CRON = 200
_MINUTE = timedelta(minutes=1)
_CHANGE = timedelta(hours=26)
"""Longer than any clock was ever changed by: a day, where a country crossed the date line."""
_ALIASES = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_FIELDS = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31, L for the last day, LW for the last weekday",
    "month": "1 to 12 or jan to dec",
    "day-of-week": "0 to 7 or sun to sat, 0 and 7 are Sunday; mon#1 is the first Monday, 5L the last Friday",
}


class Schedule(NamedTuple):
    """What recurs: `every` so many milliseconds, or by `cron` in the time zone `tz`.

    `misfire` says what becomes of due times that have passed while nobody ran: "once": one firing stands for
    all of them; "skip": none, if it would be more than a minute late; "all": each fires, one after the other.
    """

    every: int = 0
    cron: str = ""
    tz: str = "UTC"
    misfire: str = "once"


def text_of(schedule: Schedule) -> str:
    """A schedule as text, the same for the same schedule."""
    defaults = Schedule()
    return json.dumps({k: v for k, v in schedule._asdict().items() if v != getattr(defaults, k)})


@lru_cache(maxsize=1024)
def parse_schedule(text: str) -> Schedule:
    """The inverse of `text_of`."""
    return Schedule(**json.loads(text))


def check(schedule: Schedule) -> Schedule:
    """The schedule itself.

    Raises:
        BadSchedule: says which part is wrong, and what it may be.
    """
    every, cron, tz, misfire = schedule
    if misfire not in MISFIRES:
        raise BadSchedule(f"misfire is {misfire!r}: write one of {', '.join(map(repr, MISFIRES))}")
    if bool(every) == bool(cron):
        raise BadSchedule("a schedule is either every=SECONDS or cron=EXPRESSION")
    if every and not MIN_EVERY_MS <= every <= MAX_EVERY_MS:
        allowed = f"from {MIN_EVERY_MS / 1000:g} to {MAX_EVERY_MS // 1000} s is allowed"
        raise BadSchedule(f"every is {max(0, every) / 1000:g} s: {allowed}")
    _check_zone(tz)
    if cron:
        _check_cron(cron)
    return schedule


def first(schedule: Schedule, now: int) -> int:
    """The first due time after `now`, both in ms since the epoch. Raises BadSchedule if there is none."""
    return now + schedule.every if schedule.every else _cron_after(schedule, now)


def fire(schedule: Schedule, due: int, now: int) -> tuple[bool, int]:
    """Whether what was due at `due` is to run at `now`, and when it is due next."""
    following = _after(schedule, due, due)
    if schedule.misfire == "all":
        return True, following
    if following <= now:
        following = _after(schedule, due, now)
    return schedule.misfire == "once" or now - due <= GRACE_MS, following


def _after(schedule: Schedule, due: int, time: int) -> int:
    """The first due time after `time`, where `due` is one."""
    if schedule.every:
        return due + (max(0, time - due) // schedule.every + 1) * schedule.every
    return _cron_after(schedule, time)


def _cron_after(schedule: Schedule, time: int) -> int:
    for due in _times(schedule.cron, _zone(schedule.tz), time):
        if due > time:  # a time that comes twice is told as the first of the two, even if that is over
            return due
    raise BadSchedule(f"cron {schedule.cron!r} is never due: no such day comes within 50 years")


def _times(cron: str, zone: ZoneInfo, after: int) -> Iterator[int]:
    start = datetime.fromtimestamp(after / 1000, zone)
    expression = _ALIASES.get(cron, cron)
    minute, hour, *_ = expression.split()
    if minute.startswith("*") or hour.startswith("*"):
        yield from _moments(expression, start)
        return
    for due in CronSim(expression, start):
        yield round(due.timestamp() * 1000)


def _moments(expression: str, start: datetime) -> Iterator[int]:
    """Every moment after `start` whose local time the expression describes.

    `CronSim` is asked in local time without a zone, where all minutes follow each other: with one it counts
    in whole hours, and goes astray where a clock is changed by half an hour. Between two changes that is the
    same; near one, each minute is looked at.
    """
    zone = start.tzinfo
    moment = start.replace(second=0, microsecond=0).astimezone(UTC)
    fields = CronSim(expression, datetime.min)
    while True:
        local = moment.astimezone(zone)
        following = next(CronSim(expression, local.replace(tzinfo=None)), None)
        if following is None:
            return
        found = following.replace(tzinfo=zone).astimezone(UTC)
        soon, before = min(moment + _CHANGE, found), max(found - _CHANGE, moment)
        offsets = [m.astimezone(zone).utcoffset() for m in (moment, soon, before, found)]
        if len(set(offsets)) == 1:
            moment = found
            yield round(moment.timestamp() * 1000)
            continue
        if offsets[0] == offsets[1]:
            moment = before  # nothing is described in between, by any clock
        end = moment + _CHANGE
        while moment < end:
            moment += _MINUTE
            if _matches(fields, moment.astimezone(zone)):
                yield round(moment.timestamp() * 1000)


def _matches(fields: CronSim, local: datetime) -> bool:
    return (
        local.minute in fields.minutes
        and local.hour in fields.hours
        and local.month in fields.months
        and fields.match_day(local.date())
    )


def _zone(tz: str) -> ZoneInfo:
    try:
        return ZoneInfo(tz)
    except (ValueError, TypeError, OSError, KeyError):  # KeyError: ZoneInfoNotFoundError
        close = get_close_matches(str(tz), sorted(available_timezones()), 3)
        like = f"did you mean {' or '.join(close)}?" if close else "write one such as Europe/Berlin"
        raise BadSchedule(f"tz {tz!r} is no time zone: {like}") from None


def _check_zone(tz: str) -> None:
    """A zone is the same on every machine: no file of one's own is, and ``right/`` counts leap seconds."""
    _zone(tz)
    if tz in ("localtime", "Factory") or tz not in _known_zones():
        raise BadSchedule(
            f"tz {tz!r} is no zone that is the same on every machine: write one such as Europe/Berlin, or UTC"
        )


@lru_cache(maxsize=1)
def _known_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _check_cron(cron: str) -> None:
    if cron.startswith("@"):
        if cron not in _ALIASES:
            raise BadSchedule(f"cron {cron!r} is not known: write {', '.join(_ALIASES)} or five fields")
        return
    fields = cron.split()
    if len(fields) != 5 or len(cron) > _MAX_CRON:
        raise BadSchedule(
            f"cron {cron[:_MAX_CRON]!r} has {len(fields)} fields: write five, minute hour day-of-month month "
            f"day-of-week, in at most {_MAX_CRON} characters"
        )
    for index, (name, allowed) in enumerate(_FIELDS.items()):
        alone = ["*"] * 5
        alone[index] = fields[index]
        _try_cron(" ".join(alone), f"cron {cron!r}: the {name} {fields[index]!r} is wrong: {allowed}")
    _try_cron(cron, f"cron {cron!r} is never due: no such day comes in these months")
    _cron_after(Schedule(cron=cron), 0)


def _try_cron(cron: str, otherwise: str) -> None:
    try:
        CronSim(cron, datetime.fromtimestamp(0, ZoneInfo("UTC")))
    except (CronSimError, ValueError, AssertionError):
        raise BadSchedule(otherwise) from None
