"""Records of somebody who may write to the topics: what names more than there is, is told and ignored."""

import json
import logging
import sys

import pytest
from installation import PARTITIONS, Installation, wait_until

from plexstream.log.base import TopicSpec
from plexstream.log.installation import Control, Short, short_key
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import LogUnavailable
from plexstream.model.journal.journal import Claim, Inbox, Mark, Origin, Partition
from plexstream.model.messages.address import full, partition_of
from plexstream.model.messages.message import TELL, Envelope
from plexstream.model.topics.topics import Topics
from plexstream.node.partition.incoming.numbers import AHEAD, ANY, JUMP, end_of
from plexstream.node.partition.sums.snapshots import (
    PARTITION_KEY,
    SENTINEL,
    partition_piece,
    snapshot_key,
)
from plexstream.processor import Settings
from plexstream.processor.journal.sums.fold import MAILBOX
from plexstream.schema.codec import decode_journal, encode_envelope, encode_journal, encode_snapshot

T = Topics("test.")
TARGET = full("account/1")
PLACE = (T.mailbox, partition_of(TARGET, PARTITIONS))
FAR = 10**12


@pytest.fixture(autouse=True)
def told(caplog):
    caplog.set_level(logging.WARNING)


def origin(log, partition=0):
    return f"journal/{partition}@{log.topic_id(T.journal)}"


def deposit(log, origin, seq, amount=1, index=0):
    """A message as a journal's relay sends it."""
    payload = json.dumps({"amount": amount}).encode()
    id = f"{origin}/{seq}.{index}"
    e = Envelope(TELL, id, TARGET, "deposit", payload, "", "", "", 0, {}, origin, seq, index)
    log.append_now(PLACE, [(TARGET.encode(), encode_envelope(e))])


def letters(log):
    return sum(log.range((T.deadletter, p))[1] for p in range(log.partitions(T.deadletter)))


@pytest.mark.parametrize("seq", [FAR, 2**62, AHEAD + 100, JUMP + 100])
def test_a_number_beyond_its_origin_s_end_is_put_aside_and_others_are_taken(tmp_path, caplog, seq):
    log = MemoryLog()
    with Installation(log, tmp_path) as i:
        name = origin(log)
        deposit(log, name, seq, 1000)
        deposit(log, name, 0, 5)
        deposit(log, name, 0, 100)  # as it is sent again
        assert i.ask("account/1", "balance") == 5
        wait_until(lambda: letters(log) >= 1)
    assert f"names itself number {seq} of '{name}'" in caplog.text
    with Installation(log, tmp_path) as i:
        deposit(log, name, seq, 1000)
        deposit(log, name, 1, 5)
        assert i.ask("account/1", "balance") == 10


def test_forged_numbers_of_many_cost_one_question(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "plexstream.node.partition.incoming.numbers.end_of",
        lambda control, name: asked.append(name) or end_of(control, name),
    )
    log = MemoryLog()
    with Installation(log, tmp_path) as i:
        items = []
        for seq in range(100):
            e = Envelope(
                TELL, "x", TARGET, "deposit", b'{"amount":1}', "", "", "", 0, {}, origin(log), FAR + seq, 0
            )
            items.append((TARGET.encode(), encode_envelope(e)))
        log.append_now(PLACE, items)
        assert i.ask("account/1", "balance") == 0
        wait_until(lambda: letters(log) >= 100)
    assert len(asked) <= 3


def test_real_numbers_that_jump_are_taken_when_the_log_has_said_so(tmp_path):
    log = MemoryLog()
    log.create([TopicSpec("orders", 1)])
    log.append_now(("orders", 0), [(b"", b"")] * 5_000)
    name = f"orders/0@{log.topic_id('orders')}"
    with Installation(log, tmp_path) as i:
        for seq in (10, 4_000, 4_999):
            deposit(log, name, seq)
        deposit(log, name, 4_998, 100)  # older
        assert i.ask("account/1", "balance") == 3
        deposit(log, name, 20_000, 100)
        wait_until(lambda: letters(log) >= 1)
        log.append_now(("orders", 0), [(b"", b"")] * 20_000)
        assert i.ask("account/1", "balance") == 3
        deposit(log, name, 19_000)
        assert i.ask("account/1", "balance") == 4


def test_where_the_log_cannot_say_the_message_waits(tmp_path, caplog):
    class Log(MemoryLog):
        away = 0

        def topics(self):
            if self.away:
                self.away -= 1
                raise LogUnavailable("no broker says so")
            return super().topics()

    log = Log()
    with Installation(log, tmp_path) as i:
        log.away = 3
        deposit(log, origin(log), FAR, 100)
        deposit(log, origin(log), 0, 5)
        assert i.ask("account/1", "balance") == 5
        assert log.away == 0
    assert "no broker says so" in caplog.text


@pytest.mark.parametrize(
    "name",
    ["orders/7", "orders", "/", "journal/x", f"journal/{'9' * 5000}", "journal/²", "journal/1@gone", "\0/1"],
)
def test_an_origin_of_nothing_that_there_is_has_no_end(tmp_path, name):
    """Nobody's messages are lost by it."""
    log = MemoryLog()
    with Installation(log, tmp_path) as i:
        deposit(log, name, FAR)
        deposit(log, name, FAR + 1)
        assert i.ask("account/1", "balance") == 2


