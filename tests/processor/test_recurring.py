"""What is due again and again: the record that one causes sets the next, whatever becomes of it."""

import json

from scripted import A, Bench, Host, fails, outs, tell, timer

from plexstream.model.host import CronInfo, Result
from plexstream.model.journal.journal import REJECTED, Out, OutKind, Turn
from plexstream.model.schedule import Schedule, text_of

TIMER, CANCEL, DEAD, TICK = (
    k.value for k in (OutKind.TIMER, OutKind.CANCEL, OutKind.DEADLETTER, OutKind.TICK)
)
EVERY = text_of(Schedule(every=500))
HOURLY = text_of(Schedule(cron="0 * * * *"))
HOUR = 3_600_000


def handled(bench):
    return [id for _, _, id, _ in bench.host.calls]


def does(*out):
    """A handler that sends the same each time."""
    return lambda instance: Result("", b"null", [], list(out))


def series(id="$remind/r", due=10_500, schedule=EVERY, handler="add"):
    return timer(id, due, handler=handler)._replace(note=schedule)


def set_up(schedule=EVERY, handler="add", **more):
    b = Bench(Host({"set": does(series(schedule=schedule, handler=handler)), **more}))
    b.give(tell(0, "set"))
    b.append()
    return b


def caused(records):
    """Of each turn that a timer caused: how it ended, and what it set, as (status, due times)."""
    return [
        (r.status, [o.due for o in r.outs if o.kind == TIMER])
        for r in records
        if type(r) is Turn and r.cause_topic == "timer"
    ]


def test_each_firing_sets_the_next_in_its_own_turn_and_does_not_drift():
    b = set_up()
    b.tick(520)
    assert caused(b.append()) == [(0, [11_000])]
    b.restart()
    b.tick(0)
    assert b.append() == []
    b.tick(480)
    assert caused(b.append()) == [(0, [11_500])]
    assert len(b.p.timers) == 1


def test_a_turn_that_is_lost_is_done_again_and_one_that_is_kept_is_not():
    b = set_up()
    b.tick(500)
    b.p.take()  # executed, and the process dies before it is on the log
    b.restart()
    b.tick()
    assert caused(b.append()) == [(0, [11_000])]
    b.restart()
    b.tick(499)
    assert caused(b.append()) == []


def test_what_was_missed_meanwhile():
    def after_a_while(misfire, ms):
        b = set_up(text_of(Schedule(every=500, misfire=misfire)))
        b.now += ms
        b.restart()
        found = []
        for _ in range(9):
            b.tick()
            found += caused(b.append())
        return found

    assert after_a_while("once", 2_100) == [(0, [12_500])]
    assert after_a_while("all", 2_100) == [(0, [11_000]), (0, [11_500]), (0, [12_000]), (0, [12_500])]
    assert after_a_while("skip", 2_100) == [(0, [12_500])]
    assert after_a_while("skip", 61_000) == [(REJECTED, [71_500])]


def test_a_failing_handler_does_not_end_the_series():
    b = set_up(handler="bad", bad=fails(99))
    records = []
    for _ in range(10):
        b.tick(200)
        records += b.append()
    assert caused(records) == [(2, [11_500]), (2, [12_500])]
    assert [o.key for o in outs(records, DEAD)] == ["failed", "failed"]


def test_the_handler_may_end_the_series_or_set_it_otherwise():
    b = set_up(handler="end", end=does(Out(CANCEL, "$remind/r", "", "", b"")))
    b.tick(500)
    assert caused(b.append()) == [(0, [])]
    assert not len(b.p.timers)
    b = set_up(handler="later", later=does(series(due=99_000)))
    b.tick(500)
    assert caused(b.append()) == [(0, [99_000])]
    b.restart()
    assert b.p.next_wake() == 99_000


def test_what_was_rolled_back_has_not_ended_it():
    b = set_up(handler="no", no=lambda i: Result("rejected", b"", [], [], False, "no"))
    b.tick(500)
    assert caused(b.append()) == [(REJECTED, [11_000])]


def test_one_that_waits_behind_a_retry_does_not_fire_when_it_was_set_anew():
    b = set_up(bad=fails(1), again=does(series(due=50_000)))
    b.give(tell(1, "bad"), tell(2, "again"))
    b.tick(550)  # it is due, and waits behind both
    b.append()
    assert handled(b) == ["m0", "m1", "m1", "m2"]
    b.tick(1000)
    assert handled(b)[4:] == []
    b.restart()
    assert b.p.next_wake() == 50_000


