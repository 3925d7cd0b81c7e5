"""Messages and timers that kill their process: tried one by one, then put aside."""

import json

from scripted import (
    DEAD,
    ERROR,
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


def crash(bench, times):
    for _ in range(times):
        bench.restart()


def test_after_crashes_messages_are_tried_one_by_one_and_announced():
    b = Bench()
    crash(b, 2)
    b.give(tell(0), tell(1))
    assert handled(b) == []
    (mark,) = b.p.take()
    assert mark.attempt == 0
    b.journal.append(mark)
    b.p.acknowledged(len(b.journal) - 1)
    assert handled(b) == ["m0"]
    records = b.append()
    assert [getattr(r, "attempt", None) for r in records] == [None, 1, None]
    assert handled(b) == ["m0", "m1"]


def test_a_message_that_kills_its_process_is_put_aside():
    b = Bench(careful_turns=5)
    crash(b, 2)
    for _ in range(3):
        b.give(ask(0), tell(1))
        (mark,) = b.p.take()
        assert mark.attempt == 0
        b.journal.append(mark)  # and it dies when it tries
        b.restart()
    b.give(ask(0), tell(1))
    records = b.append()
    assert [json.loads(o.payload)["code"] for o in outs(records, ERROR)] == ["poisoned"]
    assert handled(b) == ["m1"]


def test_a_timer_that_kills_its_process_is_put_aside():
    host = Host({"set": sends(timer("1.0", 10_500)), "set2": sends(timer("2.0", 10_600))})
    b = Bench(host, careful_turns=9)
    b.give(tell(0, "set"), tell(1, "set2"))
    b.append()
    crash(b, 2)
    b.now = 11_000
    for _ in range(3):
        b.p.tick(b.now)
        (mark,) = b.p.take()
        assert mark.timer == f"{A}#1.0"
        b.journal.append(mark)  # and it dies when it fires
        b.restart()
    records = []
    for _ in range(4):
        b.p.tick(b.now)
        records += b.append()
    (dead,) = outs(records, DEAD)
    assert (dead.key, dead.due) == ("poisoned", 3)
    fired = [r.message_id for r in records if getattr(r, "cause_topic", "") == "timer"]
    assert fired == ["1.0", "2.0"]  # the first one put aside, the other handled
    assert not len(b.p.timers)


def test_a_good_end_ends_the_care():
    b = Bench()
    crash(b, 3)
    b.p.release(b.now)
    b.append()
    b.restart()
    b.give(tell(0))
    assert handled(b) == ["m0"]


def test_care_ends_after_so_many_messages():
    b = Bench(careful_turns=2)
    crash(b, 2)
    b.give(*[tell(i) for i in range(5)])
    b.append()
    b.give(tell(5))
    assert handled(b) == [f"m{i}" for i in range(6)]


def test_a_message_that_waits_for_a_retry_in_careful_mode_is_not_done():
    b = Bench(Host({"bad": fails(1)}))
    crash(b, 2)
    b.give(tell(0, "bad"), tell(1, target=B))
    b.append()
    assert handled(b) == ["m0", "m1"]  # another actor's does not wait: each attempt is announced anew
    b.p.ledger._since_mark = 10**9
    b.tick()
    b.append()
    assert b.p.inbox.plain().low == 0
    assert 0 not in b.p.inbox.plain().done


def test_nothing_overtakes_what_is_held_when_care_ends():
    b = Bench(Host({"bad": fails(1)}), careful_turns=2)
    crash(b, 2)
    b.give(tell(0, "bad"))
    b.append()  # the first attempt
    b.now += 10_000
    b.tick()
    (mark,) = b.p.take()
    assert mark.attempt == 0
    b.give(tell(1, target=B))  # held, while the second attempt is announced
    b.journal.append(mark)
    b.p.acknowledged(len(b.journal) - 1)  # it is made, and was the last with care
    b.give(tell(2, target=B))
    b.append()
    assert [m for m in handled(b) if m != "m0"] == ["m1", "m2"]


def test_a_timer_that_ends_the_care_lets_nothing_overtake_what_waits_for_its_retry():
    b = Bench(Host({"bad": fails(9), "set": sends(timer("1.0", 10_001))}), careful_turns=1)
    b.give(tell(0, "set", target=B), tell(1, "bad"))
    b.append()
    crash(b, 2)
    b.give(tell(1, "bad"), tell(2))  # of an actor that is not loaded: held until the retry is due
    b.now = 10_001
    for _ in range(3):
        b.p.tick(b.now)
        b.append()
    b.give(tell(3))
    for _ in range(12):
        b.now += 3_600_000
        b.p.tick(b.now)
        b.append()
    assert [m for m in handled(b) if m in ("m2", "m3")] == ["m2", "m3"]


def test_what_is_held_is_not_overtaken_where_care_ends_by_something_else():
    b = Bench(careful_turns=1)
    crash(b, 2)
    b.give(tell(0), tell(1))
    b.p.trials.was_tried()  # a handler was brought back, and was the last to be tried
    b.give(tell(2))
    b.append()
    b.give(tell(3))
    b.append()
    assert handled(b) == ["m0", "m1", "m2", "m3"]
