"""A retry of a handler asks again what failed, and keeps what did not."""

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import (
    Retry,
    actor,
    handler,
    host,
    init_handler,
    query_handler,
    run_handler,
    state,
    workflow,
)

RETRY = Retry(attempts=4, interval=1, max_interval=1, jitter=0)
DONE = Counter()


@pytest.fixture(autouse=True)
def nothing_done():
    DONE.clear()


def effect(name, fails=0):
    DONE[name] += 1
    if DONE[name] <= fails:
        raise RuntimeError(f"{name} is away")
    return f"{name} {DONE[name]}"


def once(name, fails=0):
    return host.start.run(name, effect, name, fails, retry=Retry(attempts=1))


@actor(name="b")
class B:
    n: int = state(default=0)

    @handler()
    def fails(self, times: int, as_: str = "b") -> str:
        return effect(as_, times)

    @handler()
    async def waits_and_fails(self, times: int) -> str:
        await host.sleep(0.01)
        return effect("waited", times)

    @handler()
    async def slow(self) -> str:
        DONE["slow"] += 1
        await host.sleep(5 if DONE["slow"] == 1 else 0.1)
        return f"slow {DONE['slow']}"

    @handler()
    def told(self) -> None:
        self.n += 1


def asks(body):
    @actor(name="a", retry=RETRY)
    class A:
        @handler(retry=RETRY)
        async def go(self):
            return await body()

        @handler(retry=RETRY)
        def go_plain(self):
            return body_plain(body)

    return A


def body_plain(body):
    """The same body in a plain handler: what it awaits it waits for."""
    coroutine = body()
    try:
        waitable = coroutine.send(None)
        while True:
            try:
                value = waitable.wait()
            except Exception as error:
                waitable = coroutine.throw(error)
            else:
                waitable = coroutine.send(value)
    except StopIteration as stop:
        return stop.value


def run(body, *classes, crash=False, how="go"):
    world = World(asks(body), B, *classes)
    id = world.tell("a/1", how, _kind=1)
    world.run()
    for _ in range(40):
        if crash:
            world.restart()
        world.run(500)
    assert not world.waiting(), [i.stuck for f in world.p.invocations.live.values() for i in f.values()]
    return world, world.replies[id]


async def one_ask():
    first = await once("first")
    host.tell("b/1", "told")
    return [first, await host.start.ask("b/1", "fails", times=2)]


async def a_waiting_one():
    first = await once("first")
    return [first, await host.start.ask("b/1", "waits_and_fails", times=3)]


async def wrapped():
    try:
        return [await once("first"), await once("x", fails=2)]
    except Exception as error:
        raise ValueError("again, please") from error


async def handled_before():
    try:
        got = await once("x", fails=2)
    except Exception:
        got = "instead"
    return [got, await host.start.ask("b/1", "fails", times=2)]


async def several():
    one, two, three = once("one"), host.start.ask("b/1", "fails", times=2), once("three")
    return await host.start.all(one, two, three)


async def both_fail():
    one = host.start.ask("b/1", "fails", times=1, as_="one")
    two = host.start.ask("b/2", "fails", times=2, as_="two")
    return await host.start.all(one, two)


async def any_of():
    return await host.start.any(
        host.start.ask("b/1", "fails", times=2, as_="one"), host.start.ask("b/2", "fails", times=2, as_="two")
    )


async def cleans_up():
    try:
        return [await once("first"), await host.start.ask("b/1", "fails", times=2)]
    except Exception:
        host.tell("b/1", "told")
        await once("clean")
        raise


async def in_parallel():
    """The failure is there long before the handler looks at it."""
    asked = host.start.ask("b/1", "fails", times=2)
    await host.start.sleep(0.2)
    between = await once("between")
    return [between, await asked]


async def looks_first():
    asked = host.start.ask("b/1", "fails", times=2)
    await host.start.sleep(0.2)
    seen = asked.done()
    more = await once("after a look" if seen else "not there yet")
    return [more, await asked]


async def too_late():
    try:
        return await host.start.ask("b/1", "slow", timeout=1)
    except Exception as error:
        raise ValueError("too late") from error


async def own_error():
    got = await once("first")
    effect("own", fails=2)
    return got


@pytest.mark.parametrize("how", ["go", "go_plain"])
@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("body", "result", "done"), [
    (one_ask, ["first 1", "b 3"], {"first": 1, "b": 3}),
    (a_waiting_one, ["first 1", "waited 4"], {"first": 1, "waited": 4}),
    (wrapped, ["first 1", "x 3"], {"first": 1, "x": 3}),
    (handled_before, ["instead", "b 3"], {"x": 1, "b": 3}),
    (several, ["one 1", "b 3", "three 1"], {"one": 1, "b": 3, "three": 1}),
    (both_fail, ["one 2", "two 3"], {"one": 2, "two": 3}),
    (cleans_up, ["first 1", "b 3"], {"first": 1, "b": 3, "clean": 2}),
    (in_parallel, ["between 1", "b 3"], {"between": 1, "b": 3}),
    (looks_first, None, None),
    (own_error, "first 1", {"first": 1, "own": 3}),
], ids=lambda x: getattr(x, "__name__", ""))  # fmt: skip
def test_what_failed_is_asked_again_and_nothing_else(body, result, done, crash, how):
    _, value = run(body, crash=crash, how=how)
    if body is looks_first:
        assert value[1] == "b 3"
        return
    assert value == result
    assert crash or dict(DONE) == done  # an effect may run again where the process is lost


@pytest.mark.parametrize("crash", [False, True])
def test_any_of_several_that_all_failed(crash):
    _, value = run(any_of, crash=crash)
    assert value in ("one 3", "two 3")


