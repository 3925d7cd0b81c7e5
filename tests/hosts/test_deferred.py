"""Answers that a later turn gives: who gets which, once, and what becomes of those who wait in vain."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import Retry, actor, handler, host, service, state
from plexstream.model.errors import AlreadyDone
from plexstream.model.journal.deferred import CALLS, read_token
from plexstream.model.messages import idempotency
from plexstream.model.messages.control import RESULT
from plexstream.model.messages.message import ASK


@actor(name="desk", retry=Retry(attempts=1), state_ttl=5)
class Desk:
    """Takes orders, and answers them when somebody says so."""

    calls: list = state(default_factory=list)

    @handler("order")
    def order(self, what: str) -> str:
        self.calls.append([what, host.defer()])
        return "not told"

    @handler("serve")
    def serve(self) -> int:
        served, self.calls = self.calls, []
        for what, call in served:
            host.reply(call, {"here is": what})
        return len(served)

    @handler("refuse")
    def refuse(self, reason: str) -> None:
        host.reject(self.calls.pop()[1], reason, {"sorry": True})

    @handler("again")
    def again(self, token: str) -> bool:
        return host.reply(token, "again")

    @handler("twice")
    def twice(self, token: str) -> list:
        told = [host.reply(token, "once")]
        try:
            host.reply(token, "twice")
        except AlreadyDone as error:
            return [*told, error.code]
        return told

    @handler("twice_at_once")
    def twice_at_once(self) -> None:
        assert self.twice(host.defer()) == [True, "already_done"]

    @handler("at_once")
    def at_once(self) -> str:
        host.reply(host.defer(), "at once")
        return "not told"

    @handler("fails")
    def fails(self) -> None:
        host.defer()
        raise ValueError("boom")

    @handler("waits")
    async def waits(self) -> None:
        host.defer()
        await host.sleep(1)

    @handler("waited")
    async def waited(self) -> None:
        await host.sleep(1)
        self.calls.append(["late", host.defer()])

    @handler("look", read_only=True)
    def look(self) -> str:
        return host.defer()

    @handler("leave")
    def leave(self, serve: bool = False, order: bool = False) -> None:
        if serve:
            self.serve()
        if order:
            self.order("the last")
        host.exit("done for today")


@actor(name="guest", retry=Retry(attempts=1))
class Guest:
    got: list = state(default_factory=list)

    @handler("ask_for")
    async def ask_for(self, what: str) -> object:
        self.got.append(await host.ask("desk/1", "order", what=what))
        return self.got[-1]

    @handler("start")
    def start(self) -> None:
        host.spawn("desk", "1")


@service(name="kiosk")
class Kiosk:
    @handler("order")
    def order(self) -> None:
        host.defer()


@pytest.fixture(params=[0, 1, 3], ids=["", "crash after each turn", "crash after three"])
def world(request):
    return World(Desk, Guest, Kiosk, crash_every=request.param)


def tokens(world, address="desk/1"):
    return [token for _, token in world.field(address, "calls")]


def waiting(world, address="desk/1"):
    return [key for field, key in world.links(address) if field == CALLS]


def test_callers_wait_while_others_are_answered(world):
    tea, coffee = (world.start("desk/1", "order", what=what) for what in ("tea", "coffee"))
    assert tea not in world.replies
    assert len(waiting(world)) == 2
    assert world.ask("desk/1", "serve") == 2
    assert world.replies[tea] == {"here is": "tea"}
    assert world.replies[coffee] == {"here is": "coffee"}
    assert waiting(world) == []
    assert world.ask("desk/1", "serve") == 0


def test_actors_are_answered_too(world):
    order = world.start("guest/1", "ask_for", what="tea")
    assert order not in world.replies
    world.ask("desk/1", "serve")
    assert world.replies[order] == {"here is": "tea"}
    assert world.field("guest/1", "got") == [{"here is": "tea"}]


def test_an_error_as_the_answer(world):
    order = world.start("desk/1", "order", what="tea")
    world.ask("desk/1", "refuse", reason="sold out")
    assert world.errors[order] == {"code": "rejected", "detail": "sold out", "data": {"sorry": True}}


def test_a_tell_has_nobody_to_answer(world):
    world.tell("desk/1", "order", what="tea")
    world.run()
    assert world.field("desk/1", "calls") == [["tea", ""]]
    assert world.ask("desk/1", "serve") == 1


def test_an_answer_with_the_turn_that_leaves_it(world):
    assert world.ask("desk/1", "at_once") == "at once"
    assert waiting(world) == []


def test_the_first_answer_counts(world):
    order = world.start("desk/1", "order", what="tea")
    [token] = tokens(world)
    world.ask("desk/1", "serve")
    assert world.ask("desk/1", "again", token=token) == "already_done"
    assert world.ask("desk/1", "again", token="nonsense") == "failed"
    guest = world.start("guest/1", "ask_for", what="tea")
    [token] = tokens(world)
    world.ask("desk/1", "serve")
    assert world.ask("desk/1", "again", token=token) == "already_done"
    assert world.replies[guest] == world.replies[order] == {"here is": "tea"}


def test_one_turn_answers_once(world):
    order = world.start("desk/1", "order", what="tea")
    [token] = tokens(world)
    assert world.ask("desk/1", "twice", token=token) == [True, "already_done"]
    assert world.replies[order] == "once"
    assert world.ask("desk/1", "twice_at_once") == "once"


@pytest.mark.parametrize(("handler", "why"), [
    ("fails", "boom"), ("waits", "after that it cannot wait"), ("look", "read_only"),
])  # fmt: skip
def test_a_handler_that_fails_is_answered_at_once(world, handler, why):
    call = world.start("desk/1", handler)
    assert world.errors[call]["code"] == "failed"
    assert why in world.errors[call]["detail"]
    assert waiting(world) == []


def test_a_handler_that_has_waited_may_leave_its_answer(world):
    call = world.start("desk/1", "waited")
    world.run(1_000)
    assert call not in world.replies
    assert len(waiting(world)) == 1
    world.ask("desk/1", "serve")
    assert world.replies[call] == {"here is": "late"}


def test_services_have_no_later_turn(world):
    call = world.start("kiosk/1", "order")
    assert "answers when it ends" in world.errors[call]["detail"]


@pytest.mark.parametrize(("how", "why"), [
    ("leave", "done for today"), ("$kill", "killed"), ("$stop", "shutdown"),
])  # fmt: skip
def test_who_waits_hears_of_the_end(world, how, why):
    orders = [world.start("desk/1", "order", what="tea"), world.start("guest/1", "ask_for", what="tea")]
    world.ask("desk/1", how)
    for order in orders:
        assert world.errors[order]["code"] == "stopped"
        assert why in world.errors[order]["detail"]
    assert waiting(world) == []


def test_an_end_answers_each_once(world):
    served = world.start("desk/1", "order", what="tea")
    last = world.start("desk/1", "leave", serve=True, order=True)
    assert world.replies[served] == {"here is": "tea"}
    assert world.errors[last]["code"] == "stopped"
    answers = [out.id for turn in world.turns("leave") for out in turn.outs if out.kind in (2, 3)]
    assert sorted(answers) == sorted((served, last))
    assert waiting(world) == []


def test_who_waits_hears_of_a_failure_that_ends_the_actor(world):
    world.ask("guest/1", "start")
    order = world.start("desk/1", "order", what="tea")
    world.ask("desk/1", "fails")
    assert "boom" in world.errors[order]["detail"]


def test_a_state_does_not_expire_while_somebody_waits(world):
    order = world.start("desk/1", "order", what="tea")
    world.run(60_000)
    assert world.ask("desk/1", "serve") == 1
    assert world.replies[order] == {"here is": "tea"}
    world.tell("desk/1", "order", what="tea")
    world.run()
    world.run(60_000)
    assert world.ask("desk/1", "serve") == 0


# Calls with an idempotency key


def keyed(world, handler="order", _to="desk/1", **arguments):
    id = world.tell(_to, handler, _kind=ASK, _key="k", **arguments)
    world.run()
    return id


def test_what_a_keyed_call_came_to_is_kept(world):
    first = keyed(world, what="tea")
    assert world.ask("desk/1", "serve") == 1
    again = keyed(world, what="tea")
    assert world.replies[first] == world.replies[again] == {"here is": "tea"}
    assert world.ask("desk/1", "serve") == 0  # it was not handled again
    other = keyed(world, what="coffee")
    assert world.errors[other]["code"] == "idempotency_conflict"


def test_a_refusal_of_a_keyed_call_is_kept(world):
    first = keyed(world, what="tea")
    world.ask("desk/1", "refuse", reason="sold out")
    again = keyed(world, what="tea")
    assert world.errors[first] == world.errors[again]
    assert world.errors[again] == {"code": "rejected", "detail": "sold out", "data": {"sorry": True}}


def test_a_repetition_meanwhile_gets_the_same_answer(world):
    first = keyed(world, what="tea")
    again = [keyed(world, what="tea") for _ in range(2)]
    other = keyed(world, what="coffee")
    assert world.errors[other]["code"] == "idempotency_conflict"
    world.tell("desk/1", "order", _key="k", what="tea")
    world.run()
    assert [read_token(token).call for token in tokens(world)] == waiting(world)[:1]
    assert world.ask("desk/1", "serve") == 1
    for id in (first, *again):
        assert world.replies[id] == {"here is": "tea"}
    assert waiting(world) == []
    assert world.links("desk/1") == []


def test_a_keyed_call_that_is_answered_with_the_turn_that_leaves_it(world):
    assert [world.replies[keyed(world, "at_once")] for _ in range(2)] == ["at once", "at once"]
    assert len(world.turns("at_once")) == 1


@pytest.mark.parametrize("meanwhile", [1_000, 3_000, 9_000])
def test_a_keyed_call_that_has_waited_and_is_answered_later(world, meanwhile):
    first = keyed(world, "waited")
    again = keyed(world, "waited")
    world.run(meanwhile)
    third = keyed(world, "waited")
    world.run(1_000)
    assert len(waiting(world)) == 3
    assert world.ask("desk/1", "serve") == 1
    for id in (first, again, third, keyed(world, "waited")):
        assert world.replies[id] == {"here is": "late"}
    assert world.links("desk/1") == []


def test_who_asks_what_became_of_it_waits_for_the_answer(world):
    keyed(world, what="tea")
    mark = idempotency.mark("k", b'{"what":"tea"}')
    wanted = {"name": idempotency.name("order", mark), "digest": idempotency.digest_of(mark)}
    assert world.ask("desk/1", RESULT, **wanted)["status"] == "waiting"
    world._crash_every = 0  # who waits for it is in memory
    asked = world.start("desk/1", RESULT, wait=60_000, **wanted)
    assert asked not in world.replies
    world.ask("desk/1", "serve")
    assert world.replies[asked] == {"status": "done", "result": {"here is": "tea"}}


def test_an_end_forgets_keyed_calls(world):
    orders = [keyed(world, what="tea") for _ in range(2)]
    world.ask("desk/1", "leave")
    for order in orders:
        assert world.errors[order]["code"] == "stopped"
    assert world.links("desk/1") == []


@pytest.mark.parametrize("tells", [0, 1, 3])
@pytest.mark.parametrize("how", ["serve", "leave"])
def test_what_a_tell_came_to_that_found_the_call_is_known_whatever_that_is(world, tells, how):
    keyed(world, what="tea")
    for _ in range(tells):
        world.tell("desk/1", "order", _key="k", what="tea")
        world.run()
    mark = idempotency.mark("k", b'{"what":"tea"}')
    wanted = {"name": idempotency.name("order", mark), "digest": idempotency.digest_of(mark)}
    assert world.ask("desk/1", RESULT, **wanted)["status"] == "waiting"
    world.ask("desk/1", how)
    found = world.ask("desk/1", RESULT, **wanted)
    if how == "serve":
        assert found == {"status": "done", "result": {"here is": "tea"}}
    elif tells:
        assert (found["status"], found["error"]["code"]) == ("failed", "stopped")
    else:
        assert found == "unknown_invocation", "asks may be tried again, and have been told no id"
    assert world.links("desk/1") == []


@actor(name="waiter", retry=Retry(attempts=1))
class Waiter:
    """Answers between two waits: what it sends is compared when it runs again."""

    calls: list = state(default_factory=list)

    @handler("order")
    def order(self) -> None:
        self.calls.append(host.defer())

    @handler("quietly")
    async def quietly(self) -> None:
        await host.sleep(1)
        for call in self.calls:
            host.reply(call, "not for whoever asks for this one's result")

    @handler("serve")
    async def serve(self) -> int:
        await host.sleep(1)
        for call in self.calls:
            host.reply(call, "served")
        await host.sleep(1)
        return len(self.calls)


def test_a_waiting_handler_answers_keyed_calls():
    for crash_every in (0, 1, 3):
        world = World(Waiter, crash_every=crash_every, reply_ttl=60_000)
        calls = [keyed(world, _to="waiter/1") for _ in range(3)]
        serve = world.start("waiter/1", "serve")
        for _ in range(4):
            world.run(1_000)
        assert world.replies[serve] == 1
        calls.append(keyed(world, _to="waiter/1"))
        assert [world.replies[id] for id in calls] == ["served"] * 4
        assert world.links("waiter/1") == []


def test_an_answer_to_another_call_is_not_the_result_of_a_tell():
    world = World(Waiter, reply_ttl=60_000)
    world.start("waiter/1", "order")
    world.tell("waiter/1", "quietly", _key="k")
    world.run()
    world.run(1_000)
    assert waiting(world, "waiter/1") == []
    assert world.replies[keyed(world, "quietly", "waiter/1")] is None
