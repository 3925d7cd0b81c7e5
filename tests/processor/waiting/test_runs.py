"""`continue_as_new`: each run has a history and promises of its own, and no signal between two is lost."""

from itertools import pairwise

import pytest
from world import World

from plexstream import host, query_handler, run_handler, signal_handler, state, workflow
from plexstream.model.journal.journal import Step

RAN: list[str] = []


def effect(i):
    RAN.append(i)
    return i


@workflow
class Loop:
    seen: list = state(default_factory=list)

    @run_handler
    async def run(self, i: int = 0):
        self.seen.append(await host.run("effect", effect, i))
        if i < 4:
            host.continue_as_new(i=i + 1)
        return self.seen


@workflow
class Sleeper:
    times: list = state(default_factory=list)

    @run_handler
    def run(self, i: int = 0):
        self.times.append(host.now())
        if i < 3:
            host.sleep(60)
            host.continue_as_new(i=i + 1)
        return self.times


@workflow
class Inbox:
    got: list = state(default_factory=list)

    @run_handler
    async def run(self, n: int = 0):
        if n < 40:
            host.continue_as_new(n=n + 1)
        return len(self.got)

    @signal_handler()
    def push(self, v: int):
        self.got.append(v)

    @query_handler()
    def look(self):
        return self.got


@workflow
class Promised:
    got: list = state(default_factory=list)

    @run_handler
    async def run(self):
        self.got.append(await host.promise("next"))
        if len(self.got) < 3:
            host.continue_as_new()
        return self.got

    @signal_handler()
    def push(self, v: str):
        host.promise("next").resolve(v)


@pytest.fixture
def world():
    RAN.clear()
    return World(Loop, Sleeper, Inbox, Promised)


@pytest.mark.parametrize("crash_every", [0, 1, 2, 3])
def test_each_run_does_its_own_steps(crash_every):
    RAN.clear()
    world = World(Loop, crash_every=crash_every)
    id = world.tell("loop/1", "run", _kind=1)
    world.run()
    world.run(1_000)
    assert world.replies[id] == [0, 1, 2, 3, 4]
    assert sorted(set(RAN)) == [0, 1, 2, 3, 4]
    if not crash_every:
        assert len(RAN) == 5


@pytest.mark.parametrize("between", ["", "crash", "pause"])
def test_each_run_waits_for_itself(world, between):
    id = world.start("sleeper/1", "run")
    for _ in range(3):
        if between == "crash":
            world.restart()
            world.run()
        if between == "pause":
            world.ask("sleeper/1", "$pause")
            world.ask("sleeper/1", "$resume")
        world.run(60_000)
    times = world.replies[id]
    assert [b - a for a, b in pairwise(times)] == [60_000] * 3


def test_signals_between_two_runs_are_kept(world):
    world.tell("inbox/1", "run")
    ids = []
    for i in range(30):
        ids.append(world.tell("inbox/1", "push", _kind=1, v=i))
        world._step()
    world.run(1_000)
    acknowledged = [i for i, id in enumerate(ids) if world.replies.get(id, "?") is None]
    assert len(acknowledged) > 10
    assert set(world.ask("inbox/1", "look")) >= set(acknowledged)
    seen = world.ask("inbox/1", "look")
    world.restart()
    world.run()
    assert world.ask("inbox/1", "look") == seen


@pytest.mark.parametrize("crash", [False, True])
def test_promises_end_with_their_run(world, crash):
    id = world.start("promised/1", "run")
    for v in "abc":
        assert world.ask("promised/1", "push", v=v) is None
        if crash:
            world.restart()
            world.run()
    assert world.replies[id] == ["a", "b", "c"]


@pytest.mark.parametrize(("what", "code"), [("$cancel", "cancelled"), ("$end", "killed")])
def test_a_run_that_goes_on_from_another_is_ended(world, what, code):
    id = world.start("promised/1", "run")
    world.ask("promised/1", "push", v="a")
    world.restart()
    world.ask("promised/1", what)
    assert world.replies[id] == code
    assert world.ask("promised/1", "run") == code


def test_a_run_that_goes_on_from_another_is_restarted_from_its_own_first_step(world):
    id = world.start("promised/1", "run")
    world.ask("promised/1", "push", v="a")
    world.ask("promised/1", "$restart", **{"from": 0})
    for v in "bc":
        world.restart()
        world.run()
        world.ask("promised/1", "push", v=v)
    assert world.replies[id] == ["a", "b", "c"]


@workflow(name="hasty")
class Hasty:
    @run_handler
    def run(self, i: int = 0) -> int:
        if i < 2:
            host.continue_as_new(i=i + 1)
        return i


def test_a_run_of_which_only_the_beginning_is_on_the_log_goes_on_as_new():
    world = World(Hasty)
    id = world.tell("hasty/1", "run", _kind=1)
    world.run()
    first = next(n for n, record in enumerate(world.journal) if type(record) is Step)
    del world.journal[first + 1 :]  # the process ended in between
    world.replies.clear()
    world.restart()
    world.run()
    assert world.replies[id] == 2
    assert world.waiting() == []
