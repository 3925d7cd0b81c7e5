"""A workflow that is restarted from its first step keeps what it did before that, and does not do it again.

That is so whether it sent something before, others changed the actor meanwhile, or its process dies.
"""

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
    workflow,
)


@actor(name="note")
class Note:
    @handler
    def hear(self) -> None: ...


@workflow(name="flow")
class Flow:
    n: int = state(default=0)
    items: list[str] = state_list()

    @run_handler
    async def run(self, tells: bool) -> list[object]:
        self.n += 1
        self.items.append("run")
        if tells:
            host.tell("note/1", "hear")
        await host.promise("p")
        self.n += 10
        self.items.append("end")
        return [self.n, list(self.items)]

    @signal_handler
    def put(self) -> None:
        self.n += 100
        self.items.append("put")

    @query_handler
    def look(self) -> list[object]:
        return [self.n, list(self.items)]


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("tells", [False, True])
@pytest.mark.parametrize("times", [1, 2])
def test_what_comes_before_the_first_step_stays_and_is_not_done_again(times, tells, before, after, crash):
    world = World(Flow, Note)
    id = world.start("flow/1", "run", tells=tells)
    for _ in range(before):
        world.ask("flow/1", "put")
    for _ in range(times):
        world.ask("flow/1", "$restart", **{"from": 0})
        assert world.ask("flow/1", "look") == [1 + 100 * before, ["run", *["put"] * before]]
        if crash:
            world.restart()
            world.run()
    for _ in range(after):
        world.ask("flow/1", "put")
    world.ask("flow/1", "$promise", name="p", value=1)
    puts = before + after
    end = [11 + 100 * puts, ["run", *["put"] * puts, "end"]]
    assert world.replies[id] == end
    world.restart()
    assert world.ask("flow/1", "look") == end
