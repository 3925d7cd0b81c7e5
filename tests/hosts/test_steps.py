"""A handler that waits: what it waits for, in which order, and how it ends."""

import asyncio
import json
import logging

import pytest
from steps import ASK, SLEEP, Run, kinds

from plexstream import actor, handler, host, state
from plexstream.hosts.native.host import MAX_MESSAGE
from plexstream.hosts.native.waiting.asked import commands
from plexstream.model.host import Result, Suspended
from plexstream.model.journal.journal import Completion, OutKind

# What combinators give


def steps_of(name, run):
    return [c.name for s in run.steps for c in s.commands]


@actor
class Waits:
    n: int = state(default=0)

    async def _three(self):
        return [host.start.ask(f"b/{i}", "get") for i in range(3)]

    @handler("all")
    async def all(self):
        return await host.all(*await self._three())

    @handler("any")
    async def any(self):
        return await host.any(*await self._three())

    @handler("race")
    async def race(self):
        return await host.race(*await self._three())

    @handler("select")
    async def select(self):
        a, b, c = await self._three()
        return await host.select(a=a, b=b, c=c)

    @handler("late")
    async def late(self):
        return await host.ask("b/1", "get", timeout=5)

    @handler("all_late")
    def all_late(self):
        return host.all(host.start.ask("b/1", "get"), timeout=5)

    @handler("promised")
    async def promised(self, twice: str = ""):
        promise = host.promise("p")
        promise.resolve(1)
        if twice == "resolve":
            promise.resolve(2)
        elif twice == "reject":
            promise.reject("no")
        return [promise.peek(), await promise]

    @handler("same")
    def same(self):
        seen = [host.now(), host.random(), host.uuid()]
        host.sleep(1)
        seen += [host.now(), host.random(), host.uuid()]
        host.run("r", len, "abc")
        return [*seen, host.now(), host.random(), host.uuid()]

    @handler("foreign")
    async def foreign(self):
        await asyncio.sleep(0)

    @handler("foreign_later")
    async def foreign_later(self):
        await host.sleep(1)
        self.n = 7
        await asyncio.sleep(0)

    @handler("read", read_only=True)
    async def read(self):
        await host.sleep(1)

    @handler("read_blocks", read_only=True)
    def read_blocks(self):
        return host.ask("b/1", "get")

    @handler("large")
    def large(self, size: int):
        return len(host.run("large", lambda: "x" * size))

    @handler("odd")
    def odd(self):
        return host.run("odd", object)

    @handler("tells")
    async def tells(self):
        host.tell("b/1", "hear", n=1)
        await host.sleep(1)
        host.tell("b/1", "hear", n=2)
        self.n = 2
        return self.n

    @handler("many")
    async def many(self, n: int):
        for i in range(n):
            host.version(f"v{i}")
        await host.sleep(1)


def code(run):
    assert type(run.outcome) is Result
    return run.outcome.code


def test_all_gives_the_results_in_the_order_given_and_fails_with_the_first_error():
    run = Run(Waits, "all")
    assert kinds(run.outcome.commands) == [ASK] * 3
    run.complete(2, "c")
    run.complete(0, "a")
    run.complete(1, "b")
    assert run.value() == ["a", "b", "c"]
    run = Run(Waits, "all")
    run.complete(1, error="rejected")
    assert code(run) == "rejected"


def test_any_gives_the_first_success_or_the_last_error():
    run = Run(Waits, "any")
    run.complete(2, error="rejected")
    run.complete(1, "b")
    assert run.value() == "b"
    run = Run(Waits, "any")
    for number, error in ((2, "stopped"), (0, "rejected"), (1, "too_large")):
        run.complete(number, error=error)
    assert code(run) == "too_large"


def test_race_gives_the_first_that_is_done_be_it_an_error():
    run = Run(Waits, "race")
    run.complete(1, "b")
    assert run.value() == "b"
    run = Run(Waits, "race")
    run.complete(2, error="rejected")
    assert code(run) == "rejected"


def test_select_names_what_came_first():
    run = Run(Waits, "select")
    run.complete(1, 5)
    assert run.value() == ["b", 5]


@pytest.mark.parametrize("how", ["late", "all_late"])
def test_a_time_limit_is_a_sleep(how):
    run = Run(Waits, how)
    assert kinds(run.outcome.commands) == [ASK, SLEEP]
    assert run.outcome.commands[1].due == 1000 + 5000
    run.complete(1)
    assert code(run) == "timed_out"
    run = Run(Waits, how)
    run.complete(0, 3)
    assert run.value() in (3, [3])


def test_a_promise_gets_its_value_once():
    assert Run(Waits, "promised").value() == [1, 1]
    for twice in ("resolve", "reject"):
        assert code(Run(Waits, "promised", twice=twice)) == "already_done"


