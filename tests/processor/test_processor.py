"""The processor of a partition: each message takes effect once, in order, and nothing leaves unproven."""

import json

import pytest
from scripted import (
    CANCEL,
    DEAD,
    ERROR,
    REPLY,
    SENT,
    A,
    B,
    Bench,
    Host,
    ask,
    fails,
    handled,
    outs,
    sends,
    tell,
    timer,
)  # fmt: skip

from plexstream.model.host import Result
from plexstream.model.journal.journal import Change, Mark, Out, Turn
from plexstream.model.messages.message import Envelope
from plexstream.processor import BadRecord


def test_an_ask_is_a_turn_and_its_reply_leaves_when_it_is_acknowledged():
    b = Bench()
    b.give(ask(0))
    assert not b.p.outbox.mails.queue
    (turn,) = b.append()
    assert (turn.actor, turn.seq, turn.cause_offset, turn.patch) == (A, 1, 0, [Change("n", None, b"1")])
    assert outs([turn], REPLY) == [Out(REPLY, "m0", "edge", "", b"1")]
    assert [t for _, t in b.p.outbox.mails.queue] == [turn._replace(ordinal=0)]


def test_repetitions_are_dropped():
    b = Bench()
    b.give(tell(0, origin="o", seq=5), tell(1, origin="o", seq=5), tell(2, origin="o", seq=4))
    b.give(tell(3, origin="o", seq=6), tell(4, origin="p", seq=1), tell(5), tell(6))
    assert handled(b) == ["m0", "m3", "m4", "m5", "m6"]
    b.append()
    b.tick(5000)
    b.append()
    b.host.calls.clear()
    b.restart()
    assert b.p.position == 7
    b.give(tell(7, origin="o", seq=6), tell(8, origin="o", seq=7))
    assert handled(b) == ["m8"]


@pytest.mark.parametrize("mark", [False, True])
def test_after_a_crash_what_is_done_is_not_done_again(mark):
    b = Bench(Host({"bad": fails(1)}))
    b.give(tell(0), tell(1, "bad", B), tell(2), tell(3, target=B))  # B waits for its retry
    b.append()
    if mark:
        b.tick(50)
        b.p.ledger._since_mark = 10**9
        b.tick()
        b.append()
    b.host.calls.clear()
    p = b.restart()
    assert p.position == (1 if mark else 0)
    b.give(*[tell(o, "bad" if o == 1 else "add", B if o in (1, 3) else A) for o in range(p.position, 5)])
    assert handled(b) == ["m4"]
    b.tick(100)  # no earlier than it would have been tried again
    assert handled(b) == ["m4", "m1", "m3"]


def test_retries_with_backoff_then_the_dead_letter():
    b = Bench(Host({"bad": fails(99)}))
    b.give(tell(0, "bad"), tell(1))
    assert handled(b) == ["m0"]  # order is kept behind a busy actor
    assert b.p.next_wake() == b.now + 100
    b.tick(99)
    assert handled(b) == ["m0"]
    b.tick(1)
    assert handled(b) == ["m0", "m0"]
    b.tick(199)
    assert len(handled(b)) == 2
    b.tick(1)
    assert handled(b) == ["m0", "m0", "m0", "m1"]
    records = b.append()
    (dead,) = outs(records, DEAD)
    assert (dead.id, dead.target, dead.key, dead.note, dead.due) == ("m0", A, "failed", "no", 3)
    assert [(r.status, r.cause_offset) for r in records] == [(2, 0), (2, 0), (2, 0), (0, 1)]
    assert not b.p.inbox.waiting


def test_order_is_kept_behind_a_busy_actor_and_others_go_on():
    b = Bench(Host({"bad": fails(1)}))
    b.give(tell(0, "bad"), tell(1), tell(2, target=B), ask(3), ask(4, "read", headers={"read_only": "1"}))
    assert handled(b) == ["m0", "m2", "m4"]  # reads need not wait
    b.tick(100)
    assert handled(b) == ["m0", "m2", "m4", "m0", "m1", "m3"]


def test_an_ask_that_fails_is_answered_at_once_and_not_retried():
    b = Bench(Host({"bad": fails(9), "no": fails(9, "rejected")}))
    b.give(ask(0, "bad"), ask(1, "no"), tell(2, "no"))
    records = b.append()
    assert [json.loads(o.payload)["code"] for o in outs(records, ERROR)] == ["failed", "rejected"]
    assert [o.key for o in outs(records, DEAD)] == ["rejected"]
    assert [r.status for r in records] == [2, 1, 1]
    assert handled(b) == ["m0", "m1", "m2"]


