"""Calls of operations that have a limit: in handlers, by clients, in an edge; and refusals of operations."""

import asyncio
import threading

import pytest
from anybody import Part
from world import World

from plexstream import Reject, Rejected, Retry, TimedOut, actor, handler, host, state
from plexstream.client import coordination
from plexstream.edge.http.routes.system import coordination as edge
from plexstream.model.journal.deferred import CALLS
from plexstream.model.messages.address import full
from plexstream.sdk.host.coordination.operation import Call


def slow(shard, limit, seconds=3600, late=(1,)):
    return Call("part", f"p~{shard}", "slow", {"late": list(late), "seconds": seconds}, limit=limit)


def told(outcomes):
    return [o.value if o.error is None else getattr(o.error, "code", repr(o.error)) for o in outcomes]


def several(limits, seconds=3600, late=(1,)):
    outcomes = yield [slow(shard, limit, seconds, late) for shard, limit in limits]
    return told(outcomes)


def one(limit):
    try:
        value = yield slow(1, limit)
    except Exception as error:
        return error.code
    return value


def both(keeper):
    call = Call(keeper, "1", "keep", {}, limit=2)
    outcomes = yield [call, call]
    return told(outcomes)


def refusing():
    yield slow(2, None)
    raise Reject("it does not go together", {"a": 1})


@actor(name="teller", retry=Retry(attempts=1))
class Teller:
    """Does operations in handlers of both kinds."""

    found: list = state(default_factory=list)

    @handler("plain")
    def plain(self, limits: list, seconds: float = 3600, late: list | None = None, then: float = 0):
        found = host._operate(several(limits, seconds, late or [1]))
        if then:
            host.sleep(then)
        return found

    @handler("awaited")
    async def awaited(self, limits: list, seconds: float = 3600, late: list | None = None, then: float = 0):
        found = await host._operate(several(limits, seconds, late or [1]))
        if then:
            await host.sleep(then)
        return found

    @handler("one")
    def one(self, limit: float):
        return host._operate(one(limit))

    @handler("until_left")
    async def until_left(self, limits: list):
        return await host._operate(several(limits))

    @handler("both")
    async def both(self):
        found = await host._operate(both("keeper"))
        await host.sleep(60)  # by its end it would withdraw them all the same
        return found

    @handler("refusing")
    def refusing(self):
        return host._operate(refusing())


@actor(name="keeper")
class Keeper:
    tokens: list = state(default_factory=list)

    @handler("keep")
    def keep(self) -> None:
        self.tokens.append(host.defer())


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return World(Part, Teller, crash_every=request.param)


@pytest.mark.parametrize("how", ["plain", "awaited"])
def test_in_a_handler_what_takes_longer_counts_as_timed_out(world, how):
    id = world.start("teller/1", how, limits=[[0, 5], [1, 5], [2, None]])
    assert id not in world.replies
    world.run(4_999)
    assert id not in world.replies
    world.run(1)
    assert world.replies[id] == [0, "timed_out", 2]


@pytest.mark.parametrize("how", ["plain", "awaited"])
def test_what_is_in_time_counts(world, how):
    id = world.start("teller/1", how, limits=[[0, 5], [1, 5]], seconds=4)
    world.run(4_000)
    assert world.replies[id] == [0, 1]
    world.run(10_000)


@pytest.mark.parametrize("how", ["plain", "awaited"])
def test_each_has_its_own_from_when_the_first_is_made(world, how):
    id = world.start("teller/1", how, limits=[[1, 3], [2, 1], [3, 3]], late=[1, 2, 3], seconds=2)
    for _ in range(6):
        world.run(500)
    assert world.replies[id] == [1, "timed_out", 3]


@pytest.mark.parametrize("how", ["plain", "awaited"])
def test_an_answer_that_comes_after_all_changes_nothing(world, how):
    limits = [[1, 2], [0, 2], [2, 4]]
    id = world.start("teller/1", how, limits=limits, late=[1, 2], seconds=3, then=10)
    for _ in range(14):
        world.run(500)
    world.restart()
    for _ in range(14):
        world.run(500)
    assert world.replies[id] == ["timed_out", 0, 2]


