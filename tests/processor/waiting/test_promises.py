"""Promises settle once, wake at once, and are seen; the handlers of a service share nothing."""

import pytest
from world import World

from plexstream import (
    Retry,
    actor,
    handler,
    host,
    query_handler,
    run_handler,
    service,
    signal_handler,
    state,
    workflow,
)

CALLS: list[int] = []


@service(retry=Retry(attempts=1))
class Desk:
    @handler()
    async def wait(self, name: str):
        return await host.promise(name)

    @handler()
    async def settle(self, name: str, fails: bool = False):
        host.promise(name).resolve("settled")
        await host.sleep(1)
        if fails:
            raise RuntimeError("no")
        return "done"

    @handler()
    def fail(self):
        raise RuntimeError("x")

    @handler()
    def peek(self, name: str):
        return host.promise(name).peek("nothing")

    @handler()
    async def effect(self):
        await host.run("effect", CALLS.append, 1)
        return len(CALLS)


@actor
class Keeper:
    @handler()
    async def settles(self, name: str):
        host.promise(name).resolve("mine")
        await host.sleep(1)
        return "done"

    @handler()
    async def polls(self, name: str):
        seen = []
        for _ in range(3):
            seen.append(host.promise(name).peek("nothing"))
            await host.sleep(1)
        return seen

    @handler()
    def peek(self, name: str):
        return host.promise(name).peek("nothing")


@workflow
class Flow:
    seen: list = state(default_factory=list)

    @run_handler
    async def run(self):
        for _ in range(3):
            self.seen = [*self.seen, host.promise("p").peek("nothing")]
            await host.sleep(1)
        return self.seen

    @signal_handler()
    def put(self, v: int):
        host.promise("p").resolve(v)

    @query_handler()
    def look(self):
        return self.seen


@pytest.fixture
def world():
    CALLS.clear()
    return World(Desk, Keeper, Flow)


CRASH = pytest.mark.parametrize("crash", [False, True])


def crash_perhaps(world, crash):
    if crash:
        world.restart()
        world.run()


@CRASH
def test_whoever_waits_is_woken_when_the_one_who_settles_ends(world, crash):
    waits = world.start("desk/1", "wait", name="p")
    settles = world.start("desk/1", "settle", name="p")
    assert world.ask("desk/1", "peek", name="p") == "nothing"
    crash_perhaps(world, crash)
    world.run(1_000)
    assert world.replies[settles] == "done"
    assert world.replies[waits] == "settled"


def test_the_failure_of_another_takes_nothing_back(world):
    settles = world.start("desk/1", "settle", name="p")
    assert world.ask("desk/1", "fail") == "failed"
    world.run(1_000)
    assert world.replies[settles] == "done"
    for _ in range(2):
        assert world.ask("desk/1", "peek", name="p") == "settled"
        world.restart()


def test_what_a_handler_settles_that_fails_is_not_settled(world):
    settles = world.start("desk/1", "settle", name="p", fails=True)
    world.ask("desk/1", "peek", name="q")
    world.run(1_000)
    assert world.replies[settles] == "failed"
    for _ in range(2):
        assert world.ask("desk/1", "peek", name="p") == "nothing"
        world.restart()


@CRASH
def test_one_key_is_one_call(world, crash):
    world.hold_effects = True
    ids = [world.tell("desk/1", "effect", _kind=1, _key="k") for _ in range(3)]
    world.run()
    crash_perhaps(world, crash)
    world.hold_effects = False
    if crash:
        world.restart()
    world.run()
    world.run(10)
    assert len(CALLS) == 1
    assert [world.replies[id] for id in ids] == [1, 1, 1]


@CRASH
def test_the_first_value_stays(world, crash):
    id = world.start("keeper/1", "settles", name="p")
    world.ask("keeper/1", "$promise", name="p", value="theirs")
    crash_perhaps(world, crash)
    world.run(1_000)
    assert world.replies[id] == "done"
    for _ in range(2):
        assert world.ask("keeper/1", "peek", name="p") == "theirs"
        world.restart()


@CRASH
@pytest.mark.parametrize(("what", "to"), [("polls", "keeper/1"), ("run", "flow/1")])
def test_a_value_that_comes_meanwhile_is_seen(world, what, to, crash):
    id = world.start(to, what, **({"name": "p"} if what == "polls" else {}))
    if what == "polls":
        world.ask(to, "$promise", name="p", value=5)
    else:
        world.ask(to, "put", v=5)
    crash_perhaps(world, crash)
    for _ in range(3):
        world.run(1_000)
    assert world.replies[id] == ["nothing", 5, 5]