def test_time_and_chance_are_the_same_when_it_runs_again():
    run = Run(Waits, "same")
    run.complete(0)
    run.run_effects()
    first = run.value()
    assert first[0] < first[3] < first[6]
    assert len(set(map(str, first))) == 9
    for cut in range(1, len(run.steps)):
        again, outcome = run.again(cut)
        for step in run.steps[cut:]:
            for completion in step.completions:
                outcome = again.resume(outcome.task, completion, step.time)
        assert json.loads(outcome.value) == first


@pytest.mark.parametrize("how", ["foreign", "foreign_later"])
def test_waiting_on_asyncio_is_an_error_that_says_what_to_do(how):
    run = Run(Waits, how)
    if type(run.outcome) is Suspended:
        run.complete(0)
    assert code(run) == "failed"
    assert "host.run(name, async_function)" in run.outcome.detail
    assert run.changed == []


@pytest.mark.parametrize("how", ["read", "read_blocks"])
def test_a_read_only_handler_cannot_wait(how):
    run = Run(Waits, how)
    assert code(run) == "failed"
    assert "cannot wait" in run.outcome.detail


def test_the_result_of_a_step_has_a_limit():
    run = Run(Waits, "large", size=MAX_MESSAGE - 2)
    run.run_effects()
    assert run.value() == MAX_MESSAGE - 2
    run = Run(Waits, "large", size=MAX_MESSAGE)
    [effect] = run.effects.values()
    said = json.loads(effect.run(1, 0).value)
    assert said["code"] == "step_failed"
    assert str(MAX_MESSAGE) in said["detail"]
    run.run_effects()
    assert code(run) == "step_failed"
    run = Run(Waits, "odd")
    run.run_effects()
    assert code(run) == "step_failed"


def test_what_is_told_before_a_wait_leaves_once():
    run = Run(Waits, "tells")
    assert [json.loads(o.payload) for o in run.sent if o.kind == OutKind.TELL] == [{"n": 1}]
    again, outcome = run.again()
    assert outcome.outs == []
    outcome = again.resume(outcome.task, Completion(0, False, b"null"), 2000)
    assert [json.loads(o.payload) for o in outcome.outs] == [{"n": 2}]
    assert json.loads(outcome.value) == 2


def test_a_long_history_is_warned_of_and_then_ended(monkeypatch, caplog):
    monkeypatch.setattr(commands, "WARN_HISTORY", 3)
    monkeypatch.setattr(commands, "MAX_HISTORY", 6)
    with caplog.at_level(logging.WARNING, "plexstream.actor"):
        assert type(Run(Waits, "many", n=3).outcome) is Suspended
        assert "continue_as_new" in caplog.text
    run = Run(Waits, "many", n=6)
    assert code(run) == "history_too_long"


def test_cancelling_is_an_error_where_it_waits():
    run = Run(Waits, "all")
    run.cancel()
    assert code(run) == "cancelled"


# Handlers that do not let go


@actor
class Stubborn:
    n: int = state(default=0)

    @handler("swallow_first")
    def swallow_first(self):
        try:
            host.sleep(1)
        except BaseException:
            return "swallowed"
        return "slept"

    @handler("clings")
    async def clings(self):
        try:
            await host.sleep(1)
        except BaseException:
            await host.sleep(1)

    @handler("clings_blocking")
    def clings_blocking(self):
        try:
            host.sleep(1)
        except BaseException:
            host.sleep(1)

    @handler("waits")
    def waits(self):
        host.sleep(1)

    @handler("cleans")
    async def cleans(self):
        try:
            await host.sleep(1)
        finally:
            host.tell("b/1", "bye")
            self.n = 1
            await host.sleep(1)

    @handler("cleans_blocking")
    def cleans_blocking(self):
        try:
            host.sleep(1)
        finally:
            host.tell("b/1", "bye")
            self.n = 1
            host.sleep(1)

    @handler("raises")
    def raises(self):
        try:
            host.sleep(1)
        except BaseException:
            raise ValueError("on the way out") from None


def test_the_first_wait_of_a_plain_handler_cannot_be_swallowed():
    run = Run(Stubborn, "swallow_first")
    assert type(run.outcome) is Suspended
    run.complete(0)
    assert run.value() == "slept"


@pytest.mark.parametrize("how", [
    "clings", "clings_blocking", "waits", "cleans", "cleans_blocking", "raises"
])  # fmt: skip
def test_a_handler_that_is_dropped_cannot_do_anything(how):
    run = Run(Stubborn, how)
    task = run.outcome.task
    run.host.drop(task)
    assert task.turn.outs == []
    assert run.instance.changed() == []
    again, outcome = run.again()
    assert type(outcome) is Suspended
    again.drop(outcome.task)
