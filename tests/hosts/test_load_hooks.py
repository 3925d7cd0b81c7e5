"""What ``host`` is in hooks that run as an actor comes into memory or leaves it."""

import logging
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import actor, handler, host, on_activate, on_deactivate

SEEN = []


def loads(use, leaves=lambda: None):
    @actor(name="loads")
    class Loads:
        @on_activate
        def load(self):
            SEEN.append(use())

        @on_deactivate
        def unload(self):
            leaves()

        @handler()
        def put(self, v: int):
            host.set("k", v)
            return v

    return Loads


def test_its_name_its_log_and_what_it_keeps(caplog):
    def use():
        host.info("comes", n=1)
        return [host.self_id(), host.get("k"), host.keys()]

    SEEN.clear()
    world = World(loads(use))
    with caplog.at_level(logging.INFO, logger="plexstream.actor"):
        assert world.ask("loads/1", "put", v=3) == 3
    assert "loads/1: comes n=1" in caplog.text
    world.restart()
    world.ask("loads/1", "put", v=4)
    assert (SEEN[0], SEEN[-1]) == (["loads/1", None, []], ["loads/1", 3, ["k"]])


@pytest.mark.parametrize(("use", "named"), [
    (lambda: host.tell("a/1", "x"), "host.tell"),
    (lambda: host.emit("o", 1), "host.emit"),
    (lambda: host.now(), "host.now"),
    (lambda: host.uuid(), "host.uuid"),
    (lambda: host.ask("a/1", "x"), "host.steps as ask"),
    (lambda: host.spawn("a", "1"), "host.spawn"),
    (lambda: host.alarm.set_in(1), "host.alarm"),
    (lambda: host.send_after(1, "put"), "host.send_after"),
    (lambda: host.set("k", 1), "changed @keys"),
], ids=lambda x: x if isinstance(x, str) else "")  # fmt: skip
def test_all_else_is_refused_by_name(use, named):
    world = World(loads(use))
    id = world.start("loads/1", "put", v=3)
    assert named in world.errors[id]["detail"]
