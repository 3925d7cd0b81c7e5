"""Hooks may wait, and survive it; what ends a life takes back nobody's sleeps."""

import pytest
from world import World

from plexstream import actor, handler, host, init_handler, service, state

FAILS = [False]


@actor
class Kid:
    log: list = state(default_factory=list)
    begun: int = state(default=0)

    @init_handler
    def init(self, config: dict):
        host.sleep(1)
        if FAILS[0]:
            raise RuntimeError("cannot begin")
        self.begun += 1

    @handler("__stop__")
    async def on_stop(self, reason: str):
        await host.sleep(1)
        self.log = [*self.log, reason]
        host.exit("done")

    @handler("__down__")
    async def on_down(self, address: str, ref: str, reason: str):
        await host.sleep(1)
        self.log = [*self.log, reason]

    @handler()
    async def watch(self, whom: str):
        host.monitor(whom)
        await host.sleep(1)
        host.monitor(whom)

    @handler()
    def add(self):
        self.log = [*self.log, "add"]
        return self.begun

    @handler(read_only=True)
    def look(self):
        return [self.begun, self.log]


@actor
class Boss:
    @handler()
    def start(self):
        host.spawn("kid", "1", {})

    @handler()
    def stop(self):
        host.stop("kid/1")

    @handler()
    def bye(self):
        host.exit("boom")


@actor
class Parent:
    heard: list = state(default_factory=list)

    @handler()
    def start(self):
        from plexstream.hosts.system.supervisor import _signal
        from plexstream.model.journal.life import START

        _signal("kid/1", START, {"args": {}, "parent": True, "restart": False, "resumes": False})

    @handler("__child__")
    def child(self, child: str, event: str, ref: str, reason: str):
        self.heard = [*self.heard, event]


@service
class Naps:
    @handler()
    async def nap(self):
        await host.sleep(10)
        return "up"

    @handler()
    def leave(self):
        host.exit("enough")

    @handler()
    def fail(self):
        raise RuntimeError("no")


CRASH = pytest.mark.parametrize("crash", [False, True])


@pytest.fixture
def world():
    FAILS[0] = False
    return World(Kid, Boss, Parent, Naps)


def crash_perhaps(world, crash):
    if crash:
        world.restart()
    world.run()


@CRASH
def test_a_start_whose_init_waits_ends_as_started(world, crash):
    world.ask("parent/1", "start")
    assert not world.field("parent/1", "heard")
    crash_perhaps(world, crash)
    world.run(1_000)
    assert world.field("parent/1", "heard") == ["started"]
    assert world.ask("kid/1", "look") == [1, []]
    world.restart()
    world.run()
    life = world.life("kid/1")
    assert (life.starts, life.stopped, bool(life.parent)) == (1, False, True)


@CRASH
def test_a_start_whose_init_waits_and_fails_ends_as_failed(world, crash):
    FAILS[0] = True
    world.ask("parent/1", "start")
    crash_perhaps(world, crash)
    world.run(1_000)
    assert world.field("parent/1", "heard") == ["exited"]
    assert world.life("kid/1").stopped
    assert world.ask("kid/1", "add") == "stopped"
    FAILS[0] = False
    world.ask("parent/1", "start")
    world.run(1_000)
    assert world.field("parent/1", "heard") == ["exited", "started"]
    assert world.ask("kid/1", "look") == [1, []]


@CRASH
def test_a_stop_hook_that_waits_ends_the_life(world, crash):
    world.ask("boss/1", "start")
    world.run(1_000)
    world.ask("boss/1", "stop")
    crash_perhaps(world, crash)
    world.run(1_000)
    assert world.field("kid/1", "log") == ["shutdown"]
    assert world.life("kid/1").reason == "done"
    assert world.waiting() == []


@CRASH
def test_a_down_hook_that_waits_forgets_whom_it_watched(world, crash):
    world.ask("boss/1", "start")
    world.run(1_000)
    world.tell("kid/1", "watch", whom="boss/2")
    world.run()
    crash_perhaps(world, crash)
    world.run(1_000)
    refs = {key for field, key in world.links("kid/1") if field == "$watching"}
    assert len(refs) == 2, "references are unique across waits"
    world.ask("boss/2", "bye")
    crash_perhaps(world, crash)
    for _ in range(3):
        world.run(1_000)
    assert world.field("kid/1", "log") == ["boom", "boom"]
    assert [link for link in world.links("kid/1") if link[0] == "$watching"] == []


@CRASH
@pytest.mark.parametrize("what", ["leave", "fail"])
def test_the_end_of_others_takes_back_no_sleep(world, what, crash):
    id = world.start("naps/1", "nap")
    world.tell("naps/1", what)
    crash_perhaps(world, crash)
    for _ in range(5):
        world.run(10_000)
    assert world.replies[id] == "up"


# Expiry


@actor(state_ttl=5.0)
class Brief:
    n: int = state(default=0)
    m: int = state(default=0)

    @handler()
    def add(self):
        self.n += 1
        self.m += 1
        return [self.n, self.m]

    @handler()
    def touch(self):
        self.n += 100
        return [self.n, self.m]

    @handler()
    async def waits(self):
        self.n += 1
        await host.sleep(1)
        return [self.n, self.m]

    @handler(read_only=True)
    def look(self):
        return [self.n, self.m]


@CRASH
@pytest.mark.parametrize("look", [False, True])
@pytest.mark.parametrize("first", ["$promise", "waits", "touch"])
def test_expired_state_never_comes_back(first, look, crash):
    world = World(Brief)
    for _ in range(3):
        world.ask("brief/1", "add")
    world.run(10_000)
    if look:
        assert world.ask("brief/1", "look") == [0, 0]
    id = world.start("brief/1", first, **({"name": "x", "value": 1} if first == "$promise" else {}))
    if look:
        assert world.ask("brief/1", "look")[1] == 0
    crash_perhaps(world, crash)
    world.run(1_000)
    if first != "$promise":
        assert world.replies[id] == ([1, 0] if first == "waits" else [100, 0])
    assert world.ask("brief/1", "add")[1] == 1
    world.restart()
    assert world.ask("brief/1", "look")[1] == 1


@CRASH
@pytest.mark.parametrize("what", ["waits", "add", "$promise"])
def test_a_life_does_not_expire_with_the_state(what, crash):
    @actor(name="starter")
    class Starter:
        @handler()
        def start(self):
            host.spawn("brief", "1", {})

    world = World(Brief, Starter)
    world.ask("starter/1", "start")
    world.run(10_000)
    world.start("brief/1", what, **({"name": "x", "value": 1} if what == "$promise" else {}))
    world.run(1_000)
    if crash:
        world.restart()
        world.run()
    assert world.life("brief/1") is not None
    assert world.life("brief/1").starts == 1
