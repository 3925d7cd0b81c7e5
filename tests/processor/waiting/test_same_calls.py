"""Repetitions of a call that is under way wait for its outcome: so many, and no more."""

import pytest
from world import World

from plexstream import actor, handler, host, service, state
from plexstream.model.messages.message import ASK, TELL
from plexstream.processor.waiting import limits


@actor(name="till")
class Till:
    n: int = state(default=0)
    waits: list = state(default_factory=list)

    @handler()
    async def wait(self, text: str = ""):
        await host.promise("go")
        self.n += 1
        return self.n

    @handler()
    def later(self, text: str = ""):
        self.waits = [*self.waits, host.defer()]

    @handler()
    def answer(self):
        for call in self.waits:
            host.reply(call, "answered")


@service(name="desk")
class Desk:
    @handler()
    async def wait(self, text: str = ""):
        await host.sleep(10)
        return 1


@pytest.fixture(params=[False, True], ids=["", "crash"])
def repeated(request, monkeypatch):
    """Ten repetitions of a call, of which three may wait; who is to end it."""
    monkeypatch.setattr(limits, "SAME_CALLS", 3)

    def repeat(target, handler, kind=ASK, text=""):
        world = World(Till, Desk)
        first = world.tell(target, handler, _kind=ASK, _key="k", text=text)
        world.run()
        more = []
        for n in range(10):
            more.append(world.tell(target, handler, _kind=kind, _key="k", text=text))
            world.run()
            if request.param and n % 4 == 2:
                world.restart()
                world.run()
        return world, first, more

    return repeat


def split(world, more):
    return [id for id in more if world.replies.get(id) == "overloaded"], [
        id for id in more if world.replies.get(id) != "overloaded"
    ]


@pytest.mark.parametrize("target", ["till/1", "desk/1"])
def test_so_many_asks_wait_and_the_others_are_told(repeated, target):
    world, first, more = repeated(target, "wait")
    refused, waiting = split(world, more)
    assert len(waiting) == 3
    detail = world.errors[refused[0]]["detail"]
    assert "3 calls with this idempotency key" in detail
    assert "at most 3" in detail
    assert "call again once it has ended" in detail
    world.ask("till/1", "$promise", name="go", value=1) if target == "till/1" else world.run(10_000)
    assert [world.replies[id] for id in (first, *waiting)] == [1] * 4
    again = world.tell(target, "wait", _kind=ASK, _key="k", text="")
    world.run()
    assert world.replies[again] == 1, "its outcome is kept, and not that of who was refused"


def test_tells_are_put_aside_and_its_outcome_is_not_theirs(repeated):
    world, first, _ = repeated("till/1", "wait", TELL)
    assert world.put_aside() == [("wait", "overloaded")] * 7
    world.ask("till/1", "$promise", name="go", value=1)
    assert world.replies[first] == 1
    again = world.tell("till/1", "wait", _kind=ASK, _key="k", text="")
    world.run()
    assert world.replies[again] == 1
    assert world.field("till/1", "n") == 1


def test_so_many_wait_for_an_answer_of_a_later_turn(repeated):
    world, first, more = repeated("till/1", "later")
    refused, waiting = split(world, more)
    assert len(waiting) == 2, "with the first one"
    assert len(refused) == 8
    world.ask("till/1", "answer")
    assert [world.replies[id] for id in (first, *waiting)] == ["answered"] * 3


def test_their_bytes_are_bounded_too(repeated, monkeypatch):
    monkeypatch.setattr(limits, "SAME_CALLS", 100)
    monkeypatch.setattr(limits, "SAME_BYTES", 5_000)
    world, _, more = repeated("till/1", "wait", text="x" * 2_000)
    refused, waiting = split(world, more)
    assert len(waiting) == 3
    assert "at most 100 (5000 bytes)" in world.errors[refused[0]]["detail"]


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("crash", [False, True])
def test_a_call_that_comes_again_as_it_was_gets_the_answer_of_its_token(times, crash):
    # Its sender was not told that the log has it. It is one caller, not two.
    world = World(Till)
    first = world.tell("till/1", "later", _kind=ASK, _key="k")
    world.run()
    for _ in range(times):
        world.mailbox.append(next(e for e in world.mailbox if e.id == first))
        world.run()
        if crash:
            world.restart()
    world.ask("till/1", "answer")
    assert world.replies[first] == "answered"
    assert world.links("till/1") == []
