"""The parts of an ingest, each alone: which sources are read, and what becomes of their records."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from plexstream.log.base import Record
from plexstream.log.limits.limits import RecordTooLarge
from plexstream.model.errors import LogUnavailable, Shortened
from plexstream.model.messages.message import TELL, Envelope
from plexstream.node.ingest.feeding import Feeding
from plexstream.node.ingest.sources import sources
from plexstream.node.ingest.sources.source import Begun, Refused, Source, Stage, There
from plexstream.node.ingest.sources.sources import Sources
from plexstream.schema.codec import decode_envelope

PLACE = ("a", 0)


def envelope(record, origin, headers=()):
    id, target = f"{origin}/{record.offset}", f"d/d/t/{record.key.decode()}"
    return Envelope(
        TELL, id, target, "h", record.value, "", "", "", 0, dict(headers), origin, record.offset, 0
    )


class Plain:
    """Makes a message of each record but of those that say "bad"."""

    plain = None  # of what C code knows it is none

    def message(self, record, origin):
        if record.value == b"bad":
            raise KeyError("of the user's own")
        return envelope(record, origin)

    def refused(self, record, origin, why):
        return envelope(record, origin, {"malformed": why})


def source(stage=Stage.READING):
    made = Source(PLACE, "life", Mock(), 0.0)
    made.origin, made.stage = "a/0@life", stage
    return made


def record(offset, value=b"1", key=b"k"):
    return Record(*PLACE, offset, key, value, 0)


def messages(appender):
    return [decode_envelope(value) for c in appender.append.call_args_list for _, value in c.args[1]]


def test_each_subscription_gets_a_message_of_its_own_number():
    appender, own = Mock(), source()
    failed = list(Feeding("mailbox", 1, {"a": [Plain(), Plain()]}).feed(appender, {PLACE: own}, [record(3)]))
    assert failed == []
    assert [(e.id, e.origin_index) for e in messages(appender)] == [("a/0@life/3", 0), ("a/0@life/3.1", 1)]
    assert list(own.outstanding) == [[4, 1, own.bytes]]


def test_what_cannot_be_read_is_put_aside_and_holds_nothing_up(caplog):
    appender = Mock()
    feeding = Feeding("mailbox", 1, {"a": [Plain()]})
    list(feeding.feed(appender, {PLACE: source()}, [record(3, b"bad"), record(4)]))
    found = [(e.id, "malformed" in e.headers) for e in messages(appender)]
    assert found == [("a/0@life/3", True), ("a/0@life/4", False)]


def test_one_that_no_mailbox_takes_is_put_aside_alone():
    def append(place, items, token):
        if any(b"huge" in value for _, value in items):
            raise RecordTooLarge("too large", {})

    appender, own = Mock(), source()
    appender.append.side_effect = append
    feed = Plain()
    feed.refused = lambda r, origin, why: envelope(r, origin, {"malformed": why})._replace(payload=b"")
    feeding = Feeding("mailbox", 1, {"a": [feed]})
    assert list(feeding.feed(appender, {PLACE: own}, [record(3, b"huge"), record(4)])) == []
    found = [(e.id, "malformed" in e.headers) for e in messages(appender)]
    assert found[-2:] == [("a/0@life/3", True), ("a/0@life/4", False)]
    assert own.outstanding[0][1] == 2  # appends of that batch


def test_records_of_sources_that_are_not_read_are_left():
    for some in ({}, {PLACE: source(Stage.WAITING)}):
        appender = Mock()
        assert list(Feeding("mailbox", 1, {"a": [Plain()]}).feed(appender, some, [record(3)])) == []
        assert not appender.append.called


def test_a_source_whose_mailbox_takes_nothing_is_named():
    appender, own = Mock(), source()
    appender.append.side_effect = error = LogUnavailable("away")
    assert list(Feeding("mailbox", 1, {"a": [Plain()]}).feed(appender, {PLACE: own}, [record(3)])) == [
        (own, error)
    ]


@pytest.fixture
def room():
    """Sources with one topic of two partitions, of which the first is this worker's."""
    room = Mock(now=0.0, asked=[], reader=Mock())
    room.subscribed = Mock(there={"a": There(2, "life")})
    room.made = Sources(
        Mock(), Mock(), room.subscribed, lambda *asked: room.asked.append(asked), lambda: room.now
    )
    room.follow = lambda: room.made.follow(room.reader, lambda partition: partition == 0)
    room.answer = lambda found: room.asked.pop()[2](found)
    return room


def test_a_source_of_the_share_is_asked_about_then_read_from_there(room):
    room.follow()
    own = room.made.by_place[PLACE]
    assert (list(room.made.by_place), own.stage) == ([PLACE], Stage.ASKING)
    room.answer(Begun("a/0@life", "life", 7))
    room.follow()
    assert room.reader.assign.call_args.args == (PLACE, 7)
    assert own.stage is Stage.READING


def test_one_of_another_life_is_another_source(room):
    room.follow()
    before = room.made.by_place[PLACE]
    room.subscribed.there = {"a": There(2, "next")}
    room.follow()
    assert room.made.by_place[PLACE].life == "next"
    room.asked[0][2](Begun("a/0@life", "life", 7))  # too late: it says nothing of the one that is there
    assert before.done == 0
    assert room.made.by_place[PLACE].stage is Stage.ASKING


@pytest.mark.parametrize(
    ("found", "pause"), [(LogUnavailable("away"), sources.RETRY_S), (Refused("short"), sources.REFUSED_S)]
)
def test_one_that_cannot_be_begun_is_asked_about_again_after_a_while(room, found, pause):
    room.follow()
    room.answer(found)
    room.now = pause * 0.9
    room.follow()
    assert room.asked == []
    room.now = pause
    room.follow()
    assert len(room.asked) == 1


def test_one_that_has_lost_records_is_not_read_until_an_operator_says_so(room):
    room.follow()
    room.answer(Begun("a/0@life", "life", 7))
    room.follow()
    room.made.shortened(Shortened("a", 0, 7, 3))
    assert room.made.by_place[PLACE].stage is Stage.ASKING
    room.answer(Refused("it has lost records"))
    assert room.made.by_place[PLACE].stage is Stage.NEW