@pytest.mark.parametrize(("message", "code"), [
    (ask(0, target="default/default/b/1"), "unknown_type"),
    (ask(0, target="nonsense"), "bad_arguments"),
    (ask(0, target="a/1"), "bad_arguments"),
    ((0, Envelope(2, "m0", A, "", b"")), "bad_arguments"),
    ((0, Envelope(3, "b/1#1.0", A, "", b"")), "bad_arguments"),
])  # fmt: skip
def test_what_cannot_be_delivered_is_refused(message, code):
    b = Bench()
    b.give(message)
    records = b.append()
    refused = [json.loads(o.payload)["code"] for o in outs(records, ERROR)]
    assert refused + [o.key for o in outs(records, DEAD)] == [code]
    assert b.p.position == 1


def test_what_is_no_message_is_put_aside():
    b = Bench()
    b.give((0, BadRecord("no Envelope", b"\xff")), tell(1))
    records = b.append()
    (dead,) = outs(records, DEAD)
    assert (dead.key, dead.note, dead.payload) == ("malformed", "no Envelope", b"\xff")
    assert handled(b) == ["m1"]


def test_texts_that_cannot_be_encoded_do_not_get_into_records():
    b = Bench(Host({"bad": lambda i: Result("rejected", b"", [], [], False, "\ud800" + "x" * 10_000)}))
    b.give(tell(0, "bad"))
    (dead,) = outs(b.append(), DEAD)
    assert len(dead.note.encode()) < 5_000


# Idempotency


def test_an_idempotency_key_is_answered_again_in_flight_and_afterwards():
    b = Bench()
    b.give(ask(0, idempotency_key="k"), ask(1, idempotency_key="k"), ask(2, idempotency_key="other"))
    assert handled(b) == ["m0", "m2"]
    assert not b.answers()  # nothing is proven yet
    b.append()
    (answer,) = b.answers()
    assert (answer.id, answer.payload, answer.kind) == ("m1", b"1", 2)
    b.restart()
    b.give(ask(3, idempotency_key="k"), ask(4, target=B, idempotency_key="k"))
    b.append()
    assert [(a.id, a.payload) for a in b.answers()] == [("m3", b"1")]
    b.now += b.settings.reply_ttl + 1
    b.give(ask(5, idempotency_key="k"))
    assert handled(b)[-1] == "m5"


def test_a_refusal_is_kept_and_a_failure_is_not():
    b = Bench(Host({"no": fails(1, "rejected"), "bad": fails(1)}))
    b.give(ask(0, "no", idempotency_key="k"), ask(1, "bad", idempotency_key="l"))
    b.append()
    b.give(ask(2, "no", idempotency_key="k"), ask(3, "bad", idempotency_key="l"))
    b.append()
    assert handled(b) == ["m0", "m1", "m3"]
    (answer,) = b.answers()
    assert (answer.id, answer.kind, json.loads(answer.payload)["code"]) == ("m2", 3, "rejected")


# Reads


def test_a_read_makes_no_turn_and_waits_for_the_proof():
    b = Bench()
    b.give(ask(0, "read"))
    assert not b.answers()
    records = b.p.take()
    assert [type(r) for r in records] == [Mark]
    assert not b.answers()
    b.journal += records
    b.p.acknowledged(len(b.journal) - 1)
    assert [a.payload for a in b.answers()] == [b"0"]


def test_a_read_goes_with_the_turns_that_it_has_seen():
    b = Bench()
    b.give(ask(0), ask(1, "read"))
    assert [type(r) for r in b.p.take()] == [Turn]
    b.give(ask(2, "read"))
    assert [type(r) for r in b.p.take()] == [Mark]
    b.p.acknowledged(1)
    assert [a.id for a in b.answers()] == ["m1"]
    b.p.acknowledged(2)
    assert [a.id for a in b.answers()] == ["m2"]


# State


def test_state_past_its_time_to_live_begins_anew_with_its_collections():
    seen = []

    def look(instance):
        reader = host.readers[A]
        seen.append((reader.get("m", "k"), list(reader.entries("m"))))
        return Result("", b"", [Change("m", "new", b"2")], [])

    put = sends(patch=[Change("m", "k", b"1")])
    host = Host({"put": put, "look": look, "bad": fails(9, "rejected")}, state_ttl=500)
    b = Bench(host)
    b.give(tell(0), tell(1, "put"))
    b.append()
    b.now += 501
    b.give(ask(2, "read"), tell(3, "bad"), tell(4, "look"), tell(5, "look"))
    records = b.append()
    assert [a.payload for a in b.answers()] == [b"0"]
    assert seen == [(None, []), (None, [("new", b"2")])]
    assert [r.fresh for r in records if r.status == 0] == [True, False]
    for _ in range(2):
        assert b.p.pieces.core(A).fields == {}
        assert b.p.pieces.collections.of_actor(A) == [("m", "new", b"2")]
        b.restart()


