"""``host.awaited``: whether somebody waits for a deferred reply, without answering it."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from locks import Guest
from world import World

from plexstream import Retry, actor, handler, host, state


@actor(name="lock", retry=Retry(attempts=1))
class Gate:
    tokens: list = state(default_factory=list)

    @handler("acquire")
    def acquire(self) -> None:
        self.tokens.append(host.defer())

    @handler("look")
    def look(self) -> list:
        return [host.awaited(token) for token in self.tokens]

    @handler("look_while_waiting")
    async def look_while_waiting(self) -> list:
        before = [host.awaited(token) for token in self.tokens]
        await host.sleep(5)
        return [before, [host.awaited(token) for token in self.tokens]]

    @handler("answer_one")
    def answer_one(self) -> list:
        mine = host.defer()
        found = [host.awaited(mine), host.reply(self.tokens[0]), host.awaited(self.tokens[0])]
        host.reply(mine, found)
        return []

    @handler("of_a_tell")
    def of_a_tell(self) -> None:
        assert not host.awaited(host.defer())

    @handler("check")
    def check(self, token: str) -> bool:
        return host.awaited(token)


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return World(Gate, Guest, crash_every=request.param)


def test_who_waits_and_who_has_gone(world):
    world.start("lock/1", "acquire")
    world.start("guest/1", "want", timeout=1)
    assert world.ask("lock/1", "look") == [True, True]
    world.run(1_000)
    assert world.ask("lock/1", "look") == [True, False]
    assert world.ask("lock/1", "look") == [True, False]  # looking answers nobody


def test_it_is_so_of_calls_and_answers_of_this_very_turn(world):
    id = world.start("lock/1", "acquire")
    assert world.ask("lock/1", "answer_one") == [True, True, False]
    assert world.replies[id] is None
    assert world.ask("lock/1", "look") == [False]


def test_a_handler_that_runs_again_sees_what_it_saw(world):
    world.start("guest/1", "want", timeout=2)
    looking = world.start("lock/1", "look_while_waiting")
    world.run(2_000)
    world.restart()
    world.run(3_000)
    assert world.replies[looking] == [[True], [False]]


def test_nobody_waits_for_a_tell(world):
    world.tell("lock/1", "of_a_tell")
    world.run()
    assert world.put_aside() == []


@pytest.mark.parametrize("owner", ["lock/1", "lock/2"])
def test_what_is_no_token_of_its_own_is_an_error(world, owner):
    world.start("lock/1", "acquire")
    token = world.field("lock/1", "tokens")[0]
    forged = token[:-1] + ("0" if token[-1] != "0" else "1")
    said = "secret" if owner == "lock/1" else "cannot know"
    for given in (forged, "x"):
        id = world.start(owner, "check", token=given)
        assert world.replies[id] in ("failed", "unknown_invocation")
        assert (said if given != "x" else "no token") in world.errors[id]["detail"]
