"""Timers against a plain model: whatever is set, taken back, flushed and acknowledged, each fires once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexstream.model.journal.journal import Out, OutKind, Turn
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.processor.state import timers as module
from plexstream.processor.state.pieces import Pieces
from plexstream.processor.state.timers import Timers
from plexstream.schema import codec
from plexstream.store.memory import MemoryStore

TIMER, CANCEL = OutKind.TIMER.value, OutKind.CANCEL.value
ACTOR = "t/n/a/1"


class Bench:
    """Timers over a store, and turns that are acknowledged one after the other."""

    def __init__(self):
        self.store = MemoryStore()
        self.offset = 0
        self.restart()

    def restart(self):
        """Another takes over, from the store."""
        self.pieces = Pieces(self.store, None, 1, codec)
        self.timers = Timers(self.pieces)
        self.running = []

    def turn(self, *outs, fired=""):
        topic, sender = ("timer", ACTOR) if fired else ("mailbox", "")
        turn = Turn(0, ACTOR, 0, topic, -1, 0, 2, False, "", [], "", fired, sender, 0, "", 0, 0, list(outs))
        self.pieces.run_ahead(turn)
        self.running.append(turn)

    def acknowledge(self):
        for turn in self.running:
            self.pieces.apply(self.offset, turn)
            self.offset += 1
            if turn.cause_topic == "timer":
                self.timers.remove(ACTOR, turn.message_id)
            for out in turn.outs:
                if out.kind == TIMER:
                    self.timers.add(out.due, ACTOR, out.id)
                else:
                    self.timers.remove(ACTOR, out.id)
        self.running.clear()

    def flush(self):
        self.pieces.flush(Snapshot(Piece.PARTITION, "", "", None, self.offset, 0, 0, b""))


def sets(id, due):
    return Out(TIMER, id, ACTOR, "h", b"", due=due)


def cancels(id):
    return Out(CANCEL, id, "", "", b"")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(module, "STEP", 2)
    monkeypatch.setattr(module, "WINDOW", 3)


ids = st.sampled_from("abcdefgh")
steps = st.one_of(
    st.tuples(st.just("set"), ids, st.integers(0, 20)),
    st.tuples(st.just("cancel"), ids, st.just(0)),
    st.tuples(
        st.sampled_from(("fire", "again", "flush", "acknowledge", "restart")), st.just(""), st.integers(0, 3)
    ),
)


@given(st.lists(steps, max_size=60))
def test_each_fires_once_when_it_is_due_unless_it_is_taken_back(steps):
    bench, now = Bench(), 0
    acknowledged, running = {}, {}  # what is pending: on the log, and as of the latest turn

    def fire(again):
        due = bench.timers.pop_due(now, 3)
        expected = sorted((at, id) for id, at in acknowledged.items() if at <= now and running.get(id) == at)
        assert [(t.time, t.name) for t in due] == [x for x in expected if x[1] not in firing][:3]
        for timer in due:
            firing.add(timer.name)
        for id in [*firing]:
            if bench.timers.live(ACTOR, id, bench.pieces.timer(ACTOR, id).offset):
                bench.turn(*([sets(id, now + 5)] if again else []), fired=id)
                running.pop(id)
                if again:
                    running[id] = now + 5
            firing.discard(id)

    firing = set()
    for what, id, number in steps:
        if what == "set" and running.get(id) is None:  # set anew: the model cannot tell the two apart
            bench.turn(sets(id, now + number))
            running[id] = now + number
        elif what == "cancel":
            bench.turn(cancels(id))
            running.pop(id, None)
        elif what in ("fire", "again"):
            now += number
            if bench.pieces.ahead:
                bench.acknowledge()
                acknowledged = dict(running)
            fire(what == "again")
        elif what == "acknowledge":
            bench.acknowledge()
            acknowledged = dict(running)
        elif what == "flush":
            bench.flush()
        elif what == "restart":  # from the store alone: what it lacks would be folded again
            bench.acknowledge()
            bench.flush()
            bench.restart()
            acknowledged = dict(running)
        assert len(bench.timers) == len(acknowledged)
    bench.acknowledge()
    acknowledged = dict(running)
    left = []
    while found := bench.timers.pop_due(1000, 2):
        left += [(t.time, t.name) for t in found]
    assert left == sorted((at, id) for id, at in acknowledged.items())


def test_what_is_set_anew_or_taken_back_does_not_fire_before_that_is_acknowledged():
    bench = Bench()
    bench.turn(sets("a", 1), sets("b", 1))
    assert bench.timers.next_due() is None
    bench.acknowledge()
    bench.turn(sets("a", 9), cancels("b"))
    assert bench.timers.pop_due(5, 9) == []
    bench.acknowledge()
    assert [t.time for t in bench.timers.pop_due(10, 9)] == [9]
    assert bench.timers.pop_due(10, 9) == []


def test_one_that_waits_for_its_actor_is_not_the_one_that_was_set_meanwhile():
    bench = Bench()
    bench.turn(sets("a", 1))
    bench.acknowledge()
    (first,) = bench.timers.pop_due(1, 9)
    bench.turn(sets("a", 1))
    bench.acknowledge()
    assert not bench.timers.live(ACTOR, "a", first.offset)
    (second,) = bench.timers.pop_due(1, 9)
    assert bench.timers.live(ACTOR, "a", second.offset)


def test_few_are_in_memory():
    bench = Bench()
    bench.turn(*(sets(str(i), i) for i in range(100)))
    bench.acknowledge()
    assert bench.timers.next_due() == 0
    bench.turn(*(sets(f"more {i}", 0) for i in range(100)))
    bench.acknowledge()
    assert len(bench.timers._heap) <= 2 * module.WINDOW
    assert len(bench.timers.pop_due(1000, 1000)) == len(bench.timers) == 200