def test_the_end_of_an_origin_is_that_of_the_life_that_it_names():
    log = MemoryLog()
    log.create([TopicSpec(T.control, 1), TopicSpec(T.journal, 1), TopicSpec("journal", 2), TopicSpec("a", 1)])
    log.append_now(("a", 0), [(b"", b"")] * 7)
    log.append_now((T.journal, 0), [(b"", b"")] * 3)
    control = Control(log, T)
    life = log.topic_id("a")
    assert end_of(control, f"a/0@{life}") == 7
    assert end_of(control, "a/0") == end_of(control, f"a/0@{life}+1") == end_of(control, f"a/1@{life}") == ANY
    assert end_of(control, f"journal/0@{log.topic_id(T.journal)}") == 3
    assert end_of(control, f"journal/1@{log.topic_id('journal')}") == 0
    control.put(short_key(("a", 0)), Short(life, 90, 7))
    assert end_of(control, f"a/0@{life}") == 90  # some may be on their way
    control.put(short_key(("a", 0)), Short(life, 90, 7, "done"))
    assert end_of(control, f"a/0@{life}") == ANY
    assert end_of(control, f"a/0@{life}+1") >= 7


def newest_claim(log, partition):
    records = read(log, (T.journal, partition))
    return max(r.offset for r in records if type(decode_journal(r.value)) is Claim)


def read(log, place):
    reader = log.reader()
    at, end = log.range(place)
    reader.assign(place, at)
    found = []
    while at < end:
        found += reader.read(1000, 1.0)
        at = found[-1].offset + 1
    reader.close()
    return found


def forge(log, partition, **more):
    """A mark under the claim in force, as the next record of its reign."""
    claim = newest_claim(log, partition)
    found = [decode_journal(r.value) for r in read(log, (T.journal, partition)) if r.offset > claim]
    ordinal = 1 + max((r.ordinal for r in found if r.claim == claim), default=0)
    mark = Mark(claim, 0, (), 0, 0, -1, "", False, ordinal=ordinal)._replace(**more)
    log.append_now((T.journal, partition), [(b"", encode_journal(mark))])


@pytest.mark.parametrize(
    "what", [{"relayed": FAR}, {"emitted": FAR}, {"relayed": sys.maxsize, "emitted": 10**6}]
)
@pytest.mark.parametrize("live", [False, True], ids=["down", "in service"])
def test_a_mark_beyond_its_own_offset_counts_for_nothing(tmp_path, caplog, what, live):
    log = MemoryLog()
    with Installation(log, tmp_path) as i:
        assert i.ask("account/1", "deposit", amount=1) == {"balance": 1}
        if live:
            forge(log, PLACE[1], **what)
            i.client.tell("account/1", "deposit", {"amount": 0})
            wait_until(lambda: "counts for nothing" in caplog.text)
    if not live:
        forge(log, PLACE[1], **what)
    with Installation(log, tmp_path) as i:
        assert i.ask("account/1", "deposit", amount=1) == {"balance": 2}
        fold = i.worker.drivers[PLACE[1]].processor.fold
        assert max(fold.relayed, fold.emitted) <= i.end(PLACE[1])
    assert "counts for nothing: it is a mark that says" in caplog.text


def test_origins_of_a_mark_beyond_their_end_are_forgotten(tmp_path, caplog):
    log = MemoryLog()
    with Installation(log, tmp_path) as i:
        assert i.ask("account/1", "deposit", amount=1) == {"balance": 1}
    end = log.range(PLACE)[1]
    forge(log, PLACE[1], inboxes=(Inbox(MAILBOX, end, end, (), (Origin(origin(log), FAR, 0),)),))
    with Installation(log, tmp_path) as i:
        deposit(log, origin(log), 0)
        deposit(log, origin(log), 1)
        deposit(log, origin(log), 1, 100)
        assert i.ask("account/1", "balance") == 3
    assert f"a mark says that number {FAR}" in caplog.text


def test_an_attempt_at_a_message_beyond_the_mailbox_is_none(tmp_path, caplog):
    log = MemoryLog()
    with Installation(log, tmp_path) as i:
        i.ask("account/1", "deposit", amount=1)
    forge(log, PLACE[1], attempt=FAR)
    with Installation(log, tmp_path) as i:
        assert i.ask("account/1", "deposit", amount=1) == {"balance": 2}
        assert i.worker.drivers[PLACE[1]].processor.fold.attempt == -1
    assert f"the message {FAR}" in caplog.text


@pytest.mark.parametrize("what", ["sentinel", "sum"])
def test_snapshots_that_speak_of_a_journal_beyond_its_end_count_for_nothing(tmp_path, caplog, what):
    log = MemoryLog()
    with Installation(log, tmp_path / "a", Settings()) as i:
        assert i.ask("account/1", "deposit", amount=1) == {"balance": 1}
    life = log.topic_id(T.journal)
    if what == "sentinel":
        item = (SENTINEL, f"{FAR} {life}".encode())
    else:
        piece = partition_piece(Partition(start=FAR, floor=FAR, unsaved=FAR, relayed=FAR, emitted=FAR))
        item = (snapshot_key(PARTITION_KEY), encode_snapshot(piece))
    for p in range(PARTITIONS):
        log.append_now((T.snapshot, p), [item])
    with Installation(log, tmp_path / "b") as i:
        assert i.ask("account/1", "deposit", amount=1) == {"balance": 2}
        assert all(i.end(p) < 100 for p in range(PARTITIONS))
    assert "counts for nothing: it " in caplog.text
