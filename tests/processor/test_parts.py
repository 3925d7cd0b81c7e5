"""The processor's parts against plain models: folding, inboxes, lanes, timers, pieces of state."""

import json
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexstream.model.journal.journal import (
    MEANWHILE,
    Begin,
    Change,
    Claim,
    Inbox,
    Mark,
    Origin,
    Out,
    OutKind,
    Partition,
    Step,
    Turn,
)
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.processor.journal.outbox import Lane, Outbox
from plexstream.processor.journal.sums.fold import Fold
from plexstream.processor.journal.sums.inbox import InboxState
from plexstream.processor.state.core import join_fields
from plexstream.processor.state.histories.kept import outcome_of
from plexstream.processor.state.pieces import Pieces
from plexstream.schema import codec
from plexstream.store.memory import MemoryStore


def turn(claim=0, actor="t/n/a/1", cause=-1, topic="mailbox", **more):
    return Turn(
        claim, actor, 1, topic, cause, 5, 0, False, "", [], "h", "i", "", 0, "", 0, 0, []
    )._replace(**more)  # fmt: skip


small = st.integers(0, 8)
claims = st.builds(Claim, st.just("t"), st.just("n"), small, st.just({}))
ordinals = st.integers(-3, 4)
turns = st.builds(turn, st.integers(0, 20), cause=st.integers(-1, 10), ordinal=ordinals)
inboxes = st.builds(
    lambda low, more, done, seq: Inbox("mailbox", low, low + more, tuple(done), (Origin("o", seq, 0),)),
    small, small, st.sets(small), small,
)  # fmt: skip
marks = st.builds(
    Mark, st.integers(0, 20), small, st.lists(inboxes, max_size=1).map(tuple), st.integers(0, 20),
    st.integers(0, 20), st.sampled_from([-1, -1, 3, 4]), st.just(""), st.booleans(), st.just(""), ordinals,
)  # fmt: skip
journals = st.lists(claims | turns | turns | marks, max_size=30)
reigns = st.lists(  # of a few claims, most of whose records count
    st.tuples(st.integers(0, 9), ordinals, st.integers(-1, 10)), max_size=30
)


def journal_of(drawn):
    """Claims where the first is 0, and between them turns of the latest claim."""
    journal, latest = [], -1
    for kind, ordinal, cause in drawn:
        if kind == 0 or latest < 0:
            latest = len(journal)
            journal.append(Claim("t", "n", 0, {}))
        else:
            journal.append(turn(latest if kind > 1 else 0, cause=cause, ordinal=ordinal))
    return journal


@given(journals | reigns.map(journal_of), st.integers(0, 30))
@settings(max_examples=800)
def test_folding_in_two_steps_is_folding_in_one(journal, cut):
    whole, first = Fold(), Fold()
    counted = [whole.take(offset, record) for offset, record in enumerate(journal)]
    two = [first.take(offset, record) for offset, record in enumerate(journal[:cut])]
    second = Fold(first.partition(None))
    two += [second.take(cut + i, record) for i, record in enumerate(journal[cut:])]
    assert counted == two
    one, other = whole.partition(None), second.partition(None)
    assert one._replace(claims=()) == other._replace(claims=())
    assert one.claims[-1:] == other.claims[-1:]
    for offset in range(one.floor, len(journal)):  # which records count can still be told from the floor on
        is_claim = type(journal[offset]) is Claim
        assert Fold(one).counted(offset, journal[offset]) == (counted[offset] and not is_claim)


def test_a_record_of_another_reign_does_not_count():
    fold = Fold()
    claim = Claim("t", "n", 0, {})
    assert [fold.take(i, r) for i, r in enumerate([turn(0), claim, turn(1), claim, turn(1), turn(3)])] == [
        False, True, True, True, False, True,
    ]  # fmt: skip
    assert fold.crashes == 1


