"""Handlers that run while another one of their actor waits: they resolve what it waits for."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import actor, handler, host, state
from plexstream.sdk.errors import DeclarationError


@actor(name="door")
class Door:
    n: int = state(default=0)

    @handler()
    async def enter(self, who: str):
        self.n += 1
        return [who, await host.promise("open"), self.n]

    @handler(shared=True)
    def open(self, v: int):
        host.promise("open").resolve(v)
        host.emit("out", v)
        return self.n

    @handler(shared=True)
    def changes_at_once(self):
        self.n += 100

    @handler()
    def add(self):
        self.n += 10
        return self.n


@pytest.mark.parametrize("crash", [False, True])
def test_a_promise_is_resolved_by_a_handler_of_the_same_actor(crash):
    world = World(Door)
    id = world.start("door/1", "enter", who="me")
    if crash:
        world.restart()
        world.run()
    assert world.ask("door/1", "open", v=5) == 0, "what the one that waits has changed is not seen yet"
    world.run()
    assert world.replies[id] == ["me", 5, 1]
    assert world.field("door/1", "n") == 1
    assert world.ask("door/1", "open", v=6) == "already_done"


def test_what_is_not_shared_waits_for_its_turn():
    world = World(Door)
    first = world.start("door/1", "enter", who="me")
    queued = world.start("door/1", "add")
    assert queued not in world.replies
    world.ask("door/1", "open", v=5)
    world.run()
    assert (world.replies[first], world.replies[queued]) == (["me", 5, 1], 11)


def test_it_changes_no_state():
    world = World(Door)
    id = world.start("door/1", "changes_at_once")
    assert world.replies[id] == "failed"
    assert "shared, but changed n" in world.errors[id]["detail"]
    assert world.ask("door/1", "add") == 10


@pytest.mark.parametrize("wrong", [{"read_only": True}, {"states": ("a",)}, {"postpone_in": ("a",)}])
def test_what_it_cannot_be(wrong):
    with pytest.raises(DeclarationError, match="shared"):
        handler(shared=True, **wrong)
