"""Handlers that waited beside others are executed again with what they saw."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "hosts"))
sys.path.append(str(Path(__file__).parent))

from test_again import again
from world import World

from plexstream import actor, handler, host, run_handler, signal_handler, state, state_map, workflow
from plexstream.cli.views.journal_text import text_of


def variant(**new):
    """Classes that do what they always did, but for what `new` says."""
    told = {"promise": "open", "result": "went", "reads": "a", "says": 0, **new}

    @actor(name="gate")
    class Gate:
        n: int = state(default=0)
        rows: dict[str, int] = state_map()

        @handler()
        async def enter(self):
            self.n += 1
            return await host.promise("open")

        @handler()
        def add(self):
            self.n += 10
            self.rows[f"r{self.n}"] = self.n
            self.rows["a"] = self.n

        @handler(shared=True)
        async def opens(self, after: float):
            before = self.n
            await host.sleep(after)
            found = [before, self.n, self.rows.get(told["reads"]), len(self.rows) if told["says"] else 0]
            host.emit("out", found)
            await host.sleep(after)
            host.promise(told["promise"]).resolve(sorted(self.rows))
            return [told["result"], *found]

    @workflow(name="flow")
    class Flow:
        status: str = state(default="new")

        @run_handler
        async def run(self):
            self.status = "waits"
            await host.promise("go")
            self.status = "went"

        @signal_handler()
        async def later(self):
            before = self.status
            await host.sleep(1)
            host.promise("go").resolve(before)
            await host.sleep(1)
            return [before, self.status]

        @signal_handler()
        async def seen(self):
            before = self.status
            host.emit("out", told["result"])
            await host.sleep(1)
            host.promise("seen").resolve(1)
            return [before, self.status]

    return Gate, Flow


def played(crash_every=0):
    world = World(*variant(), crash_every=crash_every)
    world.tell("gate/1", "add")
    world.run()
    world.start("gate/1", "opens", after=5)
    world.tell("gate/1", "add")
    world.run(5_000)
    world.tell("gate/1", "add")
    world.run()
    entered = world.start("gate/1", "enter")
    world.run(5_000)
    assert world.replies[entered] == ["a", "r10", "r20", "r30"]
    world.start("flow/1", "run")
    signal = world.start("flow/1", "later")
    for _ in range(3):
        world.run(1_000)
    assert world.replies[signal] == ["waits", "went"]
    world.start("flow/2", "run")
    ended = world.start("flow/2", "seen")
    world.run(1_000)
    assert world.replies[ended] == ["waits", "waits"], "before the run"
    world.start("gate/1", "opens", after=3600)
    world.tell("gate/1", "add")
    world.run()
    return world


@pytest.mark.parametrize("crash_every", [0, 1, 2, 3])
def test_the_same_code_does_the_same(crash_every):
    report = again(played(crash_every), *variant())
    assert report.first is None
    assert (report.waited, report.waiting) == (5, 2)


def test_a_signal_that_ends_within_a_run_is_compared():
    report = again(played(), variant()[0], variant(result="stood")[1])
    assert report.first is not None
    assert report.first.handler == "seen"
    assert "is recorded as emit out" in "; ".join(report.first.what)


@pytest.mark.parametrize(
    ("new", "what"),
    [
        ({"promise": "other"}, "@promise[open]: recorded"),
        ({"result": "stood"}, "stood"),
        ({"reads": "b"}, "it now reads rows[b], which it did not when this was recorded"),
        ({"says": 1}, "it now reads all of rows, which it did not when this was recorded"),
    ],
)
def test_a_difference_is_found(new, what):
    report = again(played(), *variant(**new))
    assert report.first is not None
    assert report.first.handler in ("opens", "seen")
    assert what in "; ".join(report.first.what)


def test_the_journal_says_what_it_saw():
    world = played()
    told = "\n".join(text_of(step) for step in world.steps("opens"))
    assert "saw n" in told
    assert "rows[a]" in told
