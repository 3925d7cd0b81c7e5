"""Attempts are counted and spaced through crashes: no more of them, and none before its time."""

import json
from itertools import pairwise

import pytest
from world import World

from plexstream import actor, handler, host, state
from plexstream.model.journal.attempt import FIELD
from plexstream.model.messages.address import full
from plexstream.model.messages.message import TELL, Envelope
from plexstream.sdk.spec import Retry

TRIED = []
WORLD = []


def fails(name):
    TRIED.append((name, WORLD[0].now))
    raise ValueError(f"{name} on purpose")


def times():
    """Milliseconds between the attempts."""
    at = [time for _, time in TRIED]
    return [b - a for a, b in pairwise(at)]


@actor(retry=Retry(attempts=4, interval=1.0))
class Trier:
    seen: list = state(default_factory=list)

    @handler("effect")
    async def effect(self, seconds: float = 0.0):
        retry = Retry(attempts=4, interval=1.0, factor=2.0, max_duration=seconds)
        await host.run("charge", fails, "charge", retry=retry)

    @handler("after_a_step")
    async def after_a_step(self):
        await host.run("fine", str, "fine")
        fails("handler")

    @handler("plain")
    def plain(self):
        fails("plain")

    @handler("add")
    def add(self, name: str):
        self.seen = [*self.seen, name]

    @handler("set")
    def set(self):
        host.send_after(0.5, "plain")

    @handler("set_killer")
    def set_killer(self):
        host.send_after(0.5, "then_kills")

    @handler("then_kills")
    def then_kills(self):
        if not TRIED:
            fails("then")
        TRIED.append(("kills", 0))
        raise KeyboardInterrupt

    @handler("twice")
    def twice(self):
        if len(TRIED) < 2:
            fails("twice")
        self.seen = ["twice"]

    @handler("read", read_only=True)
    def read(self):
        if len(TRIED) < 2:
            fails("read")
        return self.seen

    @handler("later_waits")
    def later_waits(self):
        if len(TRIED) < 2:
            fails("later")
        host.tell("trier/2", "add", name="sent once")
        host.run("fine", str, "fine")
        fails("later")

    @handler("patient", retry=Retry(attempts=4, interval=1.0))
    def patient(self):
        fails("patient")

    @handler("effect_ends")
    async def effect_ends(self):
        retry = Retry(attempts=4, interval=1.0)
        try:
            await host.run("charge", fails, "charge", retry=retry)
        except Exception:
            self.seen = ["given up"]
            return


@actor(retry=Retry(attempts=9, interval=0.4, factor=1.0))
class Stubborn:
    @handler("plain")
    def plain(self):
        fails("plain")


@pytest.fixture
def world():
    TRIED.clear()
    WORLD[:] = [World(Trier, Stubborn)]
    return WORLD[0]


def pass_time(world, crash, seconds=10):
    """Time passes in steps of 100 ms. `crash`: every so often all but the log is lost."""
    for step in range(10 * seconds):
        if crash and step % crash == 0:
            world.restart()
        world.run(100)


@pytest.mark.parametrize("crash", [0, 1, 3, 7])
@pytest.mark.parametrize("what", ["effect_ends", "after_a_step", "patient", "plain", "later_waits"])
def test_no_more_than_the_policy_says_and_none_before_its_time(world, what, crash):
    id = world.start("trier/1", what) if what == "patient" else world.tell("trier/1", what)
    world.run()
    pass_time(world, crash)
    assert len(TRIED) == 4
    assert times() == pytest.approx([1000, 2000, 4000], abs=200)
    assert all(between >= due for between, due in zip(times(), [1000, 2000, 4000], strict=True))
    if what == "patient":
        assert world.replies[id] == "failed"
    elif what != "effect_ends":
        assert world.put_aside() == [(what, "failed")]
        assert [o.due for r in world.journal for o in getattr(r, "outs", ()) if o.note] == [4]
    else:
        assert world.field("trier/1", "seen") == ["given up"]


