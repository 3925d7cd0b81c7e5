"""Deferred replies that another actor gives, and those that nobody waits for any more."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from locks import Clerk, Guest, Lock, tokens, waiting
from world import World

from plexstream import actor, handler, host
from plexstream.model.journal.deferred import SWEEP, make_token, read_token
from plexstream.model.journal.journal import OutKind
from plexstream.model.messages.address import full
from plexstream.model.messages.message import ASK, Envelope, with_deadline
from plexstream.processor.actors.lives.calls import BATCH


@pytest.fixture(params=[0, 1, 3], ids=["", "crash after each turn", "crash after three"])
def world(request):
    return World(Lock, Clerk, Guest, crash_every=request.param)


# By others


def test_another_actor_answers(world):
    asked = [world.start("lock/1", "acquire"), world.start("guest/1", "want")]
    world.ask("lock/1", "hand_on", to="clerk/1")
    for id in asked:
        assert world.replies[id] == ["from", "clerk/1"]
    assert world.field("clerk/1", "sent") == [True, True]
    assert waiting(world) == world.links("lock/1") == []


def test_another_actor_refuses(world):
    asked = world.start("lock/1", "acquire")
    world.ask("clerk/1", "answer", token=tokens(world)[0], reason="closed")
    assert world.errors[asked] == {"code": "rejected", "detail": "closed", "data": [1]}


def test_others_answer_while_the_actor_is_busy(world):
    asked = world.start("lock/1", "acquire")
    [token] = tokens(world)
    world.start("lock/1", "busy")
    queued = world.start("lock/1", "release")
    world.ask("clerk/1", "answer", token=token)
    assert world.replies[asked] == ["from", "clerk/1"]
    assert queued not in world.replies


def test_the_first_answer_counts_whoever_gives_it(world):
    asked = world.start("lock/1", "acquire")
    [token] = tokens(world)
    world.ask("lock/1", "release")
    world.ask("clerk/1", "answer", token=token)
    assert world.replies[asked] == "yours"
    assert world.put_aside() == [("$reply", "already_done")]


def test_a_forged_token_answers_nobody(world):
    asked = world.start("lock/1", "acquire")
    real = read_token(tokens(world)[0])
    forged = make_token(real.owner, real.call, "0" * 16)
    world.ask("clerk/1", "answer", token=forged)
    assert world.put_aside() == [("$reply", "unknown_invocation")]
    elsewhere = make_token("default/default/lock/2", real.call, real.secret)
    world.ask("clerk/1", "answer", token=elsewhere)
    assert world.put_aside()[1:] == [("$reply", "already_done")]
    assert asked not in world.replies
    assert world.ask("lock/1", "release") == 0


def test_the_owner_is_told_of_a_forged_token():
    @actor(name="forger")
    class Forger:
        @handler("go")
        def go(self) -> None:
            real = read_token(host.defer())
            host.reply(make_token(real.owner, real.call, "0" * 16))

    world = World(Forger)
    id = world.start("forger/1", "go")
    assert world.errors[id]["code"] == "unknown_invocation"
    assert "its secret is another" in world.errors[id]["detail"]


def test_an_answer_to_one_who_waits_no_more_is_put_aside(world):
    world.start("guest/1", "want", timeout=1)
    [token] = tokens(world)
    world.run(2_000)
    world.ask("clerk/1", "answer", token=token)
    assert world.put_aside() == [("$reply", "unknown_invocation")]
    assert world.links("lock/1") == []


# Who waits no more


def test_an_ask_whose_time_is_over_is_withdrawn(world):
    world.start("guest/1", "want", timeout=1)
    second = world.start("lock/1", "acquire")
    world.run(2_000)
    assert len(waiting(world)) == 1
    assert world.ask("lock/1", "release") == 1
    assert world.replies[second] == "yours"
    assert world.links("lock/1") == []
    world.run(600_000)
    assert world.field("guest/1", "got") == ["late"]


def test_a_handler_that_ends_without_the_answer_withdraws(world):
    id = world.start("guest/1", "race")
    world.run(1_000)
    assert id in world.replies
    assert waiting(world) == []
    assert world.ask("lock/1", "release") == -1


def test_a_detached_ask_is_withdrawn_with_its_handlers_end(world):
    world.start("guest/1", "detached")
    assert len(waiting(world)) == 1
    world.run(1_000)
    assert waiting(world) == []


@pytest.mark.parametrize(("how", "code"), [("$cancel", "cancelled"), ("$end", "killed")])
def test_who_was_cancelled_or_killed_waits_no_more(world, how, code):
    id = world.start("guest/1", "want")
    world.ask("guest/1", how)
    assert world.errors[id]["code"] == code
    assert waiting(world) == []
    assert world.ask("lock/1", "release") == -1


def test_a_retry_waits_for_itself(world):
    """A withdrawal of the attempt before takes nothing from the next one."""
    id = world.start("guest/1", "tries")
    world.run(2_000)
    world.run(1_000)
    assert len(tokens(world)) == 2
    assert len(waiting(world)) == 1
    assert world.ask("lock/1", "release") == 1
    assert world.replies[id] == "yours"


def test_a_withdrawal_before_the_answer_is_deferred(world):
    """The ask is handled yet, or waits behind another."""
    world.start("guest/1", "want", timeout=1, handler="slowly")
    world.start("guest/2", "want", timeout=1)
    world.run(1_000)
    assert waiting(world) == []  # nothing is deferred yet
    world.run(5_000)
    assert len(tokens(world)) == 2
    assert waiting(world) == []
    assert world.ask("lock/1", "release") == -1


def test_an_answer_that_was_given_first_is_the_answer(world):
    id = world.start("guest/1", "want", timeout=1)
    assert world.ask("lock/1", "release") == 0
    world.run(2_000)
    assert world.replies[id] == "yours"


def test_a_caller_from_outside_waits_until_its_deadline(world):
    ids = [with_deadline(f"x{n}", world.now + 1_000 * n) for n in (1, 2)]
    for id in ids:
        world.mailbox.append(Envelope(ASK, id, full("lock/1"), "acquire", b"{}", reply_to="edge"))
    world.run()
    world.run(1_500)
    assert world.ask("lock/1", "release") == 1
    assert ids[0] not in world.replies
    assert world.replies[ids[1]] == "yours"
    assert world.links("lock/1") == []


def ask_with_one_key(world):
    """Two callers, whose time is over one after the other; the ids of their asks."""
    ids = [with_deadline(f"x{n}", world.now + 1_000 * n) for n in (1, 2)]
    for id in ids:
        world.mailbox.append(
            Envelope(ASK, id, full("lock/1"), "acquire", b"{}", reply_to="edge", idempotency_key="k")
        )
    world.run()
    return ids


def test_callers_with_one_key_wait_for_each_other(world):
    ids = ask_with_one_key(world)
    world.run(1_500)
    assert world.ask("lock/1", "release") == 0
    assert world.replies[ids[1]] == "yours"
    assert world.links("lock/1") == []


def test_all_callers_with_one_key_are_gone(world):
    ask_with_one_key(world)
    world.run(2_000)
    assert world.ask("lock/1", "release") == -1
    assert world.links("lock/1") == []


def test_a_state_expires_once_nobody_waits(world):
    world.start("guest/1", "want", timeout=1)
    world.run(2_000)
    world.run(501_000)
    assert world.ask("lock/1", "release") == -1
    assert not tokens(world)
    assert world.links("lock/1") == []


# Handlers that wait


def test_a_handler_that_runs_again_sees_what_it_saw(world):
    asked = world.start("lock/1", "acquire")
    world.start("guest/1", "want", timeout=1)
    world.run(2_000)
    id = world.start("lock/1", "reply_and_wait")
    world.run(1_000)
    world.run(1_000)
    assert world.replies[id] == [[True, False], ["AlreadyDone", "AlreadyDone"]]
    assert world.replies[asked] == "yours"


def test_who_waits_for_a_deferred_answer_is_in_no_circle(world):
    """The guest is busy with a wait that anybody may end, so whoever asks it waits, and is not refused."""
    id = world.start("guest/1", "want")
    back = world.start("lock/1", "ask_back", to="guest/1")
    world.run(5_000)
    world.run(5_000)
    assert back not in world.replies
    world.ask("clerk/1", "answer", token=tokens(world)[0])
    assert world.replies[id] == ["from", "clerk/1"]
    assert world.replies[back] == "pong"


# Many


@pytest.mark.parametrize("how", ["$kill", "$stop"])
def test_an_end_tells_so_many_with_one_turn(how):
    world = World(Lock, Clerk, Guest)
    asked = [world.tell("lock/1", "acquire", _kind=ASK) for _ in range(5_000)]
    world.run()
    assert len(waiting(world)) == 5_000
    world.ask("lock/1", how)
    assert {world.errors[id]["code"] for id in asked} == {"stopped"}
    assert world.links("lock/1") == []
    told = [sum(o.kind == OutKind.ERROR for o in t.outs) for t in world.turns() if t.handler in (how, SWEEP)]
    assert sum(told) == 5_000
    assert max(told) <= BATCH
    assert len(told) >= 5


def test_who_waits_in_the_next_life_is_not_told_of_the_end_before():
    world = World(Lock, Clerk, Guest)
    asked = [world.tell("lock/1", "acquire", _kind=ASK) for _ in range(2_500)]
    world.run()
    world.tell("lock/1", "$kill")
    world.tell("lock/1", "$start", args={}, ref="2")
    new = world.start("lock/1", "acquire")
    assert {world.errors[id]["code"] for id in asked} == {"stopped"}
    assert new not in world.replies
    assert world.ask("lock/1", "release") == 0
    assert world.replies[new] == "yours"
