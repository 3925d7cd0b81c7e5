"""A message that waited in the journal is judged as one that was queued, and what it does is the same."""

import pytest
from world import World

from plexstream import Retry, actor, handler, host, init_handler, run_handler, state, state_map, workflow

RAN: list[int] = []
FAILS = [0]


@actor(retry=Retry(attempts=3, interval=1, jitter=0))
class Kid:
    n: int = state(default=0)
    log: list = state(default_factory=list)

    @handler()
    async def wait(self, name: str = "p"):
        await host.promise(name)
        self.log = [*self.log, name]
        return self.n

    @handler()
    def add(self, x: int):
        if FAILS[0]:
            FAILS[0] -= 1
            raise RuntimeError("not yet")
        self.n += x
        return self.n

    @handler()
    def remind(self, every: float):
        host.remind("beat", "beat", every=every)

    @handler()
    def no_more(self):
        host.forget("beat")

    @handler()
    def beat(self):
        self.log = [*self.log, "beat"]

    @handler("__stop__")
    def stopping(self, reason: str):
        self.log = [*self.log, reason]
        host.exit(reason)


@actor
class Boss:
    heard: list = state(default_factory=list)

    @handler()
    def start(self):
        host.spawn("kid", "1", {})

    @handler()
    def stop(self):
        host.stop("kid/1")

    @handler()
    def watch(self):
        host.monitor("kid/1")

    @handler("__down__")
    def down(self, address: str, ref: str, reason: str):
        self.heard = [*self.heard, reason]


@workflow
class Flow:
    n: int = state(default=0)

    @run_handler
    async def run(self, i: int = 0):
        await host.run("note", RAN.append, i)
        await host.promise(f"go{i}")
        if i < 2:
            host.continue_as_new(i=i + 1)
        return f"done {i}"


@pytest.fixture
def world():
    RAN.clear()
    FAILS[0] = 0
    return World(Kid, Boss, Flow)


HOW = pytest.mark.parametrize("how", ["queued", "parked", "parked, then a crash"])


def wait_behind(world, how):
    if how != "queued":
        world.run(1_100)
        world.run(6_000)
    if "crash" in how:
        world.restart()
    world.run()


def free(world, name="p", to="kid/1"):
    world.ask(to, "$promise", name=name, value=1)
    world.run()


@HOW
@pytest.mark.parametrize(("what", "arguments", "code"), [
    ("typo", {}, "unknown_handler"), ("add", {"x": "text"}, "bad_arguments"), ("add", {}, "bad_arguments"),
])  # fmt: skip
def test_a_bad_call_gets_its_error_and_sticks_nobody(world, how, what, arguments, code):
    world.tell("kid/1", "wait")
    bad = world.tell("kid/1", what, _kind=1, **arguments)
    good = world.start("kid/1", "add", x=1)
    wait_behind(world, how)
    free(world)
    assert world.replies[bad] == code
    assert world.replies[good] == 1
    assert world.waiting() == []


@HOW
def test_the_life_of_its_actor_has_ended(world, how):
    world.ask("boss/1", "start")
    world.tell("kid/1", "wait")
    late = world.start("kid/1", "add", x=1)
    wait_behind(world, how)
    world.tell("kid/1", "$kill")
    world.run()
    world.run(1_000)
    assert world.life("kid/1").stopped
    assert world.replies[late] == "stopped"


@HOW
def test_a_stop_and_a_monitor_take_effect_after_what_was_before_them(world, how):
    world.ask("boss/1", "start")
    world.tell("kid/1", "wait")
    world.run()
    world.ask("boss/1", "watch")
    world.ask("boss/1", "stop")
    wait_behind(world, how)
    assert not world.life("kid/1").stopped
    free(world)
    assert world.field("kid/1", "log") == ["p", "shutdown"]
    assert world.life("kid/1").stopped
    assert world.field("boss/1", "heard") == ["shutdown"]


@HOW
def test_an_idempotency_key_that_was_answered_meanwhile(world, how):
    world.tell("kid/1", "wait")
    world.run()
    ids = [world.tell("kid/1", "add", _kind=1, _key="k", x=5) for _ in range(2)]
    world.run()
    wait_behind(world, how)
    free(world)
    assert [world.replies[id] for id in ids] == [5, 5]
    assert world.ask("kid/1", "add", x=1) == 6


@HOW
def test_one_that_fails_is_tried_again_and_the_others_wait_for_it(world, how):
    FAILS[0] = 1
    world.tell("kid/1", "wait")
    world.tell("kid/1", "add", x=1)
    last = world.start("kid/1", "add", x=10)
    wait_behind(world, how)
    free(world)
    assert last not in world.replies
    world.run(1_000)
    assert world.replies[last] == 11


@HOW
def test_a_series_has_one_firing_pending(world, how):
    world.ask("kid/1", "remind", every=2.0)
    world.tell("kid/1", "wait")
    world.run()
    for _ in range(10):
        world.run(2_000)
    wait_behind(world, how)
    free(world)
    assert world.field("kid/1", "log") == ["p", "beat"]


@HOW
def test_a_timer_that_was_taken_back_while_it_waited(world, how):
    world.ask("kid/1", "remind", every=2.0)
    world.tell("kid/1", "wait")
    world.tell("kid/1", "no_more")
    world.run()
    world.run(3_000)
    wait_behind(world, how)
    free(world)
    for _ in range(5):
        world.run(10_000)
    assert world.field("kid/1", "log") == ["p"]
    assert world.put_aside() == []


@HOW
def test_a_run_that_is_asked_for_again_runs_once(world, how):
    first = world.start("flow/1", "run")
    again = world.start("flow/1", "run")
    wait_behind(world, how)
    for name in ("go0", "go1", "go2"):
        free(world, name, "flow/1")
        if "crash" in how:
            world.restart()
            world.run()
    assert RAN == [0, 1, 2]
    assert world.replies[first] == world.replies[again] == "done 2"
    assert world.waiting() == []


@HOW
def test_who_asks_back_along_the_chain_is_told(world, how):
    world.tell("kid/1", "wait")
    world.run()
    world.tell("kid/1", "wait", name="q")
    wait_behind(world, how)
    free(world)
    free(world, "q")
    assert world.field("kid/1", "log") == ["p", "q"]


# The init hook comes first


@actor
class Careful:
    begun: int = state(default=0)
    seen: list = state(default_factory=list)
    m: dict = state_map()

    @init_handler
    def init(self):
        self.begun += 1

    @handler()
    async def fails(self):
        await host.sleep(1)
        raise RuntimeError("no")

    @handler()
    async def works(self):
        await host.sleep(1)
        self.seen = [*self.seen, "works"]

    @handler()
    def add(self):
        self.seen = [*self.seen, "add"]
        return self.begun


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("before", [
    ["fails"], ["fails", "fails"], ["works"], ["$promise"], ["$promise", "fails"], ["fails", "works"],
])  # fmt: skip
def test_the_init_hook_runs_first_whatever_was_before_it(before, crash):
    world = World(Careful)
    for what in before:
        if what == "$promise":
            world.ask("careful/1", what, name="p", value=1)
        else:
            world.start("careful/1", what)
            if crash:
                world.restart()
            world.run(1_000)
    if crash:
        world.restart()
    assert world.ask("careful/1", "add") == 1
    world.restart()
    assert world.ask("careful/1", "add") == 1