@pytest.mark.parametrize("crash", [0, 1, 3])
def test_a_policy_ends_by_its_time(world, crash):
    id = world.start("trier/1", "effect", seconds=4.0)
    pass_time(world, crash)
    assert len(TRIED) == 3, "the fourth would be after 7 s"
    assert world.replies[id] == "step_failed"


def test_what_a_restart_forgets_is_not_tried_again(world):
    world.start("trier/1", "effect")
    world.run(1000)
    assert len(TRIED) == 2
    [(_, number)] = world.waiting()
    world.ask("trier/1", "$restart", invocation=number)
    pass_time(world, 0)
    assert len(TRIED) == 2 + 4


def test_an_attempt_starts_when_the_failure_of_the_one_before_is_on_the_log(world):
    world.hold_effects = True
    world.start("trier/1", "effect")
    p = world.p
    [call] = p.invocations.effects
    p.invocations.effects.clear()
    p.effect_done(call, call.effect.run(call.attempt, call.spent), world.now)
    world.now += 1000
    p.tick(world.now)
    assert not p.invocations.effects
    world.run()
    assert [c.attempt for c in p.invocations.effects] == [2]


@pytest.mark.parametrize("crash", [0, 1, 3])
@pytest.mark.parametrize("what", ["twice", "read"])
def test_what_succeeds_at_last_leaves_nothing(world, what, crash):
    world.tell("trier/1", what)
    world.tell("trier/1", "add", name="behind")
    world.run()
    assert world.field("trier/1", FIELD)["data"]["attempt"] == 1
    pass_time(world, crash)
    assert len(TRIED) == 2
    assert world.field("trier/1", "seen")[-1] == "behind", "order is kept"
    assert world.field("trier/1", FIELD) is None
    assert world.put_aside() == []


@pytest.mark.parametrize("crash", [0, 1, 3])
def test_timers_are_counted_too(world, crash):
    world.tell("trier/1", "set")
    pass_time(world, crash)
    assert len(TRIED) == 4
    assert all(between >= due for between, due in zip(times(), [1000, 2000, 4000], strict=True))
    assert world.put_aside() == [("plain", "failed")]
    assert world.field("trier/1", FIELD) is None


def test_the_next_message_begins_with_its_first_attempt(world):
    world.tell("trier/1", "plain")
    world.tell("trier/1", "plain")
    for _ in range(3):
        world.restart()
        pass_time(world, 0)
    assert len(TRIED) == 8
    assert world.put_aside() == [("plain", "failed")] * 2


@pytest.mark.parametrize("by", ["message", "timer"])
def test_what_kills_it_after_an_attempt_is_put_aside_and_leaves_nothing(world, by):
    world.tell("trier/1", "then_kills" if by == "message" else "set_killer")
    for _ in range(200):
        try:
            world.run(200)
        except KeyboardInterrupt:
            world.restart()
    assert world.put_aside() == [("then_kills", "poisoned")]
    assert len(TRIED) - 1 == 2 + 3, "two crashes bring care, three announced ones are enough"
    assert world.field("trier/1", FIELD) is None


def test_a_new_life_does_not_forget_the_attempts_of_what_waits(world):
    world.tell("trier/1", "add", name="first")
    world.tell("trier/1", "plain")
    world.run()
    start = {"ref": "a", "args": {}, "parent": True, "restart": True}
    payload, parent = json.dumps(start).encode(), full("trier/parent")
    world.mailbox.append(Envelope(TELL, "s", full("trier/1"), "$start", payload, parent))
    world.run()
    assert world.field("trier/1", "seen") in (None, []), "it has begun anew"
    pass_time(world, 3)
    assert len(TRIED) == 4


def test_crashes_between_many_attempts_are_not_blamed_on_them(world):
    world.tell("stubborn/1", "plain")
    pass_time(world, 3, seconds=15)
    assert len(TRIED) == 9
    assert world.put_aside() == [("plain", "failed")]