@given(st.data())
@settings(max_examples=300)
def test_an_inbox_loses_nothing_and_repeats_nothing(data):
    """Messages finish in any order; a crash at any time goes on from the latest mark."""
    done, mark, open_ = set(), None, []
    inbox = InboxState("mailbox", None)
    for _ in range(data.draw(st.integers(0, 40))):
        what = data.draw(st.sampled_from(["take", "take", "wait", "finish", "mark", "crash"]))
        if what in ("take", "wait"):
            offset = inbox.position
            if inbox.admit(offset, "", 0, 0):
                assert offset not in done
                if what == "wait":
                    inbox.waiting.add(offset)
                    open_.append(offset)
                else:
                    done.add(offset)
                    inbox.finish(offset)
            else:
                assert offset in done
        elif what == "finish" and open_:
            offset = open_.pop(data.draw(st.integers(0, len(open_) - 1)))
            done.add(offset)
            inbox.finish(offset)
        elif what == "mark":
            mark = inbox.plain()
            assert not [o for o in range(mark.low) if o not in done]
            assert {o for first, end in mark.spans for o in range(first, end)} <= done
        elif what == "crash":
            fold = Fold()
            fold.take(0, Claim("t", "n", 0, {}))
            if mark is not None:
                fold.take(1, Mark(0, 0, (mark,), 0, 0, -1, "", False))
            for i, offset in enumerate(sorted(done)):  # their turns are in the journal
                fold.take(2 + i, turn(0, cause=offset))
            inbox, open_ = InboxState("mailbox", fold.inboxes.get("mailbox")), []
    while inbox.position < 50:
        offset = inbox.position
        if inbox.admit(offset, "", 0, 0):
            assert offset not in done
            inbox.waiting.discard(offset)
            done.add(offset)
        else:
            assert offset in done
    assert done | set(open_) >= set(range(50)) - set(open_)


def test_origins_below_a_mark_were_checked_before():
    inbox = InboxState("mailbox", None)
    assert inbox.admit(0, "o", 5, 0)
    inbox.waiting.add(0)
    plain = inbox.plain()
    fold = Fold(Partition(inboxes=(plain,)))
    again = InboxState("mailbox", fold.inboxes["mailbox"])
    assert again.position == 0
    assert again.admit(0, "o", 5, 0)  # it waits still: it is no repetition of itself
    assert not again.admit(1, "o", 5, 0)
    assert again.admit(2, "o", 5, 1)


def test_lanes_know_how_far_all_has_arrived():
    lane = Lane(3)
    lane.owe(2, turn())
    assert not lane.queue
    assert lane.done(9) == 9
    lane.owe(4, turn())
    lane.owe(7, turn())
    assert lane.done(9) == 4  # below it nothing was owed: this never goes back
    lane.arrived(4)
    assert lane.done(9) == 5
    lane.arrived(7)
    assert lane.done(9) == 9


def test_what_goes_which_way():
    for kind in OutKind:
        box = Outbox(0, 0)
        box.owe(1, turn(outs=[Out(kind.value, "", "", "", b"")]))
        mail = kind in (OutKind.TELL, OutKind.ASK, OutKind.REPLY, OutKind.ERROR)
        ways = mail, kind is OutKind.EMIT, kind is OutKind.DEADLETTER
        assert tuple(bool(lane.queue) for lane in box.lanes) == ways


def split(data):
    return {k: json.dumps(v).encode() for k, v in json.loads(data).items()}


def pieces(store=None):
    return Pieces(store if store is not None else MemoryStore(), split, 100, codec)


steps = st.lists(
    st.tuples(
        st.sampled_from(["run", "run", "run", "ack", "ack", "flush"]),
        st.sampled_from(["t/n/a/1", "t/n/a/2"]),
        st.sampled_from(["p", "q"]),
        st.none() | st.sampled_from(["", "k", "l"]),
        st.none() | st.integers(0, 9),
    ),
    max_size=40,
)


