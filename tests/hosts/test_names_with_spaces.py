"""Addresses may have spaces: what is made of several names comes apart as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import World

from plexstream import actor, handler, host, state
from plexstream.model.errors import TimedOut
from plexstream.model.journal.deferred import call_name, make_token, read_call, read_token
from plexstream.model.messages.address import full
from plexstream.model.messages.message import ASK, Envelope
from plexstream.model.messages.text import joined, taken_apart

NAMES = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \u00a0_-"), min_size=1)
DESK, CALLER = "desk/the first one", "caller/some body"


@actor
class Desk:
    tokens: list[str] = state(default_factory=list)

    @handler("leave_it")
    def leave(self) -> None:
        self.tokens.append(host.defer())

    @handler("answer_all")
    def answer(self) -> list[bool]:
        return [host.reply(token, "done") for token in self.tokens]

    @handler("tokens", read_only=True)
    def look(self) -> list[str]:
        return self.tokens


@actor
class Caller:
    @handler("call_it")
    async def call(self, to: str, timeout: float | None = None) -> str:
        try:
            return await host.ask(to, "leave_it", timeout=timeout)
        except TimedOut:
            return "too late"

    @handler("answer_for_it")
    def answer(self, tokens: list[str]) -> list[bool]:
        return [host.reply(token, "from elsewhere") for token in tokens]


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return World(Desk, Caller, crash_every=request.param)


@given(NAMES, NAMES)
def test_what_is_joined_comes_apart(first, rest):
    assert taken_apart(joined(first, rest)) == (first, rest)


@given(NAMES, NAMES, NAMES)
def test_a_token_names_its_owner_and_its_call(owner, id, reply_to):
    token = read_token(make_token(owner, call_name(id, reply_to), "0123456789abcdef"))
    assert (token.owner, *read_call(token.call)) == (owner, id, reply_to)


@pytest.mark.parametrize("id", ["a b", "a\u00a0b", "a\u00a0_b", "a\u00a0-\u00a0", "  "])
def test_a_deferred_reply_has_the_id_of_its_ask(world, id):
    world.mailbox.append(Envelope(ASK, id, full(DESK), "leave_it", b"{}", reply_to="edge"))
    world.run()
    assert world.ask(DESK, "answer_all") == [True]
    assert world.replies[id] == "done"


def test_no_secret_is_that_of_another_actor(world):
    """Of which the name ends as the other's call begins."""
    for id, desk, sender in (("c", "desk/a b", "d"), ("b", "desk/a", "c d")):
        world.mailbox.append(Envelope(ASK, id, full(desk), "leave_it", b"{}", reply_to=sender))
    world.run()
    first, second = (world.ask(desk, "tokens")[0] for desk in ("desk/a b", "desk/a"))
    assert first.partition(".")[2] != second.partition(".")[2]


def test_a_deferred_reply_reaches_who_asked(world):
    waiting = world.start(CALLER, "call_it", to=DESK)
    assert world.ask(DESK, "answer_all") == [True]
    world.run()
    assert world.replies[waiting] == "done"


def test_another_actor_answers_by_its_token(world):
    waiting = world.start(CALLER, "call_it", to=DESK)
    tokens = world.ask(DESK, "tokens")
    assert world.ask("caller/any other", "answer_for_it", tokens=tokens) == [True]
    world.run()
    assert world.replies[waiting] == "from elsewhere"


def test_who_waits_no_more_says_so(world):
    waiting = world.start(CALLER, "call_it", to=DESK, timeout=1)
    world.run(1_000)
    assert world.replies[waiting] == "too late"
    assert world.ask(DESK, "answer_all") == [False]


def test_a_call_in_a_circle_is_a_deadlock(world):
    waiting = world.start(CALLER, "call_it", to=CALLER)
    world.run(60_000)
    assert world.replies[waiting] in ("deadlock", "unknown_handler")
