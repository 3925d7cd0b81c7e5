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


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
def test_its_error_is_named_as_its_own(waits, is_async):
    @actor(name="bad")
    class Bad:
        n: int = state(default=0)

        @init_handler
        def begin(self):
            if waits:
                host.sleep(0.001)
            raise ValueError("no")

        if is_async:

            @handler
            async def go(self):
                await host.sleep(0)

        else:

            @handler
            def go(self):
                return 1

    @actor(name="good")
    class Good:
        n: int = state(default=0)

        @init_handler
        def begin(self):
            self.n = 1

        @handler
        def go(self):
            raise ValueError("no")

    @actor(name="boss")
    class Boss:
        @handler
        async def start(self, type: str):
            await host.spawn(type, "2", args={"n": "x"} if type == "plain" else {}, wait=True)

    @actor(name="plain")
    class Plain:
        n: int = state(default=0)

    world = World(Bad, Good, Boss, Plain)

    def detail(to, what, **arguments):
        id = world.start(to, what, **arguments)
        world.run(10)
        return world.errors[id]["detail"]

    assert detail("bad/1", "go") == "bad: the init hook begin, before go, raised ValueError: no"
    assert detail("good/1", "go") == "good.go raised ValueError: no"
    if not waits:
        assert "bad: the init hook begin raised ValueError: no" in detail("boss/1", "start", type="bad")
    assert "the start of plain raised BadState: plain.n" in detail("boss/1", "start", type="plain")
