"""The parts of a partition in service, each alone."""

from __future__ import annotations

from unittest.mock import Mock, call

import pytest

from plexstream.log.base import Record
from plexstream.model.errors import Fenced, LogUnavailable
from plexstream.model.journal.journal import Mark
from plexstream.node.partition import watch
from plexstream.node.partition.outgoing import appends
from plexstream.node.partition.outgoing.appends import Appends
from plexstream.node.partition.service import flow
from plexstream.node.partition.service.flow import Flow
from plexstream.node.partition.service.reading import Reading
from plexstream.node.partition.watch import Watch
from plexstream.processor import Settings
from plexstream.schema.codec import encode_journal

JOURNAL, MAILBOX = ("journal", 0), ("mailbox", 0)
MARK = Mark(0, 0, (), 0, 0, -1, "", False)


def record(offset, value=None):
    return Record(*JOURNAL, offset, b"", encode_journal(MARK) if value is None else value, 0)


# Groups and their acknowledgements


def appending(**returns):
    services, processor = Mock(), Mock(in_flight=[])
    processor.configure_mock(**returns)
    return Appends(services, JOURNAL, object(), processor), services, processor


def test_no_more_groups_are_on_their_way_than_may_be():
    made, services, processor = appending()
    processor.take.side_effect = lambda: processor.in_flight.append(1) or [MARK, MARK]
    made.hand_over()
    assert services.appender.append.call_count == appends.MAX_GROUPS
    assert made.turns == 2 * appends.MAX_GROUPS
    assert made.room == appends.MAX_AHEAD_BYTES - made.ahead_bytes < appends.MAX_AHEAD_BYTES
    size = services.appender.append.call_args.args[-1][-1]
    processor.acknowledged.return_value = None
    before = made.ahead_bytes
    made.acknowledged(1, size)
    assert made.ahead_bytes == before - size


def test_behind_a_gap_nothing_is_told_until_it_is_read():
    made, _, processor = appending()
    processor.acknowledged.side_effect = [(4, 6), None]
    processor.gap.return_value = [5]
    assert made.acknowledged(7, 0)
    assert (made.gap, made.gap_at) == ((4, 6), 4)
    assert not made.acknowledged(8, 0)  # no other gap; and it waits
    assert processor.acknowledged.call_args_list == [call(7)]
    assert not made.read([record(4), record(5, b"\xff")])
    assert made.gap_at == 6
    assert made.read([record(6), record(7)])
    assert processor.gap.call_args == call([(4, MARK), (5, None), (6, MARK)])
    assert not made.go_on()
    assert processor.acknowledged.call_args_list == [call(7), call(8)]


def test_a_gap_with_a_claim_in_it_ends_the_reign():
    made, _, processor = appending()
    processor.acknowledged.return_value = (4, 4)
    processor.gap.side_effect = Fenced("claimed by another")
    made.acknowledged(5, 0)
    with pytest.raises(Fenced):
        made.read([record(4)])


# Who reads the journal


def reading(gap=None, catching_up=False, relay=-1):
    services = Mock()
    parts = Mock(gap=gap, gap_at=3), Mock(catching_up=catching_up, catches_up_to=8, catches_up_at=2)
    relay = Mock(reading=relay)
    return Reading(services, JOURNAL, Mock(**{"fold.next": 20}), *parts, relay), services, (*parts, relay)


@pytest.mark.parametrize(
    ("state", "due", "upto", "awaited"),
    [
        ({}, False, None, None),
        ({"relay": 5}, True, 19, ("journal[0]", 5)),
        ({"relay": 5, "catching_up": True}, True, 8, ("journal[0]", 2)),
        ({"relay": 5, "catching_up": True, "gap": (3, 4)}, True, 4, ("journal[0]", 3)),
    ],
)
def test_a_gap_comes_before_what_the_snapshots_lack_and_that_before_what_is_owed(state, due, upto, awaited):
    made, _, parts = reading(**state)
    assert (made.due, made.reads_up_to(), made.awaited()) == (due, upto, awaited)
    made.take([record(4)])
    wanted = [parts[0].read, parts[1].catch_up, parts[2].read]
    assert [part.called for part in wanted] == [upto == 4, upto == 8, upto == 19]


