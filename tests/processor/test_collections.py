"""Ranges of collections across the layers of a partition's state, against dicts, in any order of events."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexstream.model.journal.journal import Change, Turn
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.processor.state import collections
from plexstream.processor.state.collections import Newer
from plexstream.processor.state.pieces import Pieces
from plexstream.schema import codec
from plexstream.store.memory import MemoryStore

A, B = "t/n/a/1", "t/n/a/2"
PARTITION = Snapshot(Piece.PARTITION, "", "", None, 0, 0, 0, b"")


class Counted(MemoryStore):
    """Counts the rows that ranges read."""

    def __init__(self):
        super().__init__()
        self.rows = 0

    def entries(self, *args):
        found = super().entries(*args)
        self.rows += len(found)
        return found


def turn(changes, actor=A):
    patch = [Change("m", key, value) for key, value in changes]
    return Turn(0, actor, 1, "mailbox", -1, 5, 0, False, "", patch, "h", "i", "", 0, "", 0, 0, [])


class Partition:
    """One partition's pieces: what is run, acknowledged, flushed."""

    def __init__(self, store=None):
        self.store = store if store is not None else Counted()
        self.pieces = Pieces(self.store, lambda data: json.loads(data), 100, codec)
        self.flying = []
        self.offset = 0

    def run(self, *changes, actor=A):
        made = turn(changes, actor)
        self.pieces.run_ahead(made)
        self.flying.append(made)

    def acknowledge(self):
        self.pieces.apply(self.offset, self.flying.pop(0))
        self.offset += 1

    def flush(self):
        self.pieces.flush(PARTITION)
        self.pieces.forget_clean(0)

    def save(self, *changes, actor=A):
        self.run(*changes, actor=actor)
        self.acknowledge()
        self.flush()

    def range(self, *args, actor=A, **more):
        return self.pieces.collections.entries(actor, "m", *args, **more)

    def rows(self, *args, **more):
        """What a scan finds first, and what it reads of the store for that."""
        self.store.rows = 0
        return next(self.range(*args, chunk=1, **more), None), self.store.rows


def in_range(model, start, stop, reverse):
    keys = sorted((k for k in model if start <= k and (stop is None or k < stop)), reverse=reverse)
    return [(k, model[k]) for k in keys]


keys = st.sampled_from(["", "a", "b", "b\0", "c", "d", "é", "\ud7ff", "\U0001f600"])
ops = st.lists(
    st.tuples(
        st.sampled_from(["set", "set", "del", "del", "ack", "ack", "flush", "lose", "scan", "scan", "scan"]),
        keys,
        st.none() | keys,
        st.booleans(),
        st.integers(0, 3),
    ),
    max_size=60,
)


@given(ops, st.integers(1, 3))
@settings(max_examples=600)
def test_a_range_is_that_of_a_dict(ops, chunk):
    """Whatever is acknowledged, flushed and lost, and was scanned before: all three layers are one."""
    p = Partition()
    newest, sure, pending = {}, {}, []
    for number, (op, key, stop, reverse, taken) in enumerate(ops):
        if op in ("set", "del"):
            value = b"%d" % number if op == "set" else None
            p.run((key, value))
            p.run((key, b"other"), actor=B)
            pending.append((key, value))
            newest[key] = value
        elif op == "ack" and pending:
            p.acknowledge()
            p.acknowledge()
            key, value = pending.pop(0)
            sure[key] = value
        elif op == "flush":
            p.flush()
        elif op == "lose":  # the reign: what is not acknowledged comes to nothing, the log has the rest
            p.flush()
            p = Partition(p.store)
            newest, pending = dict(sure), []
        elif op == "scan":
            live = {k: v for k, v in newest.items() if v is not None}
            found = p.range(key, stop, reverse, chunk)
            some = [next(found, None) for _ in range(taken)]
            expected = in_range(live, key, stop, reverse)
            assert some == (expected + [None] * taken)[:taken]
            if taken == 0:
                assert list(found) == expected
    live = {k: v for k, v in newest.items() if v is not None}
    for reverse in (False, True):
        assert list(p.range("", None, reverse, chunk)) == in_range(live, "", None, reverse)


@given(ops, st.booleans())
@settings(max_examples=300)
def test_a_range_goes_on_with_the_state_as_it_is(ops, reverse):
    p = Partition()
    model = {}
    for n, key in enumerate(["", "b", "d", "é"]):
        model[key] = b"%d" % n
        p.save((key, model[key]))
    found, last = p.range("", None, reverse, 2), None
    for number, (op, key, _, _, _) in enumerate([*ops, *[("scan", "", None, False, 0)] * 20]):
        if op in ("set", "del"):
            value = b"%d" % number if op == "set" else None
            p.run((key, value))
            model.pop(key, None)
            if value is not None:
                model[key] = value
        elif op == "ack" and p.flying:
            p.acknowledge()
        elif op == "flush":
            p.flush()
        elif op == "scan":
            rest = [k for k in model if last is None or (k < last if reverse else k > last)]
            got = next(found, None)
            if not rest:
                assert got is None
                return
            last = max(rest) if reverse else min(rest)
            assert got == (last, model[last])