def test_too_many_and_idle_actors_leave_memory():
    b = Bench(Host(max_active=3))
    for i in range(6):
        b.now += 1
        b.give(tell(i, target=f"default/default/a/{i}"))
        b.append()
    assert len(b.p.actors.active) == 3
    assert b.host.gone == [f"default/default/a/{i}" for i in range(3)]
    b.give(tell(6, target="default/default/a/0"))
    assert b.host.calls[-1] == ("default/default/a/0", "add", "m6", 2)
    b.now += 2000
    b.p.actors.evict_idle(b.now)
    assert list(b.p.actors.active) == ["default/default/a/0"]  # its turn is not acknowledged
    b.append()
    b.p.actors.evict_idle(b.now)
    assert not b.p.actors.active


def test_idle_actors_are_looked_for_a_few_times_in_their_timeout():
    b = Bench(Host())
    b.give(tell(0))
    b.append()
    looks, evict = [], b.p.actors.evict_idle
    b.p.actors.evict_idle = lambda now: looks.append(now) or evict(now)
    began, timeout = b.now, b.p.actors.active[A].info.idle_timeout
    while b.p.actors.active:
        b.now += 1
        b.p.actors.look_for_idle(b.now)
    assert b.now - began <= timeout + timeout // 8
    assert 8 <= len(looks) <= 20


# Timers


def test_a_timer_fires_once_and_only_when_it_is_acknowledged():
    b = Bench(Host({"set": sends(timer("1.0", 10_500))}))
    b.give(tell(0, "set"))
    b.tick(600)
    assert handled(b) == ["m0"]
    b.append()
    b.tick()
    b.tick()
    assert handled(b) == ["m0", "1.0"]
    (turn,) = [r for r in b.append() if type(r) is Turn]
    assert (turn.cause_topic, turn.message_id, turn.cause_offset) == ("timer", "1.0", -1)
    b.restart()
    b.tick(1000)
    assert handled(b) == ["m0", "1.0"]


def test_a_timer_outlives_a_crash_and_can_be_taken_back():
    b = Bench(Host({"set": sends(timer("1.0", 10_500)), "unset": sends(Out(CANCEL, "1.0", "", "", b""))}))
    b.give(tell(0, "set"))
    b.append()
    b.restart()
    assert b.p.next_wake() == 10_500
    b.give(tell(1, "unset"))
    b.tick(600)  # the cancellation is not acknowledged, but it must not fire meanwhile
    assert handled(b) == ["m0", "m1"]
    b.append()
    b.tick(600)
    b.restart()
    b.tick(600)
    assert handled(b) == ["m0", "m1"]


def test_a_timer_for_another_actor_is_sent_on():
    b = Bench(Host({"set": sends(timer("1.0", 10_500, target=B, handler="h"))}))
    b.give(tell(0, "set"))
    b.append()
    b.tick(600)
    (sent,) = outs(b.append(), SENT)
    assert (sent.target, sent.handler) == (B, "h")
    b.restart()
    b.tick(600)
    assert not outs(b.append(), SENT)


def test_a_timer_whose_handler_fails_is_tried_again_then_put_aside():
    b = Bench(Host({"set": sends(timer("1.0", 10_500, handler="bad")), "bad": fails(9)}))
    b.give(tell(0, "set"))
    b.append()
    for _ in range(10):
        b.tick(500)
        b.append()
    assert handled(b) == ["m0", "1.0", "1.0", "1.0"]
    b.restart()
    assert not len(b.p.timers)


# Marks


def test_marks_come_after_so_many_turns_and_so_long():
    b = Bench(mark_turns=3)
    b.tick(10_000)
    assert b.append() == []  # nothing has happened
    b.give(tell(0))
    b.append()
    b.tick()
    (mark,) = b.append()
    assert (mark.inboxes[0].low, mark.inboxes[0].next) == (1, 1)
    assert b.p.next_wake() is None
    b.give(tell(1), tell(2))
    b.append()
    assert b.p.next_wake() == b.now + 1000
    b.tick(999)
    assert b.append() == []
    b.give(tell(3))
    b.append()
    b.tick()
    assert [type(r) for r in b.append()] == [Mark]


def test_relays_move_the_mark():
    b = Bench()
    b.give(ask(0), ask(1))
    b.append()
    assert [o for o, _ in b.p.outbox.mails.queue] == [1, 2]
    b.p.relayed(1)
    b.tick(1001)
    (mark,) = b.append()
    assert (mark.relayed, mark.emitted) == (2, 3)
    p = b.restart()
    assert [o for o, _ in p.outbox.mails.queue] == [2]


def test_a_clock_that_goes_back_does_not():
    b = Bench()
    b.give(tell(0))
    b.now -= 5000
    b.give(tell(1))
    first, second = b.append()
    assert second.time >= first.time