def test_a_gap_interrupts_who_reads_and_they_begin_again_behind_it():
    made, services, (appending, upkeep, relay) = reading(relay=5)
    appending.acknowledged.side_effect = lambda *_: setattr(appending, "gap", (3, 4)) or True
    made.acknowledged(6, 0)
    assert relay.stop_reading.called
    assert services.journal.assign.call_args == call(JOURNAL, 3)
    appending.read.return_value, appending.go_on.return_value = True, False
    made.take([record(4)])
    assert services.journal.release.called
    assert upkeep.start_catch_up.called


def test_what_is_owed_is_read_only_while_nobody_else_reads():
    for state, starts in (({}, True), ({"catching_up": True}, False), ({"gap": (1, 2)}, False)):
        made, _, (_, _, relay) = reading(**state)
        made.start()
        assert relay.start_reading.called == starts


# What stops the reading of the mailbox


def test_reading_stops_when_anything_is_full_and_goes_on_when_all_is_half_empty():
    services = Mock(settings=Settings())
    p = Mock(running_ahead=0, **{"inbox.waiting": {}, "inbox.waiting_bytes": 0, "pieces.dirty_bytes": 0})
    lane = Mock(backlog=0, backlog_bytes=0)
    parts = {"relay": Mock(load=0), "upkeep": Mock(lag=0), "arrived": Mock(load=0), "appends": Mock(load=0)}
    made = Flow(services, MAILBOX, p, lane, **parts)
    made.adjust()
    assert not made.paused
    full = [
        (lane, "backlog", flow.MAX_BACKLOG, True), (lane, "backlog_bytes", flow.MAX_BACKLOG_BYTES, True),
        (parts["relay"], "load", 1, True), (parts["upkeep"], "lag", 1 << 40, True),
        (p.pieces, "dirty_bytes", 1 << 40, True), (parts["arrived"], "load", 1, False),
        (parts["appends"], "load", 1, False), (p, "running_ahead", 1 << 40, False),
        (p.inbox, "waiting_bytes", 1 << 40, False),
    ]  # fmt: skip
    for part, name, much, holds in full:
        setattr(part, name, much)
        made.adjust()
        assert (made.paused, p.held) == (True, holds), name
        setattr(part, name, 0)
        made.adjust()
        assert not made.paused
    assert services.mailbox.pause.call_count == services.mailbox.resume.call_count == len(full)
    parts["arrived"].load = 1
    made.adjust()
    parts["arrived"].load = 0.6
    made.adjust()
    assert made.paused


# What does not come


def watching(upto=9):
    services = Mock()
    services.elapsed.return_value = 0.0
    return Watch(services, JOURNAL, object(), lambda: upto), services


def test_a_record_that_must_be_there_and_does_not_come_is_told():
    made, services = watching()
    made.look(("journal[0]", 3))
    services.elapsed.return_value = watch.SILENCE_S
    made.look(("journal[0]", 4))  # it goes on
    services.elapsed.return_value = 2 * watch.SILENCE_S + 1
    with pytest.raises(LogUnavailable, match="up to offset 4"):
        made.look(("journal[0]", 4))


@pytest.mark.parametrize(("first", "fenced"), [(9, False), (10, True)])
def test_who_may_not_read_what_a_newer_owner_has_trimmed_is_fenced(first, fenced):
    made, services = watching()
    made.look(None)
    assert not services.ask.called
    services.elapsed.return_value = watch.WATCH_S
    made.look(None)
    then = services.ask.call_args.args[-1]
    then(LogUnavailable("away"))
    if fenced:
        with pytest.raises(Fenced):
            then((first, 20))
    else:
        then((first, 20))


def test_nothing_is_asked_where_nothing_is_read():
    made, services = watching(None)
    for now in (0.0, 10.0, 20.0):
        services.elapsed.return_value = now
        made.look(None)
    assert not services.ask.called
