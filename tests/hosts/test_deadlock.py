"""Circles of asks end in an error for one of them, and the others go on."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import actor, handler, host
from plexstream.processor.waiting import limits


@actor(name="node")
class Node:
    @handler()
    async def go(self, whom: str) -> str:
        await host.sleep(1)  # so that all of a circle are under way before one of them asks
        return await host.ask(whom, "other")

    @handler()
    async def through(self, path: list[str]) -> str:
        return await host.ask(path[0], "through", path=path[1:]) if path else "end"

    @handler()
    async def late(self, whom: str) -> str:
        await host.sleep(1)
        return await host.ask(whom, "through", path=[])

    @handler()
    def other(self) -> str:
        return "ok"


def ask_all(world, circle):
    ids = [world.tell(a, "go", _kind=1, whom=b) for a, b in zip(circle, circle[1:] + circle[:1], strict=True)]
    for ms in (0, 1000, 1100, 1100):
        world.run(ms)
    return [world.replies.get(id) for id in ids]


@pytest.mark.parametrize("size", [2, 3, 7])
def test_one_ask_of_a_circle_fails_and_the_others_go_on(size):
    world = World(Node)
    replies = ask_all(world, [f"node/{i}" for i in range(size)])
    assert sorted(replies) == ["deadlock"] + ["ok"] * (size - 1)


@pytest.mark.parametrize(("first", "executing", "last"), [("1", "3", "2"), ("2", "1", "3"), ("3", "2", "1")])
def test_an_ask_of_the_circle_may_be_the_one_that_is_executed(first, executing, last):
    world = World(Node)
    waits = world.tell(f"node/{last}", "late", _kind=1, whom=f"node/{first}")
    asks = world.tell(f"node/{first}", "through", _kind=1, path=[f"node/{executing}", f"node/{last}"])
    for ms in (0, 1000, 1100, 1100, 1100):
        world.run(ms)
    assert sorted(map(str, [world.replies.get(waits), world.replies.get(asks)])) == ["deadlock", "end"]


def test_asks_that_only_wait_long_do_not_fail():
    world = World(Node)
    ids = [world.tell(f"node/{i}", "go", _kind=1, whom=f"node/{i + 1}") for i in range(4)]
    late = world.tell("node/9", "go", _kind=1, whom="node/0")  # into the line, from outside
    for ms in (0, 900, 50, 50, 1000, 1100, 1100):
        world.run(ms)
    assert [world.replies.get(id) for id in [*ids, late]] == ["ok"] * 5


def test_an_actor_that_is_asked_by_what_it_waits_for(monkeypatch):
    monkeypatch.setattr(limits, "PROBE_AFTER", 10**9)  # seen from the chain alone
    world = World(Node)
    assert world.ask("node/a", "through", path=["node/b", "node/c", "node/a"]) == "deadlock"
    assert world.ask("node/a", "through", path=["node/a"]) == "deadlock"
    assert world.ask("node/a", "through", path=["node/b", "node/c"]) == "end"


def test_a_circle_with_messages_that_wait_in_the_journal(monkeypatch):
    monkeypatch.setattr(limits, "PARK_AFTER", 0)
    monkeypatch.setattr(limits, "PROBE_AFTER", 10**9)
    world = World(Node)
    ids = [world.tell(a, "go", _kind=1, whom=b) for a, b in (("node/a", "node/b"), ("node/b", "node/a"))]
    world.run()
    world.run(1000)
    for a in world.p.invocations.crowded.values():
        world.p.invocations.roster.park_queue(a)
    world.restart()
    monkeypatch.setattr(limits, "PROBE_AFTER", 1000)
    world.run(1100)
    world.run(1100)
    assert sorted(world.replies.get(id) for id in ids) == ["deadlock", "ok"]
