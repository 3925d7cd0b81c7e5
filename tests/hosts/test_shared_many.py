"""Very many handlers beside each other at one actor: what comes for one of them is that one's alone."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import actor, handler, host, state
from plexstream.model.errors import Cancelled
from plexstream.processor.waiting.course.roster import Roster
from plexstream.processor.waiting.events.answers import Answers

MANY = 300


@actor(name="desk")
class Desk:
    n: int = state(default=0)

    @handler(shared=True)
    async def waits(self, number: int):
        await host.sleep(60)
        host.promise(f"own {number}").resolve(number)
        own = await host.promise(f"own {number}")
        return [own, await host.promise("all"), self.n]

    @handler()
    def add(self):
        self.n += 1


@actor(name="boss")
class Boss:
    @handler()
    async def asks(self):
        try:
            return await host.all(*(host.start.ask("desk/1", "waits", number=n) for n in range(MANY)))
        except Cancelled:
            return "cancelled"


def counted(monkeypatch, cls, name):
    """How often a method is called."""
    calls, before = [], getattr(cls, name)

    def counting(*arguments):
        calls.append(name)
        return before(*arguments)

    monkeypatch.setattr(cls, name, counting)
    return calls


def test_a_promise_concerns_those_who_wait_for_it(monkeypatch):
    world = World(Desk)
    looked = counted(monkeypatch, Answers, "_fulfil")
    ids = [world.tell("desk/1", "waits", _kind=1, number=n) for n in range(MANY)]
    world.run()
    world.run(60_000)
    assert len(looked) <= 2 * MANY
    world.ask("desk/1", "add")
    world.restart()
    world.run()
    world.ask("desk/1", "$promise", name="all", value=True)
    assert [world.replies[id] for id in ids] == [[n, True, 1] for n in range(MANY)]
    assert len(looked) <= 4 * MANY
    assert not world.p.invocations.roster.promised


def test_an_ask_that_is_taken_back_concerns_the_one_it_asked(monkeypatch):
    world = World(Desk, Boss)
    id = world.start("boss/1", "asks")
    assert len(world.waiting()) == MANY + 1
    listed = counted(monkeypatch, Roster, "of")
    world.ask("boss/1", "$cancel")
    assert world.replies[id] == "cancelled"
    assert world.waiting() == []
    assert len(listed) < MANY
    assert not world.p.invocations.roster.asked


def test_who_has_been_restarted_or_has_ended_waits_for_no_promise_of_before():
    world = World(Desk)
    id = world.start("desk/1", "waits", number=1)
    world.run(60_000)
    for at in (2, 0):
        world.ask("desk/1", "$restart", **{"from": at})
    assert id not in world.replies
    world.ask("desk/1", "$promise", name="own 1", value=7)
    world.ask("desk/1", "$end")
    assert world.replies[id] == "killed"
    assert not world.p.invocations.roster.promised
