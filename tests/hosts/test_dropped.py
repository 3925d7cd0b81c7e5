"""A handler that leaves memory does what it does on its way out there and then, in nobody's name."""

import gc
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import actor, handler, host, state


@actor
class Clings:
    @handler()
    async def waits_again(self):
        try:
            try:
                await host.sleep(60)
            finally:
                await host.run("flush", str)
        finally:
            host.tell("lock/1", "release", by="waits again")

    @handler()
    async def catches_all(self):
        for _ in range(5):
            try:
                await host.sleep(60)
            except BaseException:
                host.tell("lock/1", "release", by="catches all")

    @handler()
    def blocks(self):
        for _ in range(5):
            try:
                host.sleep(60)
            except BaseException:
                host.tell("lock/1", "release", by="blocks")

    @handler()
    async def for_ever(self):
        while True:
            try:
                await host.sleep(60)
            except BaseException:
                host.tell("lock/1", "release", by="for ever")


@actor
class Other:
    n: int = state(default=0)

    @handler()
    def work(self):
        self.n += 1
        gc.collect()  # any allocation may do this
        return self.n


@actor
class Lock:
    got: list = state(default_factory=list)

    @handler()
    def release(self, by: str):
        self.got = [*self.got, [by, host.sender()]]


@pytest.mark.parametrize("what", ["$pause", "$end"])
@pytest.mark.parametrize("how", ["waits_again", "catches_all", "blocks", "for_ever"])
def test_it_never_runs_in_the_turn_of_another(how, what):
    gc.disable()
    try:
        world = World(Clings, Other, Lock)
        world.tell("clings/1", how)
        world.run()
        world.ask("clings/1", what)
        assert world.ask("other/1", "work") == 1
        world.restart()
        assert world.ask("other/1", "work") == 2
        assert world.field("lock/1", "got") is None
    finally:
        gc.enable()