def test_what_kills_its_process_ends():
    b = set_up()
    b.journal.append(b.journal[0])
    for _ in range(2):
        b.journal.append(b.journal[0])
    b.restart()
    b.now = 11_000
    for _ in range(3):
        b.p.tick(b.now)
        (mark,) = b.p.take()
        assert mark.timer == f"{A}#$remind/r"
        b.journal.append(mark)
        b.restart()
    records = []
    for _ in range(3):
        b.tick()
        records += b.append()
    assert [o.key for o in outs(records, DEAD)] == ["poisoned"]
    assert not len(b.p.timers)


# What a type declares


def cron_bench(*crons):
    return Bench(Host(crons=tuple(CronInfo(*c) for c in crons)))


def test_the_first_turn_of_an_actor_sets_what_its_type_declares():
    b = cron_bench(("add", HOURLY))
    b.give(tell(0), tell(1))
    (out,) = outs(b.append(), TIMER)
    assert (out.id, out.handler, out.due, out.note) == ("$cron/add", "add", HOUR, HOURLY)
    b.restart()
    b.give(tell(2))
    assert not outs(b.append(), TIMER)  # it has it
    b.tick(HOUR)
    (out,) = outs(b.append(), TIMER)
    assert out.due == 2 * HOUR
    assert handled(b)[-1] == "$cron/add"


def test_a_changed_expression_takes_effect_with_the_first_turn():
    b = cron_bench(("add", HOURLY))
    b.give(tell(0))
    b.append()
    daily = text_of(Schedule(cron="0 0 * * *"))
    b.host.info = b.host.info._replace(crons=(CronInfo("add", daily),))
    b.restart()
    b.give(tell(1))
    (out,) = outs(b.append(), TIMER)
    assert (out.due, out.note) == (24 * HOUR, daily)
    assert len(b.p.timers) == 1


def test_what_is_due_by_an_old_expression_does_not_run():
    b = cron_bench(("add", HOURLY))
    b.give(tell(0))
    b.append()
    b.host.info = b.host.info._replace(crons=(CronInfo("add", text_of(Schedule(cron="30 * * * *"))),))
    b.restart()
    b.now = HOUR
    b.tick()
    assert caused(b.append()) == [(REJECTED, [HOUR + HOUR // 2])]
    b.host.info = b.host.info._replace(crons=())
    b.restart()
    b.tick(HOUR)
    b.append()  # it has crashed so often that it is announced first
    b.tick()
    assert caused(b.append()) == [(REJECTED, [])]
    assert handled(b) == ["m0"]
    assert not len(b.p.timers)


def test_a_zone_that_this_node_does_not_know_is_asked_for_again():
    b = set_up(json.dumps({"cron": "0 * * * *", "tz": "Mars/Olympus"}))
    b.tick(500)
    assert caused(b.append()) == [(REJECTED, [10_500 + 60_000])]


# Timers in memory


def tick(name="t", every=500, handler="add"):
    return Out(TICK, name, "", handler, b"", due=every)


def test_a_timer_in_memory_makes_turns_until_the_actor_leaves():
    b = Bench(Host({"set": does(tick()), "stop": does(tick(handler=""))}, idle_timeout=1200))
    b.give(tell(0, "set"))
    assert not outs(b.append(), TICK)
    assert b.p.next_wake() == 10_500
    for _ in range(2):
        b.tick(500)
        (turn,) = [r for r in b.append() if type(r) is Turn]
        assert (turn.cause_topic, turn.message_id, turn.handler) == ("tick", "t", "add")
    b.tick(1700)
    assert len([r for r in b.append() if type(r) is Turn]) == 1  # not once for each that was missed
    b.p.actors.evict_idle(b.now)  # it does not keep an idle actor
    assert not b.p.actors.active
    b.tick(5000)
    assert not [r for r in b.append() if type(r) is Turn]
    b.give(tell(1, "set"))
    b.restart()
    b.tick(5000)
    assert b.append() == []


def test_a_timer_in_memory_is_left_out_while_the_actor_is_busy_and_can_be_stopped():
    script = {"set": does(tick(every=150, handler="bad")), "bad": fails(1), "stop": does(tick(handler=""))}
    b = Bench(Host(script))
    b.give(tell(0, "set"))
    b.tick(150)  # it fails, and is tried again after 100 ms
    b.tick(50)
    b.tick(50)
    assert handled(b) == ["m0", "t", "t"]
    b.give(tell(1, "stop"))
    b.tick(5000)
    assert handled(b) == ["m0", "t", "t", "m1"]
