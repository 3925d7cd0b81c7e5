"""Asks that are withdrawn wherever they are: behind what is tried again, or sent by a last stretch."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from locks import Clerk, Guest, Lock, waiting
from world import World

from plexstream import Retry, actor, handler, host, run_handler, state, workflow

broken = {"times": 0}


@actor(name="gate", retry=Retry(attempts=10, interval=3, factor=1, jitter=0))
class Gate:
    """Keeps others waiting, and fails at times."""

    tokens: list = state(default_factory=list)
    order: list = state(default_factory=list)

    @handler("work")
    def work(self) -> None:
        if broken["times"]:
            broken["times"] -= 1
            raise RuntimeError("not yet")
        self.order.append("work")

    @handler("enter")
    def enter(self) -> None:
        self.order.append("enter")
        self.tokens.append(host.defer())

    @handler("open")
    def open(self) -> int:
        self.order.append("open")
        took = sum(host.reply(token) for token in self.tokens)
        self.tokens = []
        return took


@actor(name="caller", retry=Retry(attempts=1))
class Caller:
    @handler("enter")
    async def enter(self) -> None:
        await host.ask("gate/1", "enter", timeout=1)

    @handler("at_once")
    async def at_once(self) -> None:
        host.start.ask("lock/1", "acquire", detach=True)

    @handler("plainly")
    def plainly(self) -> None:
        host.start.ask("lock/1", "acquire", detach=True)

    @handler("after_a_wait")
    async def after_a_wait(self) -> None:
        await host.sleep(1)
        host.start.ask("lock/1", "acquire", detach=True)

    @handler("loses_a_race")
    async def loses_a_race(self) -> str:
        slept = host.start.sleep(1)
        await slept
        await host.race(slept, host.start.ask("lock/1", "acquire"))


@workflow(name="flow")
class Flow:
    @run_handler
    async def run(self, again: str) -> None:
        if again == "ends":
            return
        if again == "before":
            host.start.ask("lock/1", "acquire", detach=True)
        await host.sleep(1)
        if again == "last":
            host.start.ask("lock/1", "acquire", detach=True)
        host.continue_as_new(again="ends")


@pytest.fixture(params=[0, 1, 3], ids=["", "crash after each turn", "crash after three"])
def world(request):
    broken["times"] = 0
    return World(Gate, Caller, Flow, Lock, Clerk, Guest, crash_every=request.param)


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("times", [1, 2])
def test_an_ask_behind_what_is_tried_again_is_withdrawn(world, times, crash):
    broken["times"] = times
    world.tell("gate/1", "work")
    world.run()
    world.start("caller/1", "enter")
    other = world.start("gate/1", "enter")
    world.run(2_000)  # its caller goes on, and the gate waits yet
    opened = world.start("gate/1", "open")
    assert world.field("gate/1", "order") is None
    if crash:
        world.restart()
    for _ in range(times):
        world.run(3_000)
    assert world.field("gate/1", "order") == ["work", "enter", "enter", "open"]
    assert world.replies[opened] == 1
    assert world.replies[other] is None
    assert world.links("gate/1") == []
    assert broken["times"] == 0


def test_attempts_are_counted_on_where_a_withdrawal_moves_them(world):
    broken["times"] = 20
    world.tell("gate/1", "work")
    world.run()
    world.start("caller/1", "enter")
    for _ in range(30):
        world.run(3_000)
    assert broken["times"] == 10
    assert world.put_aside() == [("work", "failed")]
    assert waiting(world, "gate/1") == []
    assert world.ask("gate/1", "open") == 0


@pytest.mark.parametrize("how", ["at_once", "plainly", "after_a_wait", "loses_a_race"])
def test_an_ask_of_the_last_stretch_is_withdrawn(world, how):
    id = world.start("caller/1", how)
    world.run(1_000)
    assert id in world.replies
    assert id not in world.errors
    assert len(world.field("lock/1", "tokens")) == 1
    assert waiting(world) == []
    assert world.ask("lock/1", "release") == -1


@pytest.mark.parametrize("when", ["before", "last"])
def test_an_ask_of_a_run_that_goes_on_as_new_is_withdrawn(world, when):
    id = world.start("flow/1", "run", again=when)
    world.run(1_000)
    assert id in world.replies
    assert id not in world.errors
    assert len(world.field("lock/1", "tokens")) == 1
    assert waiting(world) == []
