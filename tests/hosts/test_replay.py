"""A handler that waits runs again from what is recorded: the same happens, or an error says what differs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from steps import PROMISE, SLEEP, VALUE, Run

from plexstream import actor, handler, host, state
from plexstream.model.errors import CallError
from plexstream.model.host import Result, Suspended

# Random programs

KEEP_GOING = ("run", "ask", "sleep", "awakeable", "promise")
AT_ONCE = ("tell", "emit", "note", "now", "random", "uuid", "peek", "resolve", "version")
TOGETHER = ("all", "any", "race", "select")


def begin(op, index):
    return {
        "run": lambda: host.start.run(f"step{index}", len, "abc"),
        "ask": lambda: host.start.ask("b/1", "get", n=index),
        "sleep": lambda: host.start.sleep(index + 1),
        "awakeable": lambda: host.start.awakeable(),
        "promise": lambda: host.promise(f"p{index % 2}").start(),
    }[op]()


def at_once(self, op, index):
    if op == "tell":
        return host.tell("b/2", "hear", n=index)
    if op == "emit":
        return host.emit("out", index)
    if op == "note":
        self.notes = [*self.notes, index]
        return None
    if op == "peek":
        return host.promise("p0").peek()
    if op == "resolve":
        return host.promise(f"p{index % 2}").resolve(index)
    if op == "version":
        return host.version(f"v{index}")
    return getattr(host, op)()


def interpret(self, ops):
    """Does what `ops` say; yields what is to be waited for, and returns all that it saw."""
    seen, handles = [], []
    for index, (op, timeout) in enumerate(ops):
        try:
            if op in AT_ONCE:
                seen.append(at_once(self, op, index))
            elif op in KEEP_GOING:
                handle = begin(op, index)
                if timeout is None:
                    handles.append(handle)
                else:
                    seen.append((yield handle))
            elif handles:
                combined, handles = handles[-3:], handles[:-3]
                if op == "select":
                    named = {f"h{i}": h for i, h in enumerate(combined)}
                    seen.append((yield host.start.select(timeout, **named)))
                else:
                    seen.append((yield getattr(host.start, op)(*combined, timeout=timeout)))
        except CallError as error:
            seen.append([error.code, str(error)])
        seen.append(host.now())
    return seen


@actor
class Any:
    notes: list = state(default_factory=list)

    @handler("later")
    async def later(self, ops: list):
        program = interpret(self, ops)
        try:
            waitable = next(program)
            while True:
                try:
                    value = await waitable
                except CallError as error:
                    waitable = program.throw(error)
                else:
                    waitable = program.send(value)
        except StopIteration as stop:
            return stop.value

    @handler("blocks")
    def blocks(self, ops: list):
        program = interpret(self, ops)
        try:
            waitable = next(program)
            while True:
                try:
                    value = waitable.wait()
                except CallError as error:
                    waitable = program.throw(error)
                else:
                    waitable = program.send(value)
        except StopIteration as stop:
            return stop.value


OP = st.tuples(st.sampled_from([*KEEP_GOING, *AT_ONCE, *TOGETHER]), st.one_of(st.none(), st.integers(0, 5)))


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(["later", "blocks"]), st.lists(OP, max_size=14), st.data())
def test_a_program_run_again_from_any_step_does_the_same(how, ops, data):
    run = Run(Any, how, ops=ops)
    while type(run.outcome) is Suspended:
        number = data.draw(st.sampled_from(sorted(run.open)))
        error = data.draw(st.sampled_from(["", "", "rejected"]))
        if run.open[number].kind == SLEEP:
            error = ""
        run.complete(number, number, error=error, ms=number + 1)
    result = run.outcome
    for cut in range(1, len(run.steps)):
        again, outcome = run.again(cut)
        commands, sent, changed = [], [], []
        rest = run.steps[cut:]
        while True:
            sent += outcome.outs
            changed += outcome.patch
            if type(outcome) is not Suspended:
                break
            commands += outcome.commands
            step, completion = next((s, c) for s in rest for c in s.completions if not _at_once(s, c))
            rest = _without(rest, completion)
            outcome = again.resume(outcome.task, completion, step.time)
        assert outcome == result._replace(patch=outcome.patch, outs=outcome.outs)
        assert changed == run.changed
        assert commands == [c for s in run.steps[cut:] for c in s.commands]
        assert sent == [o for s in run.steps[cut:] for o in s.outs]


def _at_once(step, completion):
    """Whether a command was done as it was asked for: nobody tells the handler of that."""
    return any(c.number == completion.number and c.kind in (VALUE, PROMISE) for c in step.commands)


def _without(steps, completion):
    return [s._replace(completions=[c for c in s.completions if c is not completion]) for s in steps]


# Code that changed


def variant(body):
    @actor(name="changes")
    class Changes:
        @handler("go")
        async def go(self):
            return await body()

    return Changes


def step(name):
    return host.run(name, str, name)


async def two():
    return [await step("a"), await step("b")]


async def renamed():
    return [await step("a"), await step("c")]


async def removed():
    return [await step("b")]


async def added():
    return [await step("a"), await step("new"), await step("b")]


async def reordered():
    return [await step("b"), await step("a")]


async def another_kind():
    await host.sleep(1)
    return [await step("b")]


async def ended():
    return [await step("a")]


async def waits_for_less():
    await step("a")
    await host.promise("never")


async def failed():
    await step("a")
    raise ValueError("no")


async def swallows():
    with_errors = []
    for name in ("a", "c"):
        try:
            with_errors.append(await step(name))
        except BaseException:
            with_errors.append(None)
    return with_errors


@pytest.mark.parametrize(("body", "recorded", "asked"), [
    (renamed, "run 'b'", "run 'c'"),
    (removed, "run 'a'", "run 'b'"),
    (added, "run 'b'", "run 'new'"),
    (reordered, "run 'a'", "run 'b'"),
    (another_kind, "run 'a'", "sleep"),
    (ended, "run 'b'", "ended"),
    (waits_for_less, "run 'b'", "promise 'never'"),
    (failed, "run 'b'", "failed"),
    (swallows, "run 'b'", "run 'c'"),
])  # fmt: skip
def test_code_that_does_not_fit_its_history_is_told_apart(body, recorded, asked):
    run = Run(variant(two), "go")
    run.complete(0, "a")
    run.complete(1, "b")
    assert run.value() == ["a", "b"]
    _, outcome = run.again(2, variant(body))  # both steps are asked for, "a" is done
    assert type(outcome) is Result
    assert outcome.code == "non_deterministic", outcome
    assert recorded in outcome.detail
    assert asked in outcome.detail
    assert "changes.go" in outcome.detail


async def guarded():
    if host.version("greet"):
        return [await step("new"), await step("b")]
    return await two()


def test_a_version_allows_a_change():
    old = Run(variant(two), "go")
    _, outcome = old.again(1, variant(guarded))
    assert type(outcome) is Suspended
    new = Run(variant(guarded), "go")
    assert [c.name for c in new.outcome.commands] == ["version greet", "new"]
    new.complete(1, "new")
    _, outcome = new.again(cls=variant(guarded))
    assert [c.name for c in outcome.task.commands.plan.recorded.values()] == ["version greet", "new", "b"]
