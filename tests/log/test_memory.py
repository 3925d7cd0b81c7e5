"""What only the log in memory has: the primitives that a simulation drives."""

import pytest

from plexstream.log.base import TopicSpec
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import Fenced


@pytest.fixture
def log() -> MemoryLog:
    ticks = iter(range(1, 1_000_000))
    log = MemoryLog(clock=lambda: next(ticks))
    log.create([TopicSpec("t", 2)])
    return log


def test_records_carry_the_time_of_the_given_clock(log):
    log.append_now(("t", 0), [(b"k", b"1"), (b"k", b"2")])
    log.append_now(("t", 0), [(b"k", b"3")])
    reader = log.reader()
    reader.assign(("t", 0), 0)
    assert [record.time for record in reader.read(9, 0)] == [1, 1, 2]


def test_committed_readers_stop_before_an_open_transaction(log):
    log.append_now(("t", 0), [(b"k", b"before")])
    epoch = log.begin_now("relay")
    log.write_now("relay", epoch, [("t", 0, b"k", b"open")])
    log.append_now(("t", 0), [(b"k", b"after")])
    committed, dirty = log.reader(committed=True), log.reader()
    for reader in committed, dirty:
        reader.assign(("t", 0), 0)
    assert [r.value for r in dirty.read(9, 0)] == [b"before", b"open", b"after"]
    assert [r.value for r in committed.read(9, 0)] == [b"before"]
    log.end_now("relay", epoch, {})
    assert [r.value for r in committed.read(9, 0)] == [b"open", b"after"]
    # The marker has an offset of its own.
    assert log.append_now(("t", 0), [(b"k", b"last")]) == 4


def test_what_a_fenced_owner_has_open_is_aborted(log):
    old = log.begin_now("relay")
    log.write_now("relay", old, [("t", 1, b"k", b"lost")])
    new = log.begin_now("relay")
    with pytest.raises(Fenced):
        log.write_now("relay", old, [("t", 1, b"k", b"late")])
    with pytest.raises(Fenced):
        log.end_now("relay", old, {("in", 0): 5})
    log.write_now("relay", new, [("t", 1, b"k", b"kept")])
    log.end_now("relay", new, {("in", 0): 7})
    reader = log.reader(committed=True)
    reader.assign(("t", 1), 0)
    assert [r.value for r in reader.read(9, 0)] == [b"kept"]
    assert log.position_now("relay", ("in", 0)) == 7
