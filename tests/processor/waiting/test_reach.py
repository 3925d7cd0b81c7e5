"""The end of an invocation reaches down to what it waits for, and nobody can undo a kill by asking again."""

import pytest
from world import World

from plexstream import actor, handler, host, query_handler, run_handler, state, workflow
from plexstream.model.errors import CallError

RAN: list[str] = []


@actor
class Boss:
    seen: list = state(default_factory=list)

    @handler()
    async def asks(self, whom: str, what: str, detach: bool = False):
        return await host.ask(whom, what, detach=detach)

    @handler()
    def blocks(self, whom: str, what: str, detach: bool = False):
        return host.ask(whom, what, detach=detach)

    @handler()
    async def cleans(self, whom: str):
        limited = host.start.ask(whom, "work", timeout=50)
        nap = host.start.sleep(100)
        try:
            await host.promise("never")
        except CallError as error:
            self.seen = [*self.seen, error.code]
        for waitable in (limited, nap):
            try:
                await waitable
            except CallError as error:
                self.seen = [*self.seen, error.code]
        return "cleaned"

    @handler()
    async def effects(self):
        try:
            await host.run("first", RAN.append, "first")
        finally:
            self.seen = [*self.seen, "over"]


@actor
class Middle:
    @handler()
    async def work(self):
        return await host.ask("worker/1", "work")


@actor
class Worker:
    done: int = state(default=0)
    undone: int = state(default=0)

    @handler()
    async def work(self):
        try:
            await host.sleep(1_000)
        except CallError:
            self.undone += 1
            raise
        self.done += 1
        return "done"

    @handler(read_only=True)
    def look(self):
        return [self.done, self.undone]


@workflow
class Job:
    runs: int = state(default=0)

    @run_handler
    async def run(self):
        self.runs += 1
        return await host.promise("go")

    @query_handler()
    def look(self):
        return self.runs


@pytest.fixture
def world():
    RAN.clear()
    return World(Boss, Middle, Worker, Job)


def crash_perhaps(world, crash):
    if crash:
        world.restart()
    world.run()


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("how", ["asks", "blocks"])
@pytest.mark.parametrize(("what", "code"), [("$cancel", "cancelled"), ("$end", "killed")])
def test_those_who_were_asked_end_too_however_deep(world, what, code, how, crash):
    id = world.start("boss/1", how, whom="middle/1", what="work")
    crash_perhaps(world, crash)
    world.ask("boss/1", what)
    crash_perhaps(world, crash)
    assert world.waiting() == []
    assert world.replies[id] == code
    assert world.ask("worker/1", "look") == [0, 0]
    assert len(world.p.timers) == 0
    if what == "$cancel":  # the handler heard of it, and what it did was rolled back with its error
        told = [o for s in world.steps() for o in s.outs if o.handler == "$cancel"]
        assert [o.target for o in told] == ["default/default/middle/1", "default/default/worker/1"]


@pytest.mark.parametrize("what", ["$cancel", "$end"])
def test_what_is_detached_goes_on(world, what):
    world.start("boss/1", "asks", whom="worker/1", what="work", detach=True)
    world.ask("boss/1", what)
    world.run(1_000_000)
    assert world.ask("worker/1", "look") == [1, 0]


@pytest.mark.parametrize("parked", [False, True])
@pytest.mark.parametrize("what", ["$cancel", "$end"])
def test_a_message_that_has_not_begun_is_taken_back(world, what, parked):
    world.start("worker/1", "work")
    world.start("boss/1", "asks", whom="worker/1", what="work")
    if parked:
        world.run(6_000)
    world.ask("boss/1", what)
    world.run(1_000_000)
    world.run(1_000_000)
    assert world.ask("worker/1", "look") == [1, 0]
    assert world.waiting() == []


@pytest.mark.parametrize("crash", [False, True])
def test_who_cleans_up_gets_cancelled_for_what_it_waited_for_and_no_timeout(world, crash):
    id = world.start("boss/1", "cleans", whom="worker/1")
    world.ask("boss/1", "$cancel")
    crash_perhaps(world, crash)
    assert world.replies[id] == "cleaned"
    assert world.field("boss/1", "seen") == ["cancelled"] * 3
    assert len(world.p.timers) == 0


def test_an_effect_that_has_not_started_does_not_start(world):
    world.hold_effects = True
    id = world.start("boss/1", "effects")
    world.tell("boss/1", "$cancel")
    world.run()
    world.hold_effects = False
    world.run()
    assert RAN == []
    assert world.replies[id] == "cancelled"


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize(("what", "code"), [("$end", "killed"), ("$cancel", "cancelled")])
def test_the_result_of_a_run_that_was_ended_is_that_for_every_later_caller(world, what, code, paused, crash):
    first = world.start("job/1", "run")
    second = world.start("job/1", "run")
    if paused:
        world.ask("job/1", "$pause", invocation=1)
    world.ask("job/1", what, invocation=1)
    if paused and what == "$cancel":
        world.ask("job/1", "$resume", invocation=1)
    crash_perhaps(world, crash)
    assert world.replies[first] == code
    assert world.replies[second] == code
    assert world.ask("job/1", "run") == code
    assert world.ask("job/1", "look") == 1
