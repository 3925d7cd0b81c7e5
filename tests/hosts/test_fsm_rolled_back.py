"""An event of a state machine that fails takes everything back, over waits too: timers, postponed events."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import Retry, fsm_actor, handler, host, state, state_timeout

FAILS = [False]


def away():
    raise OSError("away")


@fsm_actor(states=["idle", "busy", "late"], initial="idle", retry=Retry(attempts=1))
class Door:
    log: list = state(default_factory=list)

    @handler("work", states=["idle"])
    async def work(self, fails: bool = True):
        self.fsm_state = "busy"
        await host.sleep(1)
        if fails:
            raise RuntimeError("no")
        return self.fsm_state

    @handler("keep", states=["busy"], postpone_in=["idle"])
    async def keep(self, waits: bool):
        host.set("kept", 1)
        host.promise("p").resolve(1)
        self.log = [*self.log, "kept"]
        host.tell("door/other", "note", what="kept")
        if waits:
            await host.sleep(1)
            self.fsm_state = "late"
            host.tell("door/other", "note", what="waited")
        raise RuntimeError("no")

    @handler("let_pass", states=["busy"], postpone_in=["idle"])
    async def let_pass(self, how: str):
        if how == "ask":
            await host.ask("door/other", "work", fails=False)
        if how == "time":
            await host.race(host.promise("never"), timeout=1)
        await host.run("effect", away, retry=Retry(attempts=1))

    @handler("look")
    def look(self):
        return [self.fsm_state, host.get("kept"), host.promise("p").peek("nothing"), self.log]

    @handler("note")
    def note(self, what: str):
        self.log = [*self.log, what]

    @state_timeout("idle", after=10)
    def idle_for_long(self):
        self.log = [*self.log, "idle"]
        self.fsm_state = "late"

    @state_timeout("busy", after=10)
    def busy_for_long(self):
        self.log = [*self.log, "busy"]
        self.fsm_state = "late"


@pytest.fixture
def world():
    return World(Door)


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("fails", "said"), [(True, "idle"), (False, "busy")])
def test_the_timeout_is_that_of_the_state_that_it_is_in(world, fails, said, crash):
    world.ask("door/1", "note", what="begun")
    id = world.start("door/1", "work", fails=fails)
    if crash:
        world.restart()
        world.run()
    world.run(1_000)
    assert world.replies[id] == ("failed" if fails else "busy")
    assert len(world.p.timers) == 1
    world.run(9_500)
    assert world.field("door/1", "log") == ["begun", said]
    world.run(20_000)
    assert world.field("door/1", "log") == ["begun", said]
    assert world.field("door/1", "fsm_state") == "late"


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("waits", [False, True])
def test_a_postponed_event_that_fails_leaves_nothing_but_what_left_before_its_wait(world, waits, crash):
    world.tell("door/1", "keep", waits=waits)
    world.run()
    world.start("door/1", "work", fails=False)
    for _ in range(3):
        world.run(1_000)
        if crash:
            world.restart()
            world.run()
    assert world.ask("door/1", "look") == ["busy", None, "nothing", []]
    assert ("keep", "failed") in world.put_aside()
    assert world.field("door/other", "log") == (["kept"] if waits else None)
    world.run(20_000)
    assert world.field("door/1", "log") == ["busy"]


@pytest.mark.parametrize("crash", [False, True])
def test_a_cancel_is_of_the_turn_and_not_of_the_postponed_event_that_it_handles(world, crash):
    world.tell("door/1", "keep", waits=True)
    id = world.start("door/1", "work", fails=False)
    world.run(1_000)
    [(_, number)] = world.waiting()
    assert id not in world.replies
    if crash:
        world.restart()
        world.run()
    assert world.ask("door/1", "$cancel", invocation=number) is not None
    assert world.replies[id] == "cancelled"
    assert world.put_aside() == []
    assert world.field("door/1", "fsm_state") in (None, "idle")
    again = world.start("door/1", "work", fails=False)
    for _ in range(2):
        world.run(1_000)
    assert world.replies[again] == "busy"
    assert world.put_aside() == [("keep", "failed")]


@pytest.mark.parametrize("crash", [False, True])
def test_a_cancel_of_whom_a_postponed_event_asks_is_its_own(world, crash):
    id = world.start("door/1", "let_pass", how="ask")
    work = world.start("door/1", "work", fails=False)
    world.run(1_000)
    if crash:
        world.restart()
        world.run()
    world.ask("door/other", "$cancel", invocation=1)
    assert (world.replies[id], world.replies[work]) == ("cancelled", "busy")


@pytest.mark.parametrize(("how", "code"), [("effect", "step_failed"), ("time", "timed_out")])
def test_who_asks_for_a_postponed_event_hears_what_one_hears_at_once(world, how, code):
    ids = [world.start("door/1", "let_pass", how=how)]
    world.start("door/1", "work", fails=False)
    world.start("door/2", "work", fails=False)
    world.run(1_000)
    ids.append(world.start("door/2", "let_pass", how=how))
    world.run(2_000)
    world.run(2_000)
    assert [world.replies[id] for id in ids] == [code, code]