def test_a_call_by_itself_has_one_too(world):
    id = world.start("teller/1", "one", limit=5)
    world.run(5_000)
    assert world.replies[id] == "timed_out"


def test_who_has_timed_out_waits_no_more():
    world = World(Keeper, Teller)
    id = world.start("teller/1", "both")
    assert len(entries(world)) == 2
    world.run(2_000)
    assert id not in world.replies
    assert all(b"true" in entry for entry in entries(world))  # marked as gone
    world.run(60_000)
    assert world.replies[id] == ["timed_out", "timed_out"]


def entries(world):
    return [value for _, value in world.pieces.collections.entries(full("keeper/1"), CALLS)]


def test_a_handler_that_is_cancelled_does_not_take_that_for_a_limit(world):
    id = world.start("teller/1", "until_left", limits=[[1, 50]])
    ((_, number),) = [w for w in world.waiting() if w[0] == "until_left"]
    world.tell("teller/1", "$cancel", invocation=number)
    world.run()
    assert world.replies[id] == "cancelled"


def test_a_limit_that_is_none_is_an_error(world):
    for limit in (-1, "soon"):
        assert world.ask("teller/1", "plain", limits=[[0, limit]]) == "failed"


def test_what_an_operation_refuses_a_handler_may_refuse(world):
    id = world.start("teller/1", "refusing")
    assert world.replies[id] == "rejected"
    assert world.errors[id] == {"code": "rejected", "detail": "it does not go together", "data": {"a": 1}}


# By clients

LIMITED = [(0, 60), (1, 0.3), (2, None), (3, 60)]


def test_of_a_client_what_takes_longer_counts_as_timed_out(outside):
    client = outside.client
    assert outside(client._operation, several(LIMITED, late=[1]), "") == [0, "timed_out", 2, 3]
    assert outside(client._operation, one(0.3), "") == "timed_out"
    with pytest.raises(Rejected, match="does not go together") as refused:
        outside(client._operation, refusing(), "")
    assert refused.value.data == {"a": 1}


def test_calls_of_threads_are_made_at_the_same_time():
    every = threading.Barrier(4, timeout=60)

    def make(request):
        every.wait()
        return b"1"

    assert coordination.run(several([(n, None) for n in range(4)]), "", make) == [1, 1, 1, 1]


def test_a_call_for_which_no_time_is_left_is_not_made(monkeypatch):
    monkeypatch.setattr(coordination, "AT_ONCE", 1)
    now, made = [0.0], []
    monkeypatch.setattr(coordination.time, "monotonic", lambda: now[0])

    def make(request):
        made.append((request.target, request.timeout))
        now[0] += 5
        return b"1"

    assert coordination.run(several([(0, 8), (1, 8), (2, 8)]), "", make) == [1, 1, "timed_out"]
    assert made == [("default/default/part/p~0", 8), ("default/default/part/p~1", 3)]


class Edge:
    """What an edge calls with, which answers nothing by itself."""

    def __init__(self):
        self.timeouts = []

    def ask(self, target, handler, payload, timeout, idempotency_key):
        self.timeouts.append(timeout)
        future = asyncio.get_running_loop().create_future()
        if timeout < 10:
            future.set_exception(TimedOut("late"))
        else:
            future.set_result(b"1")
        return future


def test_in_an_edge_it_is_the_time_of_the_call():
    calls = Edge()
    found = asyncio.run(edge.run(several([(0, 5), (1, 60), (2, None)]), calls, 30.0, ""))
    assert calls.timeouts == [5, 30.0, 30.0]
    assert found == b'["timed_out",1,1]'


def test_in_an_edge_a_refusal_of_an_operation_is_one():
    with pytest.raises(Rejected, match="does not go together"):
        asyncio.run(edge.run(refusing(), Edge(), 30.0, ""))
