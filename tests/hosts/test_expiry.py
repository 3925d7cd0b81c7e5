"""State whose time has passed: the actor begins anew, its init hook included."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import (
    Retry,
    actor,
    handler,
    host,
    init_handler,
    query_handler,
    run_handler,
    state,
    state_map,
    workflow,
)


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


FAILS = [0]


@workflow(name="patient", retention=5.0, retry=Retry(attempts=3, interval=1, factor=1, jitter=0))
class Patient:
    seen: dict[str, int] = state_map()

    @run_handler
    def run(self) -> None:
        FAILS[0] -= 1
        if FAILS[0] >= 0:
            raise RuntimeError("a moment")
        self.seen["a"] = 1

    @query_handler()
    def look(self) -> dict[str, int]:
        return dict(self.seen)


def test_who_has_only_failed_so_far_has_no_state_that_could_expire():
    FAILS[0] = 2
    world = World(Patient)
    world.now = 1_700_000_000_000
    world.tell("patient/1", "run")
    for _ in range(3):
        world.run(1000)
    assert world.ask("patient/1", "look") == {"a": 1}
    world.restart()
    assert world.ask("patient/1", "look") == {"a": 1}


def test_what_is_tried_again_after_its_actor_has_expired_is_seen():
    FAILS[0] = 0
    world = World(Patient)
    world.tell("patient/1", "run")
    world.run()
    world.run(6000)  # its result is forgotten
    FAILS[0] = 1
    world.tell("patient/1", "run")
    world.run()
    assert world.ask("patient/1", "look") == {}
    world.run(1000)
    assert world.ask("patient/1", "look") == {"a": 1}
