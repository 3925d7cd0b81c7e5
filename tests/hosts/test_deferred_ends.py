"""The ends of actors that owe answers to many, and what comes for such calls where no code can be loaded."""

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from locks import Clerk, Guest, Lock, tokens, waiting
from world import World

from plexstream import Retry, actor, handler, host, on_activate, state
from plexstream.hosts.native import NativeHost
from plexstream.hosts.system import SYSTEM_TYPES
from plexstream.model.journal.deferred import CALLS, SWEEP, WITHDRAW, Deferred, encode_deferred
from plexstream.model.journal.journal import DONE, Change, OutKind, Turn
from plexstream.model.messages.address import full
from plexstream.model.messages.message import ASK
from plexstream.processor.actors.lives.calls import BATCH, end_calls
from plexstream.processor.state.pieces import Pieces
from plexstream.schema import codec
from plexstream.store.memory import MemoryStore

LOCK = full("lock/1")


# What is read


class Counting(MemoryStore):
    """Counts the rows that it gives of collections."""

    rows = 0

    def entries(self, *args, **named):
        found = super().entries(*args, **named)
        self.rows += len(found)
        return found


class Kept:
    """The calls that an actor owes answers to, on disk after each turn."""

    def __init__(self, calls):
        self.store = Counting()
        self.pieces = Pieces(self.store, lambda data: {}, 1000, codec, 500)
        self.turns = 0
        self.apply([Change(CALLS, name, encode_deferred(entry)) for name, entry in calls.items()])

    def apply(self, changes):
        turn = Turn(0, LOCK, 1, "", -1, 0, DONE, False, "", changes, "", "", "", 0, "", 0, 0, [])
        self.pieces.run_ahead(turn)
        self.pieces.apply(self.turns, turn)
        self.pieces.flush()
        self.turns += 1

    def names(self):
        return {key for key, _ in self.pieces.collections.entries(LOCK, CALLS)}


def left(turn):
    return Deferred("secret", turn, 0, "acquire", turn=turn)


def sweep_all(kept, bound, between=lambda: None):
    """Sweep until nothing is left; rows read by each turn, and how many were told."""
    rows, told, after = [], 0, ""
    while True:
        kept.store.rows = 0
        ended = end_calls(kept.pieces, LOCK, {}, "killed", bound, after)
        rows.append(kept.store.rows)
        told += sum(out.kind == OutKind.ERROR for out in ended.outs)
        kept.apply(ended.changes)
        sweeps = [json.loads(out.payload) for out in ended.outs if out.handler == SWEEP]
        if not sweeps:
            return rows, told
        [sweep] = sweeps
        assert sweep["number"] == bound
        assert sweep["after"] > after
        after = sweep["after"]
        between()


def test_an_end_reads_each_entry_once():
    kept = Kept({f"{n:06} edge": left(1) for n in range(12_000)})
    rows, told = sweep_all(kept, 1)
    assert told == 12_000
    assert kept.names() == set()
    assert max(rows) <= BATCH + 1
    assert sum(rows) <= 12_000 + len(rows)


def test_sweeps_pass_who_waits_in_the_next_life():
    """Those are many more than one turn looks at, lie before, between and behind, and more come meanwhile."""
    old = {f"{n:06} edge": left(1) for n in range(0, 12_000, 4)}
    new = {f"{n:06} edge": left(2) for n in range(12_000) if n % 4}
    kept = Kept({**old, **new})
    more = []

    def ask():
        more.append(f"{len(more):06}+ edge")
        kept.apply([Change(CALLS, more[-1], encode_deferred(left(2)))])

    rows, told = sweep_all(kept, 1, ask)
    assert told == len(old)
    assert kept.names() == {*new, *more}
    assert max(rows) <= BATCH + 1
    assert sum(rows) <= 12_000 + len(more) + len(rows)


# Lives


def wait_in_vain(world, count, **arguments):
    asked = [world.tell("lock/1", "acquire", _kind=ASK, **arguments) for _ in range(count)]
    world.run()
    return asked


def run_until(world, handler):
    """Up to the first turn of a handler."""
    while not world.turns(handler):
        assert world._step(), f"nothing is left to do, and {handler} has not come"


@actor(name="hall", retry=Retry(attempts=1))
class Hall:
    """Lets in who comes beside those who wait for their turn."""

    tokens: list = state(default_factory=list)

    @handler("busy")
    async def busy(self) -> None:
        await host.sleep(600)

    @handler("enter")
    def enter(self) -> None:
        self.tokens.append(host.defer())

    @handler("beside", shared=True)
    def beside(self) -> None:
        host.defer()

    @handler("open")
    def open(self) -> list:
        return [host.reply(token, "open") for token in self.tokens]


