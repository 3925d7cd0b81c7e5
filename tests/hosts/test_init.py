"""The init hook runs once, before the first handler that takes effect, whoever reads before."""

import pytest
from world import World

from plexstream import actor, handler, host, init_handler, state
from plexstream.sdk.spec import Retry

FAILS = []


@actor(retry=Retry(attempts=9, interval=6.0, factor=1.0))
class Begun:
    log: list = state(default_factory=list)

    @init_handler
    def begin(self):
        self.log = ["begun"]

    @handler("add")
    def add(self, name: str):
        if FAILS:
            raise ConnectionError(name)
        self.log = [*self.log, name]

    @handler("read", read_only=True)
    def read(self):
        return self.log


@actor
class Asker:
    @handler("ask")
    async def ask(self, how: str):
        return await host.ask("begun/1", how)


@pytest.fixture
def world():
    FAILS.clear()
    return World(Begun, Asker)


@pytest.mark.parametrize("crash", [False, True])
def test_an_actor_that_was_read_by_another_before_is_begun_all_the_same(world, crash):
    id = world.start("asker/1", "ask", how="read")
    world.run(2000)
    assert world.replies[id] == []
    if crash:
        world.restart()
    world.tell("begun/1", "add", name="a")
    world.run()
    world.tell("begun/1", "add", name="b")
    world.run()
    assert world.field("begun/1", "log") == ["begun", "a", "b"]


@pytest.mark.parametrize("crash", [False, True])
def test_so_is_one_whose_first_message_is_tried_for_long(world, crash):
    FAILS.append(True)
    world.tell("begun/1", "add", name="a")
    world.tell("begun/1", "read", _kind=1)
    for _ in range(20):
        world.run(1000)
        if crash:
            world.restart()
    FAILS.clear()
    for _ in range(10):
        world.run(1000)
    assert world.field("begun/1", "log") == ["begun", "a"]
