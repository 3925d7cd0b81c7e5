"""Stuck is a state: recorded, looked into, and ended by cancel, kill or the policy of the type."""

import pytest
from world import World

from plexstream import actor, handler, host, query_handler, run_handler, signal_handler, state, workflow
from plexstream.model.messages import idempotency
from plexstream.model.messages.address import full
from plexstream.sdk.errors import DeclarationError

CODE = ["first"]


def make(**options):
    @actor(name="fragile", **options)
    class Fragile:
        n: int = state(default=0)

        @handler()
        async def go(self):
            await host.run(CODE[0], str)
            self.n += 1
            await host.sleep(10)
            return self.n

        @handler()
        def add(self):
            self.n += 10
            return self.n

        @handler(read_only=True)
        def look(self):
            return self.n

    return Fragile


@workflow(name="flow")
class Flow:
    n: int = state(default=0)
    items: list = state(default_factory=list)

    @run_handler
    async def run(self):
        self.n += 1
        await host.run(CODE[0], str)
        self.n += 1
        await host.sleep(10)
        return self.n

    @signal_handler()
    def add(self):
        self.items = [*self.items, "signal"]

    @query_handler()
    def look(self):
        return [self.n, self.items]


@pytest.fixture(autouse=True)
def first_code():
    CODE[:] = ["first"]


def stuck(world):
    return [i.stuck for found in world.p.invocations.live.values() for i in found.values()]


def get_stuck(*classes, to="fragile/1", what="go"):
    world = World(*classes)
    id = world.start(to, what)
    CODE[:] = ["second"]
    world.restart()
    world.run(10_000)  # it is woken
    return world, id


@pytest.mark.parametrize("crash", [False, True])
def test_it_is_recorded_once_and_goes_on_once_the_code_fits(crash):
    world, id = get_stuck(make())
    for _ in range(3):
        world.run(10_000)
        if crash:
            world.restart()
            world.run()
    assert world.p.invocations.stuck == 1
    assert "first" in stuck(world)[0]
    assert sum(c.number == -6 for s in world.steps() for c in s.completions) == 1
    CODE[:] = ["first"]
    world.run(10_000)
    world.run(10_000)
    assert world.replies[id] == 1
    assert world.p.invocations.stuck == 0


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("what", "code"), [("$cancel", "cancelled"), ("$end", "killed")])
def test_cancel_and_kill_end_it(what, code, crash):
    world, id = get_stuck(make())
    behind = world.start("fragile/1", "add")
    if crash:
        world.restart()
    world.ask("fragile/1", what, invocation=1)
    assert world.replies[id] == code
    assert world.replies[behind] == 10
    assert world.waiting() == []


@pytest.mark.parametrize(("policy", "code"), [("fail", "non_deterministic"), ("kill", "killed")])
def test_a_type_says_that_it_ends(policy, code):
    world, id = get_stuck(make(on_stuck=policy))
    assert world.replies[id] == code
    assert world.waiting() == []
    assert world.ask("fragile/1", "add") == 10


def test_a_policy_that_there_is_not():
    with pytest.raises(DeclarationError, match="on_stuck='ignore'"):
        make(on_stuck="ignore")


def test_who_asks_for_its_outcome_is_told_both_sides():
    world = World(make())
    payload = b"{}"
    mark = idempotency.mark("k", payload)
    world.tell("fragile/1", "go", _key="k")
    world.run()
    CODE[:] = ["second"]
    world.restart()
    world.run(10_000)
    name = idempotency.name("go", mark)
    said = world.ask("fragile/1", "$result", name=name, digest=idempotency.digest_of(mark))
    assert said["status"] == "stuck"
    assert "'first'" in said["stuck"]
    assert "'second'" in said["stuck"]


@pytest.mark.parametrize("signal", [False, True])
def test_queries_of_a_stuck_workflow_answer_from_what_is_recorded(signal):
    world, id = get_stuck(Flow, to="flow/1", what="run")
    if signal:
        world.ask("flow/1", "add")
    seen = [2, ["signal"] if signal else []]
    assert world.ask("flow/1", "look") == seen
    world.run(10_000)
    assert world.ask("flow/1", "look") == seen
    world.restart()
    world.run()
    assert world.ask("flow/1", "look") == seen
    CODE[:] = ["first"]
    world.ask("flow/1", "$resume", invocation=1)
    world.run(20_000)
    assert world.replies[id] == 2
    assert world.ask("flow/1", "look") == seen


def test_reads_of_a_stuck_actor_see_the_state_before():
    world = World(make())
    world.ask("fragile/1", "add")
    world.start("fragile/1", "go")
    CODE[:] = ["second"]
    world.restart()
    world.run()
    assert world.ask("fragile/1", "look") == 10
    world.ask("fragile/1", "$end", invocation=2)
    assert world.ask("fragile/1", "add") == 20
    assert world.pieces.core(full("fragile/1")).fields["n"] == b"20"


@pytest.mark.parametrize("crash", [False, True])
def test_a_handler_that_is_cancelled_before_anybody_knows_that_it_is_stuck(crash):
    world = World(make())
    id = world.start("fragile/1", "go")
    CODE[:] = ["second"]
    world.restart()
    world.ask("fragile/1", "$cancel")
    if crash:
        world.restart()
        world.run()
    assert world.replies[id] == "cancelled"
