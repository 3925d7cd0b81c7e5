"""A handler that is restarted, and finds that what it waited for is there: it goes on at once, or ends."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import (
    actor,
    handler,
    host,
    query_handler,
    run_handler,
    signal_handler,
    state,
    state_list,
    state_map,
    workflow,
)


class Waits:
    n: int = state(default=0)
    m: dict[str, int] = state_map()

    async def goes(self, waits: bool):
        self.n += 1
        self.m["before"] = self.n
        host.tell("note/1", "note", what="before")
        got = await host.promise("p")
        self.n += 10
        self.m["behind"] = self.n
        host.tell("note/1", "note", what="behind")
        if waits:
            await host.promise("q")
            self.n += 100
        return [got, self.n]

    def seen(self):
        return [self.n, dict(self.m)]


@workflow(name="flow")
class Flow(Waits):
    @run_handler
    async def run(self, waits: bool):
        return await self.goes(waits)

    @query_handler()
    def look(self):
        return self.seen()


@actor(name="object")
class Object(Waits):
    @handler()
    async def run(self, waits: bool):
        return await self.goes(waits)

    @handler(read_only=True)
    def look(self):
        return self.seen()


@actor(name="note")
class Note:
    told: dict[str, int] = state_map()

    @handler()
    def note(self, what: str):
        self.told[what] = self.told.get(what, 0) + 1

    @handler(read_only=True)
    def look(self):
        return dict(self.told)


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("type", ["flow", "object"])
def test_what_it_waited_for_is_there_when_it_is_restarted(type, waits, crash):
    world = World(Flow, Object, Note)
    it = f"{type}/1"
    id = world.start(it, "run", waits=waits)
    world.ask(it, "$pause")
    world.ask(it, "$promise", name="p", value=7)
    world.ask(it, "$restart", **{"from": 0})
    if crash:
        world.restart()
    world.run(1000)
    if waits:
        if type == "flow":
            assert world.ask(it, "look") == [11, {"before": 1, "behind": 11}]
        world.restart()
        if type == "flow":
            assert world.ask(it, "look") == [11, {"before": 1, "behind": 11}]
        world.ask(it, "$promise", name="q", value=8)
    end = 111 if waits else 11
    assert world.replies[id] == [7, end]
    for _ in range(2):
        assert world.ask(it, "look") == [end, {"before": 1, "behind": 11}]
        assert world.ask("note/1", "look") == {"before": 1, "behind": 1}
        world.restart()


@workflow(name="shared")
class Shared:
    items: list[str] = state_list()

    @run_handler
    async def run(self):
        self.items.append("before")
        first, second = host.promise("p").start(), host.promise("q").start()
        await host.race(first, second)
        self.items.append("behind")
        got = [await first, await second]
        self.items.append("end")
        return got

    @signal_handler()
    def add(self):
        self.items.append("meanwhile")

    @query_handler()
    def look(self):
        return list(self.items)


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("given", ["p", "q"])
def test_it_goes_on_with_the_state_as_it_is_then(given, crash):
    world = World(Shared)
    id = world.start("shared/1", "run")
    world.ask("shared/1", "$pause")
    world.ask("shared/1", "add")
    world.ask("shared/1", "$promise", name=given, value=given)
    world.ask("shared/1", "$restart", **{"from": 0})
    world.run(1000)
    then = ["before", "meanwhile", "behind"]  # what came before its first step is not undone
    assert world.ask("shared/1", "look") == then
    world.ask("shared/1", "add")
    if crash:
        world.restart()
    assert world.ask("shared/1", "look") == [*then, "meanwhile"]
    world.ask("shared/1", "$promise", name="pq".replace(given, ""), value="other")
    assert world.replies[id] == (["p", "other"] if given == "p" else ["other", "q"])
    world.restart()
    assert world.ask("shared/1", "look") == [*then, "meanwhile", "end"]
