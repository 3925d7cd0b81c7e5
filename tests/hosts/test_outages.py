"""Nobody has the partition for a while: what was noted before is met by the handler now, and time goes on."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import actor, handler, host
from plexstream.processor.waiting.invocation.machine import State


@actor(name="a1")
class A1:
    @handler()
    async def go(self):
        await host.promise("p")
        try:
            return await host.ask("b1/1", "slow", timeout=10)
        except Exception as error:
            return str(error)


@actor(name="b1")
class B1:
    @handler()
    async def slow(self):
        await host.sleep(1)
        return "answer"


def only(world):
    [inv] = world.p.invocations.live["default/default/a1/1"].values()
    return inv


@pytest.mark.parametrize("ticked", [False, True])
def test_a_timeout_counts_from_when_its_handler_asked_after_an_outage(ticked):
    """The promise gets its value, that is on the log, and then the node is away for a minute."""
    world = World(A1, B1)
    id = world.start("a1/1", "go")
    world.restart()
    world.tell("a1/1", "$promise", name="p", value=1)
    if ticked:
        world.p.receive([], world.now)
        world.p.tick(world.now)
    while (at := world.p.position) < len(world.mailbox):
        world.p.receive([(at, world.mailbox[at])], world.now)
    while (records := world.p.take()) is not None:
        world.journal += records
        world.p.acknowledged(len(world.journal) - 1)
    world.now += 60_000
    world.restart()
    for _ in range(10):
        world.run(500)
    assert world.replies[id] == "answer"


def test_who_waits_for_a_promise_alone_runs_again_when_it_has_its_value():
    """A takeover does not run again whoever waits: only those who can go on."""
    world = World(A1, B1)
    id = world.start("a1/1", "go")
    world.restart()
    world.run()
    assert only(world).state is State.ASLEEP
    world.ask("a1/1", "$promise", name="p", value=1)
    world.run(1000)
    assert world.replies[id] == "answer"


def test_a_value_that_was_given_before_the_crash_is_found():
    """The turn that gave it is on the log, the note of it is not."""
    world = World(A1, B1)
    id = world.start("a1/1", "go")
    world.ask("a1/1", "$promise", name="p", value=1)
    cut = next(n for n, r in enumerate(world.journal) if any(o.id == "m2" for o in getattr(r, "outs", ())))
    del world.journal[cut + 1 :]
    world.restart()
    world.run()
    world.run(1000)
    assert world.replies[id] == "answer"
