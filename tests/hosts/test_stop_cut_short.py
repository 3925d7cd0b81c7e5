"""A stop that is killed or cancelled ends the actor's life: who has asked for it waits for that."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import actor, handler, host, state


@actor(name="slow")
class Slow:
    n: int = state(default=0)

    @handler()
    def add(self):
        self.n += 1
        return self.n

    @handler("__stop__")
    async def stop(self, reason: str):
        await host.sleep(3600)
        host.exit(reason)


@actor(name="watcher")
class Watcher:
    heard: list[str] = state(default_factory=list)

    @handler()
    def watch(self, id: str):
        host.monitor(id)

    @handler()
    def stops(self, id: str):
        host.stop(id, "over")

    @handler("__down__")
    def down(self, address: str, ref: str, reason: str):
        self.heard.append(reason)

    @handler(read_only=True)
    def look(self):
        return self.heard


TREE = {
    "children": [{"id": "one", "type": "slow", "shutdown_timeout_seconds": "infinity"}],
    "strategy": "one_for_one",
}


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("how", "code"), [("$end", "killed"), ("$cancel", "cancelled")])
def test_a_supervisor_goes_on_when_the_stop_of_a_child_is_cut_short(how, code, crash):
    world = World(Slow, Watcher)
    world.ask("supervisor/app", "$start", args=TREE, ref="x")
    world.ask("watcher/1", "watch", id="slow/one")
    world.ask("supervisor/app", "stop_child", id="one")
    assert world.children() == {"one": "stopping"}
    assert world.waiting() == [("__stop__", 2)]
    if crash:
        world.restart()
    world.ask("slow/one", how, invocation=2)
    world.run(1000)
    assert world.children() == {"one": "stopped"}
    assert world.waiting() == []
    assert [reason.partition(":")[0] for reason in world.ask("watcher/1", "look")] == [code]
    assert world.ask("slow/one", "add") == "stopped"
    world.restart()
    assert world.children() == {"one": "stopped"}
    assert world.ask("supervisor/app", "restart_child", id="one") == "slow/one"
    assert world.ask("slow/one", "add") == 1


@pytest.mark.parametrize("how", ["$end", "$cancel"])
def test_an_actor_of_its_own_ends_so_too(how):
    world = World(Slow, Watcher)
    world.ask("slow/2", "$start", args={}, ref="x")
    world.ask("watcher/1", "watch", id="slow/2")
    world.ask("watcher/1", "stops", id="slow/2")
    world.ask("slow/2", how)
    assert len(world.ask("watcher/1", "look")) == 1
    assert world.ask("slow/2", "add") == "stopped"
