"""Schedules: due times through daylight saving, what misfires, and errors that name what is wrong."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexstream.model.errors import BadSchedule
from plexstream.model.schedule import MISFIRES, Schedule, check, fire, first, parse_schedule, text_of

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3_600_000


def at(text, zone=BERLIN):
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def due_times(cron, begin, count):
    schedule, time, found = check(Schedule(cron=cron, tz="Europe/Berlin")), at(begin), []
    for _ in range(count):
        time = first(schedule, time)
        found.append(datetime.fromtimestamp(time / 1000, BERLIN).isoformat()[5:22])
    return found


@pytest.mark.parametrize(
    ("cron", "begin", "expected"),
    [
        # 02:00 to 03:00 is left out on 29 March 2026, and comes twice on 25 October.
        ("30 2 * * *", "2026-03-28T12:00", ["03-29T03:00:00+02", "03-30T02:30:00+02"]),
        ("0,30 2 * * *", "2026-03-28T12:00", ["03-29T03:00:00+02", "03-30T02:00:00+02"]),
        ("*/30 * * * *", "2026-03-29T01:10", ["03-29T01:30:00+01", "03-29T03:00:00+02"]),
        ("30 2 * * *", "2026-10-24T12:00", ["10-25T02:30:00+02", "10-26T02:30:00+01"]),
        ("30 * * * *", "2026-10-25T02:00", ["10-25T02:30:00+02", "10-25T02:30:00+01", "10-25T03:30:00+01"]),
        ("0 3 * * mon", "2026-11-20T00:00", ["11-23T03:00:00+01", "11-30T03:00:00+01"]),
        ("@monthly", "2026-11-20T00:00", ["12-01T00:00:00+01", "01-01T00:00:00+01"]),
    ],
)
def test_daylight_saving(cron, begin, expected):
    assert due_times(cron, begin, len(expected)) == expected


def test_what_is_over_in_an_hour_that_comes_twice_does_not_come_again():
    second = at("2026-10-25T02:10") + HOUR  # 02:10 again: 02:30 has been
    assert first(Schedule(cron="30 2 * * *", tz="Europe/Berlin"), second) == at("2026-10-26T02:30")


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (Schedule(cron="0 25 * * mon"), "the hour '25' is wrong: 0 to 23"),
        (Schedule(cron="0 3 * * mno"), "the day-of-week 'mno' is wrong: .*sun to sat"),
        (Schedule(cron="*/0 * * * *"), "the minute '\\*/0' is wrong"),
        (Schedule(cron="0 3 * *"), "has 4 fields: write five, minute hour"),
        (Schedule(cron="0 0 3 * * *"), "has 6 fields"),
        (Schedule(cron="* " * 5000), "at most 200 characters"),
        (Schedule(cron="@dayly"), "'@dayly' is not known: write .*@daily"),
        (Schedule(cron="0 0 31 2 *"), "'0 0 31 2 \\*' is never due"),
        (Schedule(cron="٣ * * * *"), "the minute '٣' is wrong"),
        (Schedule(cron="0 3 * * *", tz="Europe/Berln"), "tz 'Europe/Berln' .* did you mean Europe/Berlin"),
        (Schedule(cron="0 3 * * *", tz="../etc/passwd"), "no time zone"),
        (Schedule(cron="0 3 * * *", tz=""), "no time zone"),
        *((Schedule(cron="0 3 * * *", tz=tz), "(no time zone|same on every machine): .*Europe/Berlin")
          for tz in ("localtime", "Factory", "posixrules", "right/Europe/Berlin", "posix/UTC")),
        (Schedule(cron="0 3 * * *", misfire="no"), "misfire is 'no': write one of 'once', 'skip', 'all'"),
        (Schedule(every=99), "every is 0.099 s: from 0.1"),
        (Schedule(every=-1), "every is 0 s"),
        (Schedule(every=1 << 60), "every is .* to 315360000 s"),
        (Schedule(), "either every=SECONDS or cron=EXPRESSION"),
        (Schedule(every=1000, cron="* * * * *"), "either every=SECONDS or cron=EXPRESSION"),
    ],
)
def test_what_is_wrong_is_named(schedule, said):
    with pytest.raises(BadSchedule, match=said):
        check(schedule)


FIELDS = ("*", "*/7", "1", "3,5", "1-4", "L", "LW", "mon", "jan", "61", "x", "-", "", "5L", "1#2")
fields = st.sampled_from(FIELDS)


@given(st.one_of(st.text(max_size=30), st.lists(fields, min_size=4, max_size=6).map(" ".join)))
def test_any_text_has_a_due_time_or_is_refused(text):
    try:
        schedule = check(Schedule(cron=text, tz="Europe/Berlin"))
    except BadSchedule:
        return
    now = at("2026-03-28T23:17")
    assert now < (due := first(schedule, now)) < first(schedule, due)


schedules = st.one_of(
    st.builds(
        Schedule, every=st.integers(100, 10**7), cron=st.just(""), tz=st.just("UTC"),
        misfire=st.sampled_from(MISFIRES),
    ),
    st.builds(
        Schedule, every=st.just(0), cron=st.sampled_from(("*/5 * * * *", "30 2 * * *", "0 0 1 * *")),
        tz=st.sampled_from(("UTC", "Europe/Berlin")), misfire=st.sampled_from(MISFIRES),
    ),
)  # fmt: skip


@given(schedules, st.integers(0, 4 * 10**12), st.integers(0, 40 * 86_400_000))
def test_what_misfires(schedule, start, late):
    assert parse_schedule(text_of(schedule)) == schedule
    due = first(schedule, start)
    now = due + late
    runs, following = fire(schedule, due, now)
    assert following > due
    if schedule.misfire == "all":
        assert runs
        assert following == fire(schedule, due, due)[1]
    else:
        assert runs == (schedule.misfire == "once" or late <= 60_000)
        assert following > now
    if schedule.every:
        assert (following - due) % schedule.every == 0  # it does not drift
