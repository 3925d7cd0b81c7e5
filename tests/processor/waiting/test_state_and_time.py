"""A handler goes on from the state as it is, at the time that it is, whatever lies between."""

import pytest
from world import World

from plexstream import (
    Retry,
    actor,
    handler,
    host,
    query_handler,
    run_handler,
    signal_handler,
    state,
    state_list,
    workflow,
)

FAILS = {"first": 0, "later": 0, "signal": 0}


def failing(what):
    if FAILS[what]:
        FAILS[what] -= 1
        raise RuntimeError("the service is away")


@workflow(retry=Retry(attempts=5, interval=60, jitter=0))
class Flow:
    n: int = state(default=0)
    times: list = state(default_factory=list)
    items: list = state_list()

    @run_handler
    async def run(self):
        failing("first")
        self.n += 1
        self.items.append("begun")
        await host.promise("go")
        failing("later")
        self.n += 1
        self.items.append("went on")
        host.tell("sink/1", "put", what="paid")
        host.emit("out", 1)
        self.times = [host.now()]
        await host.promise("end")
        return self.n

    @signal_handler()
    def add(self, x: int):
        failing("signal")
        self.n += x
        self.items.append(x)
        return self.n

    @query_handler()
    def look(self):
        return [self.n, list(self.items)]


@actor
class Sink:
    got: list = state(default_factory=list)

    @handler()
    def put(self, what: str):
        self.got = [*self.got, what]


@actor(retry=Retry(attempts=5, interval=60, jitter=0))
class Timed:
    out: list = state(default_factory=list)

    @handler()
    async def steps(self):
        await host.run("a", str)
        failing("later")
        now = host.now()
        got = await host.ask("timed/other", "answer", timeout=10)
        self.out = [now, got]
        return self.out

    @handler()
    async def first(self):
        failing("first")
        now = host.now()
        got = await host.ask("timed/other", "answer", timeout=10)
        self.out = [now, got]

    @handler()
    async def asks(self):
        await host.promise("p")
        return await host.ask("timed/other", "answer", timeout=10)

    @handler()
    async def answer(self):
        await host.sleep(1)
        return "answer"


@pytest.fixture
def world():
    FAILS.update(first=0, later=0, signal=0)
    return World(Flow, Sink, Timed)


def pass_time(world, seconds):
    for _ in range(seconds):
        world.run(1_000)


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("how", ["plain", "first", "later", "pause", "asleep"])
def test_no_update_is_lost_between_an_answer_and_the_run(world, how, crash):
    if how in FAILS:
        FAILS[how] = 1
    world.tell("flow/1", "run")
    world.run()
    if how == "first":
        world.ask("flow/1", "add", x=5)
        pass_time(world, 60)
    if how == "pause":
        world.ask("flow/1", "$pause")
    if how == "asleep":
        world.restart()
    world.ask("flow/1", "$promise", name="go", value=1)
    for x in (10, 20):
        world.ask("flow/1", "add", x=x)
        if crash:
            world.restart()
    if how == "pause":
        world.ask("flow/1", "$resume")
    pass_time(world, 61)
    n, items = world.ask("flow/1", "look")
    assert n == (37 if how == "first" else 32)
    assert sorted(map(str, items)) == sorted(
        ["begun", "went on", "10", "20", *(["5"] if how == "first" else [])]
    )
    world.restart()
    world.run()
    assert world.ask("flow/1", "look") == [n, items]
    world.ask("flow/1", "$promise", name="end", value=1)
    assert world.ask("flow/1", "run") == n
    assert world.field("sink/1", "got") == ["paid"]


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("at", [None, 0, 1])
def test_what_lies_behind_known_answers_leaves_once(world, at, crash):
    FAILS["later"] = 1
    world.tell("flow/1", "run")
    world.run()
    world.ask("flow/1", "$promise", name="go", value=1)
    if at is not None:
        world.ask("flow/1", "$restart", **{"from": at})
    if crash:
        world.restart()
    pass_time(world, 61)
    world.ask("flow/1", "$promise", name="end", value=1)
    world.run()
    assert world.waiting() == []
    assert world.field("sink/1", "got") == ["paid"]
    emits = sum(o.kind == 4 for r in [*world.turns(), *world.steps()] for o in r.outs)
    assert emits == 1


def test_a_cancel_before_a_restart_is_forgotten(world):
    id = world.start("timed/1", "asks")
    world.ask("timed/1", "$pause")
    world.ask("timed/1", "$cancel")
    world.ask("timed/1", "$restart", **{"from": 0})
    world.ask("timed/1", "$promise", name="p", value=1)
    pass_time(world, 2)
    assert world.replies[id] == "answer"


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("what", "where"), [("steps", "later"), ("first", "first")])
def test_time_goes_on_over_a_backoff_and_no_timeout_is_early(world, what, where, crash):
    FAILS[where] = 1
    world.tell("timed/1", what)
    world.run()
    began = world.now
    world.run(60_000)
    if crash:
        world.restart()
    pass_time(world, 5)
    now, got = world.field("timed/1", "out")
    assert now >= began + 60_000
    assert got == "answer"


@pytest.mark.parametrize("how", ["pause", "outage"])
def test_time_goes_on_over_pauses_and_outages(world, how):
    id = world.start("timed/1", "asks")
    world.ask("timed/1", "$pause")
    world.ask("timed/1", "$promise", name="p", value=1)
    world.run(60_000)
    if how == "outage":
        world.restart()
    world.ask("timed/1", "$resume")
    pass_time(world, 5)
    assert world.replies[id] == "answer"


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("fails", [1, 2])
def test_a_signal_that_fails_is_tried_again_while_the_run_waits(world, fails, crash):
    FAILS["signal"] = fails
    world.tell("flow/1", "run")
    world.run()
    world.tell("flow/1", "add", x=7)
    world.run()
    if crash:
        world.restart()
    pass_time(world, 200)
    assert world.ask("flow/1", "look") == [8, ["begun", 7]]
    world.restart()
    world.run()
    world.ask("flow/1", "$promise", name="go", value=1)
    world.restart()
    world.run()
    assert world.ask("flow/1", "look") == [9, ["begun", 7, "went on"]]
    assert world.put_aside() == []
    assert [h for h, _ in world.waiting()] == ["run"]


def test_a_signal_that_fails_for_good_is_put_aside(world):
    FAILS["signal"] = 99
    world.tell("flow/1", "run")
    world.tell("flow/1", "add", x=7)
    pass_time(world, 300)
    assert world.put_aside() == [("add", "failed")]
    assert [h for h, _ in world.waiting()] == ["run"]
