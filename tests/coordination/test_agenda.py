"""The agenda of a system actor: any number of times, and one alarm."""

import pytest
from world import World

from plexstream import Retry, actor, handler, host, state, state_map
from plexstream.coordination.common.agenda import AT_ONCE, OVERDUE, Agenda
from plexstream.sdk.running.collections.maps import StateMap


@actor(retry=Retry(attempts=1))
class Clock:
    agenda: StateMap[tuple[int, str], int] = state_map()
    armed: int = state(default=0)
    came: list[str] = state(default_factory=list)
    broken: bool = state(default=False)

    @handler("put")
    def put(self, after: int, what: str) -> None:
        Agenda(self).put(host.now() + after, what)

    @handler("drop")
    def drop(self, when: int, what: str) -> None:
        Agenda(self).drop(when, what)

    @handler("put_many")
    def put_many(self, count: int) -> None:
        for number in range(count):
            Agenda(self).put(host.now() + 10, f"{number:05}")

    @handler("break_")
    def break_(self, broken: bool) -> None:
        self.broken = broken

    @handler("__alarm__")
    def alarm(self) -> None:
        if self.broken:
            raise RuntimeError("as a bug would")
        self.came += Agenda(self).due()


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return World(Clock, crash_every=request.param)


def came(world):
    return world.field("clock/a", "came") or []


def test_what_is_due_comes_in_order(world):
    for after, what in ((50, "c"), (10, "a"), (30, "b"), (10, "a2")):
        world.ask("clock/a", "put", after=after, what=what)
    world.run(9)
    assert came(world) == []
    world.run(1)
    assert came(world) == ["a", "a2"]
    world.run(100)
    assert came(world) == ["a", "a2", "b", "c"]


def test_what_was_dropped_does_not_come(world):
    world.ask("clock/a", "put", after=10, what="a")
    world.ask("clock/a", "put", after=20, what="b")
    world.ask("clock/a", "drop", when=world.now + 10, what="a")
    world.run(50)
    assert came(world) == ["b"]


def test_many_come_by_and_by(world):
    world.ask("clock/a", "put_many", count=2 * AT_ONCE + 1)
    world.run(10)
    assert len(world.turns("__alarm__")) == 1
    world.run(10)
    world.run(10)
    assert came(world) == [f"{number:05}" for number in range(2 * AT_ONCE + 1)]


def test_after_an_alarm_that_failed_for_good_the_next_one_comes(world):
    world.ask("clock/a", "put", after=10, what="a")
    world.ask("clock/a", "break_", broken=True)
    world.run(10)
    assert came(world) == []
    world.ask("clock/a", "break_", broken=False)
    world.run(OVERDUE + 1)
    assert came(world) == []
    world.ask("clock/a", "put", after=1_000_000, what="b")
    world.run(1)
    assert came(world) == ["a"]
    world.run(1_000_000)
    assert came(world) == ["a", "b"]
