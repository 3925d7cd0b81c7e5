"""An awakeable that is asked for again is another one: who has the id of the one before completes nothing."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import Retry, StepFailed, actor, handler, host, query_handler, run_handler, state, workflow

RETRY = Retry(attempts=9, interval=1, max_interval=1, jitter=0)
FAILS = []


def failing():
    if FAILS:
        raise RuntimeError(FAILS.pop())
    return "done"


@actor(name="post")
class Post:
    ids: list[str] = state(default_factory=list)

    @handler
    def send(self, id: str):
        self.ids.append(id)

    @handler(read_only=True)
    def sent(self):
        return self.ids

    @handler
    def answer(self, id: str, value: str):
        host.resolve_awakeable(id, value)


async def asks_two():
    first = host.start.awakeable()
    host.tell("post/1", "send", id=first.id)
    await host.run("between", lambda: None)
    second = host.start.awakeable()
    host.tell("post/1", "send", id=second.id)
    return [await first, await second]


@actor(name="object")
class Object:
    @handler
    async def run(self):
        return await asks_two()


@actor(name="plain")
class Plain:
    @handler
    def run(self):
        first, second = host.start.awakeable(), host.start.awakeable()
        host.tell("post/1", "send", id=first.id)
        host.tell("post/1", "send", id=second.id)
        return [first.wait(), second.wait()]


@workflow(name="flow")
class Flow:
    waits_for: str = state(default="")

    @run_handler
    async def run(self):
        first = host.start.awakeable()
        host.tell("post/1", "send", id=first.id)
        await host.run("between", lambda: None)
        second = host.start.awakeable()
        self.waits_for = second.id
        host.tell("post/1", "send", id=second.id)
        return [await first, await second]

    @query_handler
    def look(self):
        return self.waits_for


def complete(world, id, value):
    """What comes of it: "" where it is taken."""
    world.tell("post/2", "answer", id=id, value=value)
    before = len(world.put_aside())
    world.run()
    return "".join(code for _, code in world.put_aside()[before:])


@pytest.mark.parametrize("crashes", [False, True])
@pytest.mark.parametrize("type", ["object", "plain", "flow"])
def test_an_id_of_before_a_restart_is_none_of_after(type, crashes):
    world = World(Object, Plain, Flow, Post)
    id = world.start(f"{type}/1", "run")
    for _ in range(2):
        world.ask(f"{type}/1", "$restart", **{"from": 0})
        if crashes:
            world.restart()
            world.run()
    *old, first, second = world.ask("post/1", "sent")
    assert len({*old, first, second}) == len(old) + 2 == 6
    for late in old:
        assert complete(world, late, "late") == "unknown_invocation"
    if type == "flow":
        assert world.ask("flow/1", "look") == second
    assert complete(world, second, "two") == ""
    if crashes:
        world.restart()
    assert complete(world, first, "one") == ""
    assert world.replies[id] == ["one", "two"]


@pytest.mark.parametrize("crashes", [False, True])
@pytest.mark.parametrize("type", ["object", "flow"])
def test_what_a_restart_keeps_has_its_id_still(type, crashes):
    world = World(Object, Flow, Post)
    id = world.start(f"{type}/1", "run")
    world.ask(f"{type}/1", "$restart", **{"from": 1})
    if crashes:
        world.restart()
        world.run()
    first, late, second = world.ask("post/1", "sent")
    assert complete(world, late, "late") == "unknown_invocation"
    assert complete(world, first, "one") == ""
    if crashes:
        world.restart()
    assert complete(world, second, "two") == ""
    assert world.replies[id] == ["one", "two"]


@actor(name="careful", retry=RETRY)
class Careful:
    @handler(retry=RETRY)
    async def run(self):
        try:
            await host.run("step", failing, retry=Retry(attempts=1))
        except StepFailed:
            await self.posted()  # somebody is to say that it may be tried again
            raise
        return await self.posted()

    async def posted(self):
        awakeable = host.awakeable()
        host.tell("post/1", "send", id=awakeable.id)
        return await awakeable


@pytest.mark.parametrize("crashes", [False, True])
def test_an_id_of_before_a_retry_is_none_of_after(crashes):
    FAILS[:] = ["no", "no"]
    world = World(Careful, Post)
    id = world.start("careful/1", "run")
    for n in range(2):
        assert complete(world, world.ask("post/1", "sent")[n], "again") == ""
        if crashes:
            world.restart()
        world.run(1000)
    *old, last = world.ask("post/1", "sent")
    assert len({*old, last}) == len(old) + 1 == 3
    for late in old:
        assert complete(world, late, "late") == "unknown_invocation"
    if crashes:
        world.restart()
        world.run()
    assert complete(world, last, "all right") == ""
    assert world.replies[id] == "all right"


@actor(name="chance")
class Chance:
    @handler
    async def run(self):
        found = [host.uuid(), host.awakeable().id, host.uuid()]
        await host.promise("p")
        return found


def test_what_else_is_drawn_is_drawn_as_before():
    """A handler that ran before this was so goes on: only ids of what is asked for again are others."""
    world = World(Chance)
    id = world.start("chance/1", "run")
    world.ask("chance/1", "$restart", **{"from": 1})
    world.ask("chance/1", "$promise", name="p", value=1)
    other = World(Chance)
    other_id = other.start("chance/1", "run")
    other.ask("chance/1", "$restart", **{"from": 0})
    other.ask("chance/1", "$promise", name="p", value=1)
    before, awakeable, behind = world.replies[id]
    assert other.replies[other_id][::2] == [before, behind]
    assert other.replies[other_id][1] != awakeable
