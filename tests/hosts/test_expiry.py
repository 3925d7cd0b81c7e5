"""State whose time has passed: the actor begins anew, its init hook included."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import actor, handler, host, init_handler, state


@actor(name="brief", state_ttl=1.0)
class Brief:
    start: int = state(default=0)
    n: int = state(default=0)

    @init_handler
    def begin(self) -> None:
        self.start = 7

    @handler()
    def add(self) -> list[int]:
        self.n += 1
        return [self.start, self.n]

    @handler()
    async def later(self) -> list[int]:
        self.n += 1
        await host.sleep(5)
        return [self.start, self.n]


def test_the_init_hook_runs_again():
    world = World(Brief)
    assert world.ask("brief/1", "add") == [7, 1]
    assert world.ask("brief/1", "add") == [7, 2]
    world.run(1001)
    assert world.ask("brief/1", "add") == [7, 1]


def test_a_handler_that_waits_begins_anew_and_is_not_forgotten():
    world = World(Brief)
    assert world.ask("brief/1", "add") == [7, 1]
    world.run(1001)
    id = world.tell("brief/1", "later", _kind=1)
    world.run()
    world.restart()
    world.run(5000)
    assert world.replies[id] == [7, 1]
    assert world.ask("brief/1", "add") == [7, 2]
