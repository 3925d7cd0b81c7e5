"""A handler that lets the error of a wait pass has failed: it is tried again, and supervisors hear of it."""

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import Child, Retry, Supervisor, actor, handler, host, state

RUNS = Counter()
LETS_PASS = [("effect", "step_failed"), ("time", "timed_out"), ("circle", "deadlock")]


@pytest.fixture(autouse=True)
def nothing_ran():
    RUNS.clear()


def effect(times):
    RUNS["effect"] += 1
    if RUNS["effect"] <= times:
        raise OSError("away")


async def lets_pass(how, times):
    if how == "effect":
        await host.run("effect", effect, times, retry=Retry(attempts=1))
    elif how == "time":
        await host.race(host.promise("given"), timeout=1)
    else:
        await host.ask(host.self_id(), "note")


@actor(name="worker", retry=Retry(attempts=3, interval=0.1))
class Worker:
    done: int = state(default=0)

    @handler()
    async def go(self, how: str, times: int = 99) -> None:
        self.done += 1
        await lets_pass(how, times)

    @handler()
    def note(self) -> None: ...

    @handler(shared=True)
    def give(self) -> None:
        host.promise("given").resolve()


@pytest.fixture(params=[False, True], ids=["", "crashes"])
def world(request):
    return World(Worker, crash_every=2 if request.param else 0)


def pass_time(world):
    for _ in range(20):
        world.run(1_000)


def test_a_tell_is_tried_again(world):
    world.tell("worker/1", "go", how="effect", times=2)
    pass_time(world)
    assert (world.field("worker/1", "done"), world.put_aside()) == (1, [])


def test_a_timeout_that_made_it_fail_begins_anew(world):
    world.tell("worker/1", "go", how="time")
    world.run()
    world.run(1_050)
    world.run(500)
    world.ask("worker/1", "give")
    pass_time(world)
    assert (world.field("worker/1", "done"), world.put_aside()) == (1, [])


@pytest.mark.parametrize(("how", "code"), LETS_PASS)
def test_after_its_last_attempt_it_is_put_aside(world, how, code):
    world.tell("worker/1", "go", how=how)
    pass_time(world)
    assert (world.field("worker/1", "done"), world.put_aside()) == (None, [("go", code)])
    assert RUNS["effect"] >= 3 or how != "effect"


@pytest.mark.parametrize(("how", "code"), LETS_PASS)
@pytest.mark.parametrize("told", [False, True])
def test_a_supervisor_hears_of_it(world, how, code, told):
    spec = Supervisor([Child("1", "worker")]).table()
    world.ask("supervisor/app", "configure", spec=spec)
    world.tell("worker/1", "go", _kind=0 if told else 1, how=how)
    pass_time(world)
    [child] = world.ask("supervisor/app", "which_children")
    assert child["starts"] == 2
    assert child["reason"].startswith(code)
