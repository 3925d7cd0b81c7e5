"""What nobody waits for fails its turn, by name."""

import gc
import re

import pytest
from world import World

from plexstream import actor, handler, host, state


async def elsewhere():
    pass


@actor(name="a")
class Forgetful:
    n: int = state(default=0)

    @handler("one")
    def one(self) -> int:
        self.n += 1
        return self.n

    @handler("run")
    async def run(self):
        self.n = 9
        host.run("charge", str)

    @handler("ask")
    async def ask(self):
        await host.sleep(0)
        host.ask("a/other", "one", timeout=5)

    @handler("sleep")
    async def sleep(self):
        host.sleep(1)

    @handler("condition")
    async def condition(self):
        return "approved" if host.run("check", str) else "refused"

    @handler("returned")
    async def returned(self):
        return host.run("charge", str)

    @handler("started")
    def started(self):
        host.start.run("charge", str)

    @handler("combined")
    async def combined(self):
        host.race(host.run("a", str), host.sleep(1))

    @handler("helper")
    async def helper(self):
        self.inner()

    async def inner(self):
        await host.sleep(1)

    @handler("module")
    def module(self):
        elsewhere()

    @handler("returned_coroutine")
    async def returned_coroutine(self):
        return self.inner()

    @handler("fine")
    async def fine(self) -> str:
        lost = host.start.sleep(100)
        got = await host.race(lost, host.run("a", str))
        waits = host.ask("a/other", "one")
        detached = host.ask("a/third", "one", detach=True)
        del detached
        if not waits.done():
            await waits
        return got


SAID = {
    "run": "nobody has waited for run 'charge'",
    "ask": "nobody has waited for ask 'default/default/a/other one', sleep",
    "sleep": "nobody has waited for sleep",
    "condition": "neither true nor false: await it",
    "returned": "for which nobody waited: write return await",
    "started": "nobody has waited for run 'charge'",
    "combined": "nobody has waited for run 'a', sleep",
    "helper": r"nobody awaited Forgetful.inner\(…\): write await",
    "module": r"nobody awaited elsewhere\(…\)",
    "returned_coroutine": r"it returned Forgetful.inner\(…\), which nobody awaited",
}


@pytest.mark.parametrize("name", SAID)
def test_the_turn_fails_and_says_what(name):
    world = World(Forgetful)
    id = world.tell("a/1", name, _kind=1)
    world.run()
    body = world.errors[id]
    assert body["code"] == "failed"
    assert re.search(SAID[name], body["detail"])
    assert world.field("a/1", "n") is None


def test_what_was_looked_at_is_not_forgotten():
    assert World(Forgetful).ask("a/1", "fine") == ""


def test_what_the_collector_finds_is_not_this_turns(tester, recwarn):
    cycle = [elsewhere()]
    cycle.append(cycle)

    @actor(name="a")
    class Collects:
        @handler("go")
        def go(self):
            gc.collect()

    gc.collect()
    cell = [cycle]
    del cycle
    cell.clear()
    assert tester(Collects).ok("go").value == b"null"
    recwarn.clear()
