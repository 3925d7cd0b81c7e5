"""Any text is a key of a map, and a name: also that under which lists keep their ends."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import host, run_handler, signal_handler, state_list, state_map, workflow

KEY = "#"


@workflow(name="flow")
class Flow:
    found: dict[str, object] = state_map()
    items: list[object] = state_list()

    @run_handler
    async def run(self) -> list[object]:
        self.found[KEY] = ["before"]
        self.items.append("run")
        await host.run("step", lambda: 0)
        await host.promise("p")
        return [self.found.get(KEY), list(self.items)]

    @signal_handler
    def put(self, value: object) -> None:
        self.found[KEY] = value
        self.items.append("put")

    @signal_handler
    def take(self) -> None:
        del self.found[KEY]
        del self.items[0]


@pytest.fixture(params=[False, True], ids=["stays", "crashes"])
def crash(request):
    def crash(world):
        if request.param:
            world.restart()
            world.run()

    return crash


VALUES = [1, "text", [], [0, 1], [7], {"a": [1]}, None]


@pytest.mark.parametrize("value", VALUES)
def test_what_others_set_under_it_is_seen_by_who_waits(value, crash):
    world = World(Flow)
    id = world.start("flow/1", "run")
    world.ask("flow/1", "put", value=value)
    crash(world)
    world.ask("flow/1", "$promise", name="p", value=1)
    assert world.replies[id] == [value, ["run", "put"]]
    assert not world.put_aside()


def test_what_others_delete_is_gone_for_who_waits(crash):
    world = World(Flow)
    id = world.start("flow/1", "run")
    world.ask("flow/1", "take")
    crash(world)
    world.ask("flow/1", "$promise", name="p", value=1)
    assert world.replies[id] == [None, []]


@pytest.mark.parametrize("value", VALUES)
def test_it_stays_over_a_restart_from_a_step(value, crash):
    world = World(Flow)
    id = world.start("flow/1", "run")
    world.ask("flow/1", "put", value=value)
    world.ask("flow/1", "$restart", **{"from": 1})
    crash(world)
    world.ask("flow/1", "$promise", name="p", value=1)
    assert world.replies[id] == [value, ["run", "put"]]


@workflow(name="named")
class Named:
    @run_handler
    async def run(self) -> list[object]:
        host.set(KEY, "run")
        first = await host.promise(KEY)
        await host.promise("p")
        return [first, host.get(KEY)]

    @signal_handler
    def settle(self, value: object) -> None:
        host.set(KEY, "settle")
        host.promise(KEY).resolve(value)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("inside", [False, True])
def test_a_promise_may_have_that_name(value, inside, crash):
    world = World(Named)
    id = world.start("named/1", "run")
    if inside:
        world.ask("named/1", "settle", value=value)
    else:
        world.ask("named/1", "$promise", name=KEY, value=value)
    crash(world)
    world.ask("named/1", "$promise", name="p", value=1)
    assert world.replies[id] == [value, "settle" if inside else "run"]