def test_ten_of_many_are_ten():
    p = Partition()
    p.save(*((f"{n:05}", b"1") for n in range(5000)))
    p.run(*((f"{n:05}!", b"2") for n in range(0, 5000, 100)))
    p.store.rows = 0
    found = p.range("02000", chunk=10)
    assert [next(found)[0] for _ in range(10)] == ["02000", "02000!", *(f"{n:05}" for n in range(2001, 2009))]
    assert p.store.rows == 10
    assert p.rows(reverse=True) == (("04999", b"1"), 1)


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_queue_reads_no_dead_key_again(reverse, flushed):
    p = Partition()
    queue = [f"{n:03}" for n in range(200)]
    p.save(*((key, b"1") for key in queue))
    order = queue[::-1] if reverse else queue
    for taken, key in enumerate(order):
        found, rows = p.rows(reverse=reverse)
        assert found == (key, b"1")
        assert rows <= 5, f"after {taken} were taken"
        p.run((key, None))
        if flushed and taken % 10 == 9:
            while p.flying:
                p.acknowledge()
            p.flush()
    assert p.rows(reverse=reverse)[0] is None
    assert p.rows(reverse=reverse) == (None, 0), "it is known that nothing is there"


def test_what_is_acknowledged_is_not_the_newest():
    p = Partition()
    p.save(("a", b"1"), ("b", b"1"))
    p.run(("a", None))
    p.run(("a", b"2"), ("b", None))
    assert list(p.range()) == [("a", b"2")]
    p.acknowledge()
    assert list(p.range()) == [("a", b"2")]
    p.acknowledge()
    assert list(p.range()) == [("a", b"2")]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_shorter_look_forgets_no_longer_gap(reverse):
    p = Partition()
    p.save(*((key, None) for key in "abcd"))
    p.save(*((key, b"1") for key in "abcd"))
    p.save(*((key, None) for key in "abcd"))
    assert p.rows(reverse=reverse) == (None, 0)
    assert list(p.range(*(("c", None) if reverse else ("", "b")), reverse=reverse)) == []
    assert p.pieces.collections._gaps.skip((A, "m"), "", None, reverse) == ("", "")


@pytest.mark.parametrize("reverse", [False, True])
def test_a_range_that_ends_before_it_begins_says_nothing_of_others(reverse):
    p = Partition()
    p.save(*((key, b"1") for key in "abcdef"))
    assert list(p.range("d", "c", reverse=reverse)) == []
    assert [key for key, _ in p.range("d")] == ["d", "e", "f"]
    assert [key for key, _ in p.range("", "c", reverse=True)] == ["b", "a"]


@pytest.mark.parametrize("reverse", [False, True])
def test_an_older_key_that_is_written_is_found_again(reverse):
    """It goes where scans do not look any more."""
    p = Partition()
    p.save(*((key, b"1") for key in "bcdefg"))
    ends = "fgh" if reverse else "bca"
    for key in ends[:2]:
        p.run((key, None))
        p.acknowledge()
    assert p.rows(reverse=reverse)[0] == (("e" if reverse else "d"), b"1")
    for old in (ends[0], ends[2]):  # one that was there, and one that never was
        p.run((old, b"2"))
        assert p.rows(reverse=reverse)[0] == (old, b"2")
        p.acknowledge()
        assert p.rows(reverse=reverse)[0] == (old, b"2")
        p.flush()
        assert p.rows(reverse=reverse) == ((old, b"2"), 1)
        p.save((old, None))
    for key in "bcdefg":
        p.save((key, None))
    assert p.rows(reverse=reverse)[0] is None
    assert p.rows(reverse=reverse) == (None, 0)
    p.save(("m", b"3"))
    assert p.rows(reverse=reverse) == (("m", b"3"), 1)


def test_gaps_are_of_their_collection_and_not_without_end(monkeypatch):
    monkeypatch.setattr(collections, "_MOST_GAPS", 4)
    p = Partition()
    p.save(("a", b"1"), ("b", b"1"))
    p.save(("a", b"2"), actor=B)
    p.run(("a", None))
    for start in ["", *"012345678"]:
        assert p.rows(start)[0] == ("b", b"1")
        assert p.pieces.collections._gaps._count <= 4
        assert next(p.range(actor=B)) == ("a", b"2")


def test_nothing_is_kept_for_what_nobody_scans():
    p = Partition()
    p.run(("a", b"1"), ("b", b"1"))
    own = p.pieces.collections
    assert own._newer is None
    assert next(p.range()) == ("a", b"1")
    assert own._newer[A, "m"]._order == ["a", "b"]
    p.run(("a", b"1"), actor=B)
    assert own._newer[B, "m"]._order is None, "that one is not scanned"
    p.flush()
    assert own._newer is not None
    p.flush()
    assert own._newer is None, "nobody has scanned since"


@given(st.lists(st.tuples(keys, st.booleans(), st.booleans())))
def test_newer_keys_are_in_order(changes):
    newer, model = Newer(), {}
    for key, lives, looks in changes:
        newer.note(key, lives)
        model[key] = lives
        if looks:
            newer.next("", None, False)
    live = sorted(key for key, lives in model.items() if lives)
    for start in ["", *live]:
        assert newer.next(start, None, False) == min((k for k in live if k >= start), default=None)
        assert newer.next("", start, True) == max((k for k in live if k < start), default=None)