@pytest.mark.parametrize("crash", [False, True])
def test_what_took_too_long_is_asked_again_and_has_its_time_again(crash):
    _, value = run(too_late, crash=crash)
    assert value == "slow 2" or value.startswith("slow")
    assert DONE["slow"] >= 2


@pytest.mark.parametrize("crash", [False, True])
def test_what_was_told_before_is_told_once(crash):
    world, _ = run(one_ask, crash=crash)
    assert world.field("b/1", "n") == 1


def test_without_attempts_left_the_last_error_is_told():
    async def always():
        await host.ask("b/1", "fails", times=100)

    _, value = run(always)
    assert value == "failed"
    assert DONE["b"] == 4


def test_an_answer_to_what_was_asked_before_counts_no_more():
    """The first question takes 5 s; the handler gives up after 1 s, and asks again."""
    world, _ = run(too_late)
    asks = [o for s in world.steps() for o in s.outs if o.handler == "slow"]
    assert len({o.id for o in asks}) == len(asks) >= 2


def test_the_attempt_says_what_is_asked_again():
    world, _ = run(one_ask)
    from plexstream.model.journal.attempt import Undone, undone_by

    told = [u for s in world.steps() for c in s.completions if (u := undone_by(c))]
    assert told == [Undone(2, 2, (1,)), Undone(2, 2, (1,))]


def test_a_cancel_before_the_failure_is_kept():
    async def goes_on():
        try:
            await host.promise("never")
        except Exception:
            host.emit("out", "cancelled")
        return await host.ask("b/1", "fails", times=2)

    world = World(asks(goes_on), B)
    id = world.start("a/1", "go")
    world.ask("a/1", "$cancel")
    for _ in range(5):
        world.restart()
        world.run(1000)
    assert world.replies[id] == "b 3"
    emitted = [o.payload for s in world.steps() for o in s.outs if o.target == "out"]
    assert emitted == [b'"cancelled"']


def test_a_hook_that_is_tried_again_asks_again():
    """Of a tell that begins an actor, whose init hook asks."""

    @actor(name="begins", retry=RETRY)
    class Begins:
        got: str = state(default="")

        @init_handler
        def begin(self):
            self.got = host.ask("b/1", "fails", times=2)

        @handler()
        def hear(self):
            pass

    world = World(Begins, B)
    world.tell("begins/1", "hear")
    for _ in range(5):
        world.run(1000)
    assert world.field("begins/1", "got") == "b 3"
    assert not world.put_aside()


@pytest.mark.parametrize("crash", [False, True])
def test_a_workflow_shows_the_state_of_where_it_goes_on(crash):
    @workflow(name="flow", retry=RETRY)
    class Flow:
        stage: str = state(default="new")
        seen: list = state(default_factory=list)

        @run_handler
        async def run(self):
            self.stage = "first"
            first = await once("first")
            self.seen.append(first)
            self.stage = "asks"
            try:
                got = await host.ask("b/1", "fails", times=2)
            except Exception:
                self.stage = "failed"
                self.seen.append("failed")
                await once("clean")
                raise
            self.seen.append(got)
            self.stage = "done"
            return self.seen

        @query_handler()
        def where(self):
            return [self.stage, self.seen]

    world = World(Flow, B)
    id = world.tell("flow/1", "run", _kind=0)
    world.run()
    assert world.ask("flow/1", "where") == ["failed", ["first 1", "failed"]]
    for _ in range(4):
        if crash:
            world.restart()
        world.run(1000)
    assert not world.waiting()
    assert world.ask("flow/1", "where") == ["done", ["first 1", "b 3"]]
    assert id


# Restarts from a step


@pytest.mark.parametrize("crash", [False, True])
def test_two_restarts_before_anything_is_recorded_forget_the_more(crash):
    async def asks_twice():
        first = await host.ask("b/1", "fails", times=0, as_="one")
        second = await host.ask("b/1", "fails", times=0, as_="two")
        await host.sleep(3)
        return [first, second]

    world = World(asks(asks_twice), B)
    id = world.start("a/1", "go")
    world.ask("a/1", "$pause")
    for at in (0, 1):
        world.tell("a/1", "$restart", **{"from": at})
    world.run()
    if crash:
        world.restart()
    for _ in range(3):
        world.run(3000)
    assert world.replies.get(id) == ["one 2", "two 2"]


@pytest.mark.parametrize("crash", [False, True])
def test_a_sleep_after_a_restart_takes_its_time(crash):
    async def sleeps():
        await host.sleep(10)
        return host.now()

    world = World(asks(sleeps), B)
    id = world.start("a/1", "go")
    world.run(9_000)
    world.ask("a/1", "$restart", **{"from": 0})
    if crash:
        world.restart()
        world.run()
    world.run(9_000)
    assert id not in world.replies, "it sleeps for 10 s from the restart on"
    world.run(1_000)
    assert world.replies[id] == 1_019_000


def test_what_a_restart_does_again_is_compared_as_well():
    """A crash after the restart meets the same code: nothing is stuck, nothing is sent twice."""

    async def tells():
        host.tell("b/1", "told")
        await once("first")
        host.tell("b/1", "told")
        await once("second")
        host.tell("b/1", "told")
        await host.sleep(3)
        return "done"

    world = World(asks(tells), B)
    id = world.start("a/1", "go")
    for at in (1, 2, 1):
        world.ask("a/1", "$restart", **{"from": at})
        world.restart()
        world.run()
    world.run(3000)
    world.run(3000)
    assert world.replies[id] == "done"
    assert world.field("b/1", "n") == 3 + 1 + 0 + 1