@given(steps)
@settings(max_examples=300)
def test_pieces_against_a_dict(steps):
    """Handlers see their own turns at once; the store what is acknowledged, and all of it after a flush."""
    store = MemoryStore()
    p = pieces(store)
    newest, sure, flying, offset = {}, {}, [], 0
    for what, actor, field, key, number in steps:
        if what == "run":
            value = None if number is None else b"%d" % number
            t = turn(actor=actor, patch=[Change(field, key, value)])
            p.run_ahead(t)
            flying.append(t)
            newest[actor, field, key] = value
        elif what == "ack" and flying:
            t = flying.pop(0)
            p.apply(offset, t)
            offset += 1
            for change in t.patch:
                sure[t.actor, change.field, change.key] = change.value
        elif what == "flush":
            p.flush(Snapshot(Piece.PARTITION, "", "", None, offset, 0, 0, b""))
            p.forget_clean(0)
            fresh = pieces(store)
            for (actor_, field_, key_), value in sure.items():
                if key_ is None:
                    assert fresh.core(actor_).fields.get(field_) == value
                else:
                    assert fresh.entry((1, actor_, field_, key_)) == value
        for (actor_, field_, key_), value in newest.items():
            if key_ is not None:
                assert p.entry((1, actor_, field_, key_)) == value
        for who in ("t/n/a/1", "t/n/a/2"):
            mine = [(f, k, v) for (a, f, k), v in newest.items() if a == who and v is not None]
            expected = sorted(e for e in mine if e[1] is not None)
            assert p.collections.of_actor(who) == expected
            assert list(p.collections.entries(who, "p")) == [(k, v) for f, k, v in expected if f == "p"]
            fields = {f: v for (a, f, k), v in sure.items() if a == who and k is None and v is not None}
            assert p.core(who).fields == fields


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["turn", "turn", "flush", "forget", "save", "save one"]), st.sampled_from("ab")
        )
    )
)
def test_what_changes_is_flushed_and_saved_again(steps):
    """Whatever comes between, each actor's turns are in the store after a flush, and none is forgotten."""
    store = MemoryStore()
    p, newest, stored, unsaved = pieces(store), {}, {}, {}
    for offset, (what, actor) in enumerate(steps):
        if what == "turn":
            newest[actor] = offset
            unsaved.setdefault(actor, offset)
            p.apply(offset, turn(actor=actor))
        elif what == "flush":
            stored = dict(newest)
            p.flush(Snapshot(Piece.PARTITION, "", "", None, offset, 0, 0, b""))
        elif what == "forget":
            p.forget_clean(0)
        elif what == "save":
            taken = p.unsaved.take(9, 1000, 1000, lambda address: 1000)
            assert {key[1]: piece.offset for key, piece in taken.items()} == {a: newest[a] for a in unsaved}
            unsaved.clear()
        else:
            assert bool(p.unsaved.take_core(actor)) == (actor in unsaved)
            unsaved.pop(actor, None)
        assert p.unsaved.oldest() == min(unsaved.values(), default=None)
        assert {piece.address: piece.offset for piece in store.scan(Piece.ACTOR)} == stored


def test_what_is_saved_is_not_loaded_for_that():
    p = pieces()
    for offset, actor in enumerate("abc"):
        p.apply(offset, turn(actor=actor, patch=[Change("n", None, b"%d" % offset)]))
    expected = {core.address: core.snapshot() for core in p.cores.values()}
    p.flush()
    p.forget_clean(0)
    p.core("b")
    taken = p.unsaved.take(9, 1000, 9, lambda address: 9)
    assert {piece.address: piece for piece in taken.values()} == expected
    assert list(p.cores) == ["b"]


def test_what_the_snapshot_topic_lacks():
    p = pieces()
    for offset, actor in enumerate(["a", "b", "a", "c"]):
        p.apply(10 + offset, turn(actor=actor, patch=[Change("m", "k", b"1"), Change("n", None, b"2")]))
    assert p.unsaved.oldest() == 10
    taken = p.unsaved.take(3, 1000, 12, lambda address: 0 if address == "c" else 99)
    assert [k[:2] for k in taken] == [(0, "a"), (1, "a"), (0, "b")]  # oldest first, whatever they are
    assert p.unsaved.oldest() == 11
    # A rebuild needs the journal from there until then.
    assert sorted(p.unsaved.taken.values()) == [10, 10, 11]
    p.unsaved.saved()
    p.apply(20, turn(actor="a", patch=[Change("m", "k", b"3")]))
    assert p.unsaved.take_core("a")[0, "a", "", None].data == b'{"n":2}'
    assert p.unsaved.take_core("a") == {}
    p.unsaved.saved()
    p.unsaved.take(99, 1000, 99, lambda address: 0)
    assert p.unsaved.oldest() == 11
    p.unsaved.take(99, 1000, 99, lambda address: 99)
    p.unsaved.saved()
    assert p.unsaved.oldest() is None


