"""What becomes of handlers that wait, and of the messages behind them, while they are not in memory."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import Retry, actor, handler, host, state
from plexstream.model.journal.journal import Step
from plexstream.processor.waiting import limits

TRIES = []


@actor(retry=Retry(attempts=3, interval=1, jitter=0))
class Patient:
    n: int = state(default=0)

    @handler("wait")
    async def wait(self, name: str) -> int:
        await host.promise(name)
        self.n += 1
        return self.n

    @handler("stand")
    def stand(self, name: str) -> int:
        host.promise(name).wait()
        self.n += 1
        return self.n

    @handler("either")
    async def either(self) -> str:
        name, _ = await host.select(one=host.promise("one"), two=host.promise("two"))
        return name

    @handler("look", read_only=True)
    def look(self) -> int:
        return self.n

    @handler("add")
    def add(self, fails: int = 0) -> int:
        TRIES.append(1)
        if len(TRIES) <= fails:
            raise RuntimeError("not yet")
        self.n += 1
        return self.n


@pytest.fixture
def world():
    TRIES.clear()
    return World(Patient)


def call(world, handler, **arguments):
    id = world.tell("patient/1", handler, _kind=1, **arguments)
    world.run()
    return id


def test_no_two_invocations_have_the_same_number(world):
    call(world, "wait", name="a")
    call(world, "$end")
    world.restart()
    call(world, "wait", name="b")
    began = [s.invocation for s in world.journal if type(s) is Step and s.begin is not None]
    assert began == [1, 2]


def test_a_message_that_fails_behind_a_waiting_handler_is_tried_again(world):
    call(world, "wait", name="a")
    world.tell("patient/1", "add", fails=1)
    call(world, "$promise", name="a")
    world.run(ms=1_000)
    assert world.field("patient/1", "n") == 2


@pytest.mark.parametrize("handler", ["wait", "stand"])
def test_a_handler_that_is_paused_goes_on_when_it_is_resumed(world, handler):
    waits = call(world, handler, name="a")
    call(world, "$pause")
    call(world, "$promise", name="a")
    assert waits not in world.replies
    call(world, "$resume")
    assert world.replies[waits] == 1


def test_what_comes_too_late_for_a_handler_that_was_not_in_memory_changes_nothing(world):
    waits = call(world, "either")
    call(world, "$pause")
    call(world, "$promise", name="two")
    call(world, "$promise", name="one")
    call(world, "$resume")
    assert world.replies[waits] == "two"


@pytest.fixture
def parked(world):
    """#1 waits, #2 and #3 wait in the journal for it."""
    callers = [call(world, "wait", name="a"), call(world, "wait", name="b"), call(world, "add")]
    world.run(ms=limits.PARK_AFTER)
    return callers


@pytest.mark.parametrize("crash", [False, True])
def test_a_parked_message_that_is_cancelled_is_not_handled(world, parked, crash):
    call(world, "$cancel", invocation=2)
    if crash:
        world.restart()
    call(world, "$promise", name="a")
    assert [world.replies[id] for id in parked] == [1, "cancelled", 2]


@pytest.mark.parametrize("crash", [False, True])
def test_those_behind_a_parked_message_that_is_killed_get_their_turn(world, parked, crash):
    call(world, "$end", invocation=2)
    if crash:
        world.restart()
    call(world, "$promise", name="a")
    assert [world.replies[id] for id in parked] == [1, "killed", 2]


def test_those_who_come_behind_parked_messages_are_parked_in_their_turn(world, parked):
    call(world, "$promise", name="a")
    late = call(world, "add")
    call(world, "$promise", name="b")
    assert [world.replies[id] for id in [*parked, late]] == [1, 2, 3, 4]


def test_where_reading_would_stop_messages_are_parked_at_once(world):
    world.p.ledger.settings = world.p.ledger.settings._replace(max_waiting=2)
    call(world, "wait", name="a")
    call(world, "add")
    assert world.p.inbox.waiting
    call(world, "add")
    assert not world.p.inbox.waiting


@pytest.mark.parametrize("between", [["$end"], ["$pause", "$resume"], ["$pause", "look", "$resume"]])
def test_a_handler_that_is_dropped_takes_no_update_with_it_that_is_not_acknowledged_yet(world, between):
    for handler_ in ("add", "wait", *between, "$promise", "add"):
        arguments = {"name": "a"} if handler_ in ("wait", "$promise") else {}
        world.tell("patient/1", handler_, **arguments)
    world.p.receive(list(enumerate(world.mailbox)), world.now)
    world.run()
    assert world.field("patient/1", "n") == (2 if "$end" in between else 3)