def test_a_call_that_waited_in_the_journal_belongs_to_the_life_that_leaves_it():
    """Its number is lower than that of the end before, and of many whom that end has to tell."""
    world = World(Hall)
    world.start("hall/1", "busy")
    parked = world.start("hall/1", "enter")
    world.run(70_000)
    assert world.steps("enter")  # it is in the journal
    asked = [world.tell("hall/1", "beside", _kind=ASK) for _ in range(2_500)]
    world.run()
    world.tell("hall/1", "$kill")
    world.tell("hall/1", "$start", args={}, ref="2")
    world.run()
    assert {world.errors[id]["code"] for id in asked} == {"stopped"}
    assert parked not in world.errors
    assert world.ask("hall/1", "open") == [True]
    assert world.replies[parked] == "open"


@pytest.mark.parametrize("tell", [False, True])
def test_who_has_joined_a_call_of_an_ended_life_is_told_with_it(tell):
    world = World(Lock, Clerk, Guest)
    asked = wait_in_vain(world, 1_500)
    world._number = 8_999  # its id comes so late that a sweep is to end it
    first = world.tell("lock/1", "acquire", _kind=ASK, _key="k")
    world.run()
    world.tell("lock/1", "$kill")
    world.tell("lock/1", "$start", args={}, ref="2")
    joined = world.tell("lock/1", "acquire", _kind=ASK, _key="k")
    if tell:
        world.tell("lock/1", "acquire", _key="k")
    world.run()
    assert {world.errors[id]["code"] for id in [*asked, first, joined]} == {"stopped"}
    assert world.links("lock/1") == []
    again = world.tell("lock/1", "acquire", _kind=ASK, _key="k")
    world.run()
    assert (again in world.errors) is tell  # what a tell came to is kept


# Without the actor's code


@actor(name="lock")
class Broken:
    """The lock as it is after a deployment that went wrong."""

    @on_activate
    def fail(self) -> None:
        raise RuntimeError("not today")


def deploy(world, *classes):
    """The process begins again with other classes, on the same journal."""
    types = {c.__plexstream__.name: c.__plexstream__ for c in classes}
    world.host = NativeHost({**types, **SYSTEM_TYPES})
    world.restart()


@pytest.fixture(params=["not deployed", "cannot be loaded"])
def without(request):
    """Deploys what has no lock any more, or one that fails."""
    classes = [Clerk, Guest, *([Broken] if request.param == "cannot be loaded" else [])]
    return lambda world: deploy(world, *classes)


def test_who_waits_hears_of_an_end_whose_code_is_gone(without):
    world = World(Lock, Clerk, Guest)
    asked = wait_in_vain(world, 2_500)
    world.tell("lock/1", "$kill")
    run_until(world, "$kill")
    without(world)
    world.run()
    assert {world.errors[id]["code"] for id in asked} == {"stopped"}
    assert world.put_aside() == []
    assert waiting(world) == []


def test_who_has_the_token_answers_when_the_code_is_gone(without):
    world = World(Lock, Clerk, Guest)
    asked = [world.start("lock/1", "acquire"), world.start("lock/1", "acquire")]
    asked.append(world.start("guest/1", "want"))
    given = tokens(world)
    without(world)
    world.tell("clerk/1", "answer", token=given[0])
    world.tell("clerk/1", "answer", token=given[0])
    world.tell("clerk/1", "answer", token=given[1], reason="closed")
    world.tell("clerk/1", "answer", token=given[2])
    world.run()
    assert world.replies[asked[0]] == world.replies[asked[2]] == ["from", "clerk/1"]
    assert world.errors[asked[1]]["code"] == "rejected"
    assert world.put_aside() == [("$reply", "already_done")]
    assert waiting(world) == []
    deploy(world, Lock, Clerk, Guest)
    assert world.ask("lock/1", "release") == "already_done"


@pytest.mark.parametrize("how", [WITHDRAW, "$cancel", "$end"])
def test_who_waits_no_more_is_gone_when_the_code_is_back(without, how):
    world = World(Lock, Clerk, Guest)
    world.start("guest/1", "want", timeout=1)
    second = world.start("lock/1", "acquire")
    without(world)
    if how == WITHDRAW:
        world.run(2_000)
    else:
        world.ask("guest/1", how)
    assert len(waiting(world)) == 1
    deploy(world, Lock, Clerk, Guest)
    assert world.put_aside() == []
    assert world.ask("lock/1", "release") == 1
    assert world.replies[second] == "yours"


def test_a_handler_that_waits_hears_of_a_withdrawal_when_the_code_is_back(without):
    world = World(Lock, Clerk, Guest)
    world.start("guest/1", "want", timeout=1, handler="slowly")
    without(world)
    world.run(2_000)
    deploy(world, Lock, Clerk, Guest)
    world.run(60_000)  # the guest is there yet
    assert len(tokens(world)) == 1
    assert waiting(world) == []
    assert world.ask("lock/1", "release") == -1


def test_what_is_for_nobody_is_put_aside_as_before(without):
    world = World(Lock, Clerk, Guest)
    world.start("lock/1", "acquire")
    without(world)
    for how in ("$cancel", "$end", "release"):
        world.tell("lock/1", how)
    world.run()
    assert {code for _, code in world.put_aside()} <= {"unknown_type", "failed"}
    assert len(world.put_aside()) == 3
    assert len(waiting(world)) == 1