def test_one_transaction_of_snapshots_has_so_many_bytes():
    p = pieces()
    for offset in range(6):
        p.apply(offset, turn(actor="a", patch=[Change("m", str(offset), b"x" * 100)]))
    p.apply(6, turn(actor="b", patch=[Change("n", None, b"9" * 300)]))
    sizes = []
    while taken := p.unsaved.take(99, 200, 99, lambda address: 99):
        sizes.append([len(piece.data) for piece in taken.values()])
        p.unsaved.saved()
    assert sizes == [[2, 100, 100], [100, 100], [100, 100], [306]]
    assert p.unsaved.oldest() is None


@pytest.mark.parametrize("fields", [{}, {"a": b"1"}, {"a": b'"x"', "b": b"[1,{}]"}])
def test_fields_are_joined_to_json(fields):
    assert split(join_fields(fields)).keys() == fields.keys()


def test_the_answer_to_what_let_a_handler_go_on_is_not_the_handlers_reply():
    begin = Begin(1, "asked", "h", b"{}", "", "edge", "k", 5, "", None)
    answer = Out(OutKind.REPLY, "let-go", "edge", "", b'"answer"')
    reply = Out(OutKind.REPLY, "asked", "edge", "", b'"reply"')

    def step(outs, begin, message_id):
        return Step(*turn(outs=outs, message_id=message_id)[:-1], 1, 0, 0, begin, (), ())

    assert outcome_of(step([answer, reply], None, "let-go"))[:2] == (2, b'"reply"')
    assert outcome_of(step([answer], None, "let-go"))[:2] == (2, b"null")  # a tell has begun it
    assert outcome_of(step([answer, reply], begin, "let-go"))[:2] == (2, b'"reply"')
    assert outcome_of(step([reply], begin, "asked"))[:2] == (2, b'"reply"')
    meanwhile = step([reply], None, "asked")._replace(status=MEANWHILE)
    assert outcome_of(meanwhile)[:2] == (2, b'"reply"')
    assert outcome_of(turn(outs=[reply], message_id="asked"))[:2] == (2, b'"reply"')


def test_what_is_unseen_is_owed_until_all_of_it_has_arrived():
    lane = Lane(0)
    lane.unseen(5)
    lane.owe(3, Turn(*[0] * 17, ()))
    assert lane.done(6) == 0
    lane.arrived(3)
    assert lane.done(6) == 4
    lane.arrived(5)
    assert lane.done(7) == 7


def test_a_mark_that_speaks_of_what_comes_after_it_counts_for_nothing():
    mark = Mark(0, 0, (), 2, 2, -1, "", False)
    for wrong in (mark._replace(relayed=3), mark._replace(emitted=3), mark._replace(relayed=2**62)):
        fold = Fold()
        taken = [Claim("t", "n", 0, {}), turn(0), wrong, mark]
        assert [fold.take(i, record) for i, record in enumerate(taken)] == [True, True, False, True]
        assert (fold.relayed, fold.emitted) == (2, 2)
        assert not fold.counted(2, wrong)
        assert fold.counted(3, mark)
    # What is in a sum from before is no reason to refuse the marks of its owner.
    fold = Fold(Partition(start=5, claims=(3,), relayed=900, emitted=900))
    assert (fold.relayed, fold.emitted) == (5, 5)


def test_that_an_actor_has_no_state_is_asked_of_the_store_once():
    store = Mock(spec=MemoryStore)
    store.get.return_value = None
    found = pieces(store)
    first = found.core("default/default/a/1")
    assert (first.fields, first.seq, first.offset) == ({}, 0, -1)
    assert found.core("default/default/a/1") is first
    assert store.get.call_count == 1
    found.forget_clean(0)  # as any that has not changed
    assert found.core("default/default/a/1") is not first
