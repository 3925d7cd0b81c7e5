"""Sagas: what was done is undone, the latest first, also where a crash comes between any two steps."""

import json

import pytest

from plexstream import Reject, Retry, actor, handler, host
from plexstream.model.host import Suspended
from plexstream.model.journal.journal import WAITING, Begin, CommandKind, Completion, Control, Step

CANCEL = Completion(Control.CANCEL, True, b'{"code": "cancelled", "detail": "it was cancelled"}')
ONCE = Retry(attempts=1)


class World:
    """What the steps of a test do to the outside, and which of them cannot."""

    def __init__(self):
        self.did = []
        self.broken = set()

    def do(self, what):
        if what in self.broken:
            raise OSError(f"cannot {what}")
        self.did.append(what)


WORLD = World()


@pytest.fixture(autouse=True)
def world():
    WORLD.__init__()
    return WORLD


@actor(retry=ONCE)
class Trip:
    @handler("plain")
    def plain(self, limit=100):
        with host.saga() as saga:
            host.run("book flight", WORLD.do, "book flight")
            saga.add("cancel flight", WORLD.do, "cancel flight")
            host.ask("hotel/h", "book")
            saga.ask("hotel/h", "cancel")
            saga.add("cancel car", WORLD.do, "cancel car", retry=Retry(attempts=2, interval=0))
            host.run("book car", WORLD.do, "book car")
            if limit < 100:
                raise Reject("too expensive", {"limit": limit})
        return "booked"

    @handler("coroutine")
    async def coroutine(self, limit=100):
        async with host.saga() as saga:
            await host.run("book flight", WORLD.do, "book flight")
            saga.add("cancel flight", WORLD.do, "cancel flight")
            await host.ask("hotel/h", "book")
            saga.ask("hotel/h", "cancel")
            saga.add("cancel car", WORLD.do, "cancel car", retry=Retry(attempts=2, interval=0))
            await host.run("book car", WORLD.do, "book car")
            if limit < 100:
                raise Reject("too expensive", {"limit": limit})
        return "booked"

    @handler("by_hand")
    async def by_hand(self):
        saga = host.saga()
        saga.add("one", WORLD.do, "one")
        saga.add("two", WORLD.do, "two")
        return [await saga.undo(), await saga.undo()]

    @handler("with_in_async")
    async def with_in_async(self):
        with host.saga():
            pass

    @handler("no_function")
    def no_function(self):
        host.saga().add("undo", "undo")


def drive(tester, name, crash=False, cancel_at=None, **arguments):
    """Run a handler to its end, completing what it asks for in order; `crash`: it begins anew each time."""
    t = tester(Trip)
    payload = json.dumps(arguments).encode()
    begin = Begin(1, "m", name, payload, "", "edge", "", 1000, "", None)
    outcome = t.host.invoke(t.instance, name, payload, 1, 1000, "", "m", False)
    history, commands, effects, completions = [], {}, {}, []
    while type(outcome) is Suspended:
        history.append(step(len(history), outcome.commands, completions, outcome.outs))
        commands.update({c.number: c for c in outcome.commands})
        effects.update(outcome.effects)
        number = max(commands)
        completions = [CANCEL if number == cancel_at else complete(commands[number], effects.get(number))]
        if number == cancel_at:
            cancel_at = None
        if crash:
            t.load()
            outcome = t.host.replay(t.instance, begin, 1, history)
            assert not outcome.commands, "all of them are recorded"
            effects.update(outcome.effects)
        outcome = t.host.resume(outcome.task, completions[0], 1000)
    return outcome


def step(number, commands, completions, outs):
    return Step(
        0, "a", 1, "", 0, 1000, WAITING, False, "", (), "", "", "", 0, "", 0, 0, outs, 1, number, 0, None,
        commands, completions,
    )  # fmt: skip


def complete(command, effect):
    if command.kind == CommandKind.ASK:
        try:
            WORLD.do(command.name.rpartition(" ")[2] + " hotel")
        except OSError as error:
            return Completion(
                command.number, True, json.dumps({"code": "failed", "detail": str(error)}).encode()
            )
        return Completion(command.number, False, b"null")
    attempt = 1
    while (result := effect.run(attempt, 0)).retry_after >= 0:
        attempt += 1
    return Completion(command.number, result.failed, result.value)


@pytest.fixture(params=["plain", "coroutine"])
def kind(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["", "crash"])
def crash(request):
    return request.param


def test_nothing_is_undone_where_all_goes_well(tester, kind, crash, world):
    assert drive(tester, kind, crash).value == b'"booked"'
    assert world.did == ["book flight", "book hotel", "book car"]


def test_all_is_undone_in_the_reverse_order(tester, kind, crash, world):
    result = drive(tester, kind, crash, limit=5)
    assert world.did == [
        "book flight", "book hotel", "book car", "cancel car", "cancel hotel", "cancel flight"
    ]  # fmt: skip
    assert result.code == "rejected"
    assert result.detail == "too expensive; undone: cancel car, hotel/h cancel, cancel flight"
    assert result.data == {"undone": ["cancel car", "hotel/h cancel", "cancel flight"], "not_undone": []}


def test_only_what_came_before_the_failure_is_undone(tester, kind, crash, world):
    world.broken.add("book hotel")
    result = drive(tester, kind, crash)
    assert world.did == ["book flight", "cancel flight"]
    assert result.data == {"undone": ["cancel flight"], "not_undone": []}


@pytest.mark.parametrize(
    ("broken", "name", "undone"),
    [
        ("cancel car", "cancel car", ["hotel/h cancel", "cancel flight"]),
        ("cancel hotel", "hotel/h cancel", ["cancel car", "cancel flight"]),
        ("cancel flight", "cancel flight", ["cancel car", "hotel/h cancel"]),
    ],
)
def test_it_goes_on_where_one_cannot_be_undone_and_says_so(tester, kind, crash, world, broken, name, undone):
    world.broken.add(broken)
    result = drive(tester, kind, crash, limit=5)
    assert result.code == "rejected"
    assert result.data["undone"] == undone
    [left] = result.data["not_undone"]
    assert left["name"] == name
    assert f"cannot {broken}" in left["error"]
    assert f"not undone: {name}" in result.detail


def test_a_compensation_is_tried_as_its_retry_says(tester, kind, world):
    world.broken.add("cancel car")
    result = drive(tester, kind, limit=5)
    assert "was tried 2 times" in result.data["not_undone"][0]["error"]


def test_a_cancelled_handler_is_undone(tester, kind, crash, world):
    result = drive(tester, kind, crash, cancel_at=1)
    assert world.did == ["book flight", "cancel flight"]
    assert result.detail.startswith("it was cancelled; undone: cancel flight")


def test_a_cancellation_does_not_stop_the_undoing(tester, kind, crash, world):
    result = drive(tester, kind, crash, cancel_at=4, limit=5)
    assert world.did[3:] == ["cancel car", "cancel hotel", "cancel flight"]
    assert result.data["not_undone"] == []


def test_what_was_undone_is_not_undone_again(tester, crash, world):
    result = drive(tester, "by_hand", crash)
    assert json.loads(result.value) == [{"undone": ["two", "one"], "not_undone": []}] * 2
    assert world.did == ["two", "one"]


def test_mistakes_are_told(tester):
    assert "async with host.saga()" in drive(tester, "with_in_async").detail
    assert "saga.add('undo', …): str cannot be called" in drive(tester, "no_function").detail
