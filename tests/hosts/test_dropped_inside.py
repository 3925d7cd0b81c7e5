"""A coroutine inside another that is dropped ends there and then, whatever it catches."""

import gc
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import actor, handler, host, state


async def inner(seconds):
    me = {}
    me["exits"] = seconds, me  # garbage that only the collector finds
    try:
        await host.sleep(seconds)
    except GeneratorExit:
        await host.sleep(1)
    finally:
        host.tell("note/1", "note", what=f"left {len(me)}")


@actor(name="outer")
class Outer:
    @handler()
    async def run(self):
        held = []
        held.append((inner(3600), held))
        await held[0][0]


@actor(name="note")
class Note:
    told: list[str] = state(default_factory=list)

    @handler()
    def note(self, what: str):
        gc.collect()
        self.told.append(what)

    @handler(read_only=True)
    def look(self):
        return self.told


def test_it_does_not_go_on_in_the_turn_of_another():
    world = World(Outer, Note)
    gc.disable()
    try:
        world.start("outer/1", "run")
        world.ask("outer/1", "$pause")
        world.ask("note/1", "note", what="mine")
    finally:
        gc.enable()
    assert world.ask("note/1", "look") == ["mine"]
