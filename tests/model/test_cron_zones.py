"""Cron against an independent oracle: every zone of tzdata, every change of its clock in ten years.

The oracle knows nothing of `cronsim`: it expands the fields by itself and walks through all minutes, by the
rules of Debian's cron(8) as docs/time.md has them.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from zoneinfo import ZoneInfo, available_timezones

import pytest

from plexstream.model.schedule import Schedule, check, first

BEGIN, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
MINUTES = ("0", "15", "59", "*", "*/7", "*/15", "*/30", "10-50/20", "0-59/15", "5,35", "30-45", "1-59/29")
HOURS = ("*", "*/2", "*/3", "*/5", "0", "1", "2", "23", "0-23", "1-3", "0-6/2", "1-23/2", "0,1,2,3", "22-23")
DAYS = (("*", "*", "*"), ("*", "*", "0"), ("*/2", "*", "*"), ("25-31", "3-10", "*"), ("*", "*", "1-6/2"))


def members(field, low, high):
    found = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        a, _, b = span.partition("-")
        start, end = (low, high) if span == "*" else (int(a), int(b or a))
        found.update(range(start, end + 1, int(step or 1)))
    return found


def described(expression):
    minutes, hours, days, months, weekdays = (
        members(field, *limits) for field, limits in zip(expression.split(), RANGES, strict=True)
    )

    def matches(local):
        return (
            local.minute in minutes
            and local.hour in hours
            and local.day in days
            and local.month in months
            and local.isoweekday() % 7 in weekdays
        )

    return matches


def oracle(expression, zone, begin, end):
    """Due times after `begin`, up to `end`, both in UTC."""
    matches = described(expression)
    minute, hour, *_ = expression.split()
    if minute[0] == "*" or hour[0] == "*":
        steps = range(1, int((end - begin) / MINUTE) + 1)
        return [m for i in steps if matches((m := begin + i * MINUTE).astimezone(zone))]
    due, seen = [], begin.astimezone(zone).replace(tzinfo=None)
    moment = begin
    while moment < end:  # each time that a clock on the wall comes to, or leaps over, for the first time
        moment += MINUTE
        shown = moment.astimezone(zone).replace(tzinfo=None)
        leapt = False
        while seen < shown:
            seen += MINUTE
            leapt = leapt or matches(seen)
        if leapt:
            due.append(moment)
    return due


@cache
def changes(zone):
    """Around each change of the clock: the last whole hour before it, in UTC."""
    found, moment = [], BEGIN
    while moment < END:
        following = moment + 6 * HOUR
        if moment.astimezone(zone).utcoffset() != following.astimezone(zone).utcoffset():
            while moment.astimezone(zone).utcoffset() == (moment + HOUR).astimezone(zone).utcoffset():
                moment += HOUR
            found.append(moment)
        moment = following
    return tuple(found)


def zones():
    """Of those with the same changes one."""
    by_changes = {}
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        key = tuple((m, m.astimezone(zone).utcoffset()) for m in (BEGIN, *changes(zone)))
        by_changes.setdefault(key, name)
    return sorted(by_changes.values())


def compare(name, expression, begin, end):
    zone = ZoneInfo(name)
    schedule = Schedule(cron=expression, tz=name)
    expected = [round(due.timestamp() * 1000) for due in oracle(expression, zone, begin, end)]
    found, time = [], round(begin.timestamp() * 1000)
    while (time := first(schedule, time)) <= end.timestamp() * 1000:
        found.append(time)
    said = [[str(datetime.fromtimestamp(t / 1000, zone)) for t in times] for times in (found, expected)]
    assert said[0] == said[1], (name, expression, str(begin))


def expressions(random):
    return " ".join((random.choice(MINUTES), random.choice(HOURS), *random.choice(DAYS)))


def test_every_zone_at_every_change_of_its_clock():
    random, looked_at = Random(1), 0
    for name in zones():
        for change in changes(ZoneInfo(name)) or (BEGIN,):
            hours = random.choice((4, 4, 8, 30))
            begin = change - random.randrange(hours) * HOUR - random.randrange(60) * MINUTE
            compare(name, expressions(random), begin, change + random.choice((3, 6, 28)) * HOUR)
            looked_at += 1
    assert looked_at > 500


@pytest.mark.parametrize("zone", ["Australia/Lord_Howe", "America/Havana", "Africa/Cairo", "Pacific/Apia"])
@pytest.mark.parametrize("minute", MINUTES)
def test_half_an_hour_midnight_and_the_date_line(zone, minute):
    begin = datetime(2011, 12, 29, tzinfo=UTC) if zone == "Pacific/Apia" else None  # the 30th is left out
    for change in [begin] if begin else changes(ZoneInfo(zone))[:2] or [BEGIN]:
        for hour in HOURS:
            check(Schedule(cron=f"{minute} {hour} * * *", tz=zone))
            compare(zone, f"{minute} {hour} * * *", change - 2 * HOUR, change + 30 * HOUR)
