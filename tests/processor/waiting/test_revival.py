"""Whoever has its answer goes on, after any number of crashes; and who kills nobody is no poison."""

import pytest
from world import World

from plexstream import Retry, actor, handler, host, on_activate, state
from plexstream.model.messages.message import REPLY
from plexstream.processor.waiting import limits

AWAY = [False]


@actor
class Asker:
    seen: list = state(default_factory=list)

    @on_activate
    def load(self):
        if AWAY[0]:
            raise RuntimeError("the database is away")

    @handler()
    async def ask(self, timeout: float = 3600.0):
        got = await host.ask("slow/1", "answer", timeout=timeout)
        return [got, await host.run("effect", str, "done")]

    @handler()
    def blocks(self, timeout: float = 3600.0):
        got = host.ask("slow/1", "answer", timeout=timeout)
        return [got, host.run("effect", str, "done")]

    @handler()
    async def nap(self):
        await host.sleep(2)
        return "up"

    @handler()
    async def both(self):
        return await host.all(host.start.ask("slow/1", "answer"), host.start.ask("slow/2", "answer"))

    @handler()
    async def effect(self):
        await host.run("first", str)
        return await host.run("second", str, "two")


@actor
class Slow:
    @handler()
    async def answer(self):
        return await host.promise("open")


@pytest.fixture
def world():
    AWAY[0] = False
    return World(Asker, Slow)


def note_without_going_on(world):
    """What comes is on the log, and the process ends before the handler has gone on with it."""
    p = world.p
    while p.position < len(world.mailbox):
        p.receive([(p.position, world.mailbox[p.position])], world.now)
    while (records := p.take()) is not None:
        world.journal += records
        p.acknowledged(len(world.journal) - 1)
    world.restart()


@pytest.mark.parametrize("how", ["ask", "blocks"])
@pytest.mark.parametrize("crashes", [1, 2, 5])
def test_an_answer_beside_a_timeout_wakes_its_handler_after_crashes(world, how, crashes):
    id = world.start("asker/1", how)
    world.restart()
    world.run()
    world.ask("slow/1", "$promise", name="open", value="open")
    for _ in range(crashes):
        world.restart()
    world.run()
    assert world.replies[id] == ["open", "done"]


@pytest.mark.parametrize("how", ["ask", "blocks"])
def test_an_answer_that_was_only_noted(world, how):
    id = world.start("asker/1", how)
    world.restart()
    world.tell("slow/1", "$promise", name="open", value="open")
    while not any(e.kind == REPLY for e in world.mailbox):
        world._step()
    assert world.mailbox[world.p.position :], "the reply is not read yet"
    world.restart()
    note_without_going_on(world)
    note_without_going_on(world)
    world.run()
    assert world.replies[id] == ["open", "done"]


def test_one_of_two_answers_before_each_crash(world):
    id = world.start("asker/1", "both")
    for name in ("slow/2", "slow/1"):
        world.restart()
        world.tell(name, "$promise", name="open", value=name)
        note_without_going_on(world)
        world.run()
    assert world.replies[id] == ["slow/1", "slow/2"]


@pytest.mark.parametrize("how", ["ask", "nap"])
def test_an_answer_is_kept_while_its_actor_cannot_be_loaded(world, how):
    id = world.start("asker/1", how)
    AWAY[0] = True
    world.restart()
    world.run()
    if how == "ask":
        world.ask("slow/1", "$promise", name="open", value="open")
    world.run(3_000)
    world.run(3_000)
    AWAY[0] = False
    for _ in range(3):
        world.run(20_000)
    assert world.replies[id] == (["open", "done"] if how == "ask" else "up")


@pytest.mark.parametrize("crashes", [3, 9])
def test_a_handler_that_only_runs_again_is_no_poison(world, crashes):
    world.hold_effects = True
    id = world.start("asker/1", "effect")
    world.run(2_000)  # the effect is announced
    for _ in range(crashes):
        world.restart()
        world.run()
        world.run(100)
    world.hold_effects = False
    world.restart()
    world.run()
    assert world.replies[id] == "two"
    assert world.put_aside() == []


def test_a_stop_that_waits_for_a_handler_is_no_poison(world):
    id = world.start("asker/1", "nap")
    world.tell("asker/1", "$stop", reason="enough")
    world.run()
    for _ in range(5):
        world.restart()
        world.run()
    world.run(3_000)
    assert world.replies[id] == "up"
    assert world.put_aside() == []
    late = world.start("asker/1", "nap")
    world.run()
    assert world.replies[late] == "stopped"


def test_who_leaves_no_turn_and_kills_nobody_is_no_poison():
    world = World(Errand)
    world.restart()
    world.restart()  # from now on with care
    world.tell("errand/1", "look")
    world.run()
    for _ in range(4):
        world.restart()
        world.run()
    assert world.put_aside() == []


RUNS = [0]


def fails_once():
    RUNS[0] += 1
    if RUNS[0] == 1:
        raise OSError("not yet")
    return "done"


@actor(name="errand")
class Errand:
    @handler()
    async def go(self):
        return await host.run("fails once", fails_once, retry=Retry(attempts=3, interval=0.2, jitter=0))

    @handler(read_only=True)
    def look(self):
        return 1

    @handler()
    async def nap(self):
        await host.sleep(9)

    @handler()
    async def ask(self):
        return await host.ask("slow/1", "answer")


def test_what_comes_while_a_handler_is_about_to_run_again_is_not_missed():
    RUNS[0] = 0
    world = World(Errand)
    id = world.start("errand/1", "go")
    world.tell("errand/1", "$pause")
    world.run()
    world.tell("errand/1", "$resume")
    world.run(300)  # the effect ends between the record of that and the run
    world.run(1000)
    assert world.replies[id] == "done"


def test_an_answer_finds_a_handler_that_was_restarted_before_it_began(monkeypatch):
    monkeypatch.setattr(limits, "PARK_AFTER", 1000)
    world = World(Errand, Slow)
    world.start("errand/1", "nap")
    id = world.start("errand/1", "ask")
    world.run(1100)
    assert world.ask("errand/1", "$restart", invocation=2, **{"from": 0})["invocation"] == 2  # it is parked
    world.run(9000)
    world.restart()
    world.run()
    world.ask("slow/1", "$promise", name="open", value="yes")
    assert world.replies[id] == "yes"
