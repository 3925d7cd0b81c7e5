"""A handler that waits runs again from a step that is named: what came after it has not been."""

import itertools
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import (
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
from plexstream.model.host import EffectResult

tokens = itertools.count(1)


def token() -> int:
    return next(tokens)


@actor(name="steps")
class Steps:
    told: int = state(default=0)

    @handler()
    async def go(self, other: str) -> list[object]:
        first = await host.run("first", token)
        host.tell("steps/told", "hear")
        second = await host.run("second", token)
        asked = await host.ask(other, "answer")
        woken = await host.awakeable()
        return [first, second, asked, woken]

    @handler()
    def plain(self, other: str) -> list[object]:
        first = host.run("first", token)
        host.tell("steps/told", "hear")
        second = host.run("second", token)
        asked = host.ask(other, "answer")
        woken = host.awakeable().wait()
        return [first, second, asked, woken]

    @handler()
    def answer(self) -> int:
        return token()

    @handler()
    def hear(self) -> None:
        self.told += 1

    @handler()
    def complete(self, id: str) -> None:
        host.resolve_awakeable(id, "awake")


@actor(name="slow")
class Slow:
    n: int = state(default=0)

    @handler()
    async def answer(self) -> int:
        self.n += 1
        await host.sleep(10)
        return self.n


@workflow(name="stages")
class Stages:
    stage: str = state(default="new")
    seen: list[str] = state(default_factory=list)

    @run_handler
    async def run(self) -> list[str]:
        for name in ("packed", "sent", "arrived"):
            await host.run(name, token)
            self.stage = name
            self.seen.append(name)
        await host.sleep(1000)
        return self.seen

    @query_handler()
    def where(self) -> list[object]:
        return [self.stage, self.seen]


def waiting(world, how):
    tokens_before = next(tokens)
    id = world.tell("steps/1", how, _kind=1, other="steps/2")
    world.run()
    return id, tokens_before


def finish(world, id):
    inv = next(iter(world.p.invocations.live["default/default/steps/1"].values()))
    command = max(inv.outstanding.values())
    from plexstream.model.messages.awakeable import make_id

    world.tell("steps/2", "complete", id=make_id(f"{inv.reference()}.{command.number}", command.name))
    world.run()
    return world.replies[id]


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("how", ["go", "plain"])
@pytest.mark.parametrize(("at", "same"), [(0, 0), (1, 1), (2, 2), (3, 3)])
def test_steps_before_it_keep_their_results(how, at, same, crash):
    world = World(Steps)
    id, base = waiting(world, how)
    assert world.ask("steps/1", "$restart", **{"from": at}) == {
        "address": "default/default/steps/1", "invocation": 1,
    }  # fmt: skip
    if crash:
        world.restart()
        world.run()
    result = finish(world, id)
    old, new = [base + 1, base + 2, base + 3], [base + 4, base + 5, base + 6]
    assert result[:same] == old[:same]
    assert result[same:3] == new[: 3 - same]
    assert result[3] == "awake"


def test_what_was_told_is_not_told_again_by_steps_that_stay():
    world = World(Steps)
    id, _ = waiting(world, "go")
    world.ask("steps/1", "$restart", **{"from": 2})
    finish(world, id)
    assert world.field("steps/told", "told") == 1


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("how", ["go", "plain"])
def test_an_answer_to_what_was_asked_before_is_none_to_what_is_asked_again(how, crash):
    world = World(Steps, Slow)
    id = world.tell("steps/1", how, _kind=1, other="slow/1")
    world.run()
    for _ in range(2):
        world.ask("steps/1", "$restart", **{"from": 2})
        if crash:
            world.restart()
            world.run()
    world.run(10_000)
    assert world.field("slow/1", "n") == 1, "an answer to what is forgotten has come"
    [inv] = world.p.invocations.live["default/default/steps/1"].values()
    assert list(inv.outstanding) == [2], "and it waits still"
    world.run(10_000)
    world.run(10_000)
    assert finish(world, id)[2] == 3


def test_effects_of_before_are_none_of_after():
    world = World(Steps)
    world.hold_effects = True
    id = world.tell("steps/1", "go", _kind=1, other="steps/2")
    world.run()
    [old] = world.p.invocations.effects
    world.p.invocations.effects.clear()
    world.ask("steps/1", "$restart", **{"from": 0})
    world.p.effect_done(old, EffectResult(False, b'"old"'), world.now)
    world.hold_effects = False
    world.run()
    assert finish(world, id)[0] != "old"


def test_a_workflow_shows_the_state_of_the_step():
    world = World(Stages)
    id = world.tell("stages/1", "run", _kind=1)
    world.run()
    assert world.ask("stages/1", "where") == ["arrived", ["packed", "sent", "arrived"]]
    world.hold_effects = True
    world.ask("stages/1", "$restart", **{"from": 1})
    assert world.ask("stages/1", "where") == ["packed", ["packed"]]
    world.restart()
    world.run()
    assert world.ask("stages/1", "where") == ["packed", ["packed"]]
    world.hold_effects = False
    world.restart()
    world.run()
    world.run(1_000_000)
    assert world.replies[id] == ["packed", "sent", "arrived"]


@pytest.mark.parametrize("wrong", [-1, "2", None, 1.5])
def test_a_step_that_is_none(wrong):
    world = World(Steps)
    waiting(world, "go")
    assert world.ask("steps/1", "$restart", **{"from": wrong}) == "bad_arguments"


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("how", ["go", "plain"])
@pytest.mark.parametrize("at", [4, 5, 1 << 40])
def test_a_step_beyond_the_last_one_is_refused_with_how_many_there_are(at, how, crash):
    world = World(Steps)
    id, base = waiting(world, how)
    if crash:
        world.restart()
        world.run()
    assert world.ask("steps/1", "$restart", **{"from": at}) == "bad_arguments"
    said = list(world.errors.values())[-1]["detail"]
    assert f"has no step {at}: it has 4 steps: restart it from one of 0 to 3" in said
    assert finish(world, id)[:3] == [base + 1, base + 2, base + 3], "nothing has happened to it"


@pytest.mark.parametrize("crash", [False, True])
def test_from_where_it_was_restarted_it_can_be_restarted_again(crash):
    world = World(Steps)
    id, base = waiting(world, "go")
    world.hold_effects = True
    for _ in range(2):
        assert world.ask("steps/1", "$restart", **{"from": 1})["invocation"] == 1
        if crash:
            world.restart()
            world.run()
    world.hold_effects = False
    world.restart()
    world.run()
    assert finish(world, id)[0] == base + 1


def test_who_has_no_steps_is_restarted_from_0_alone():
    world = World(Slow)
    world.tell("slow/1", "answer")
    world.tell("slow/1", "answer")
    world.run()
    world.run(6000)  # the second one is in the journal, and has not begun
    assert world.ask("slow/1", "$restart", invocation=2, **{"from": 1}) == "bad_arguments"
    assert "it has no steps yet" in list(world.errors.values())[-1]["detail"]
    assert world.ask("slow/1", "$restart", invocation=1, **{"from": 1}) == "bad_arguments"
    assert "it has 1 step: restart it from 0" in list(world.errors.values())[-1]["detail"]
    assert world.ask("slow/1", "$restart", invocation=2, **{"from": 0})["invocation"] == 2


@workflow(name="shelf")
class Shelf:
    items: list[str] = state_list()

    @run_handler
    async def run(self) -> list[str]:
        await host.run("first", token)
        await host.sleep(1)
        self.items.append("run")
        await host.promise("go on")
        return list(self.items)

    @signal_handler()
    def put(self) -> None:
        self.items.append("signal")


@pytest.mark.parametrize("crashes", [False, True])
def test_what_was_done_to_a_collection_before_a_restart_stays(crashes):
    world = World(Shelf)
    id = world.start("shelf/1", "run")
    world.run(1000)
    world.ask("shelf/1", "$restart", **{"from": 1})
    if crashes:
        world.restart()
    world.run(1000)
    world.ask("shelf/1", "$promise", name="go on", value=None)
    assert world.replies[id] == ["run", "run"]


@pytest.mark.parametrize("crashes", [False, True])
def test_what_is_done_again_to_a_collection_comes_on_top_of_what_it_has(crashes):
    world = World(Shelf)
    id = world.start("shelf/1", "run")
    world.run(1000)
    world.ask("shelf/1", "put")
    world.ask("shelf/1", "$restart", **{"from": 1})
    if crashes:
        world.restart()
    world.ask("shelf/1", "put")
    world.run(1000)
    world.ask("shelf/1", "$promise", name="go on", value=None)
    assert world.replies[id] == ["run", "signal", "signal", "run"]
