"""Locks, elections and pools as they are used: in handlers, by clients, over HTTP."""

import asyncio
import threading

import httpx
import pytest
from anybody import Anybody
from waiters import Guest
from world import World

from plexstream import AsyncClient, Client, Rejected, actor, handler, host, state
from plexstream.model.errors import BadArguments
from plexstream.sdk.host.coordination.held.election import Term
from plexstream.sdk.host.coordination.held.locks import Grant
from plexstream.sdk.host.coordination.held.pools import Checkout

LOCK = "plex.lock/a"


@actor(name="keeper")
class Keeper:
    """Holds a lock, or a member of the pool ``p``, while it sleeps."""

    done: int = state(default=0)

    @handler("plain")
    def plain(self, seconds: float, lease: float = 30, wait: float | None = None, fail: bool = False) -> int:
        with host.locks.hold("a", lease=lease, wait=wait) as grant:
            self.done += 1
            host.sleep(seconds)
            if fail:
                raise ValueError("in the block")
            return grant.token

    @handler("awaited")
    async def awaited(
        self, seconds: float, lease: float = 30, wait: float | None = None, fail: bool = False
    ) -> int:
        async with host.locks.hold("a", lease=lease, wait=wait) as grant:
            self.done += 1
            await host.sleep(seconds)
            if fail:
                raise ValueError("in the block")
            return grant.token

    @handler("wrong")
    async def wrong(self) -> None:
        with host.locks.hold("a"):
            pass

    @handler("borrow")
    def borrow(self, seconds: float) -> str:
        with host.pools.pool("p").borrow() as lent:
            host.sleep(seconds)
            return lent.member


@pytest.fixture(params=["plain", "awaited"])
def form(request):
    return request.param


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return World(Anybody, Keeper, Guest, crash_every=request.param)


@pytest.fixture
def inside(form):
    """Does an operation in a handler."""
    world = World(Anybody, crash_every=2)

    def do(path, name="a", /, **arguments):
        return world.ask("anybody/one", form, path=path, name=name, arguments=arguments)

    return do


def status(world):
    return world.ask(LOCK, "status")


def test_a_handler_uses_a_lock(inside):
    got = inside("locks.lock.acquire", lease=5)
    assert got["holder"] == "anybody/one"
    assert inside("locks.lock.acquire") is None
    assert inside("locks.lock.acquire", "b", holder="ann")["holder"] == "ann"
    assert inside("locks.lock.renew", token=got["token"], lease=10)["due"] > got["due"]
    assert inside("locks.lock.check", token=got["token"]) is True
    assert inside("locks.lock.status")["holder"] == "anybody/one"
    assert inside("locks.lock.release", token=got["token"]) is None
    assert inside("locks.lock.release", token=got["token"]) == "rejected"
    assert inside("locks.lock.acquire", wait="soon") == "failed"  # ValueError


def test_a_handler_uses_an_election(inside):
    got = inside("elections.election.campaign", candidate="ann")
    assert inside("elections.election.leader") == got
    assert inside("elections.election.watch", known_term=got["term"], wait=0) is None
    assert inside("elections.election.watch") == got
    assert inside("elections.election.renew", term=got["term"])["leader"] == "ann"
    assert inside("elections.election.observe", handler="here")["current"]["leader"] == "ann"
    assert inside("elections.election.unobserve", handler="here") is True
    assert inside("elections.election.status")["waits"] == 0
    assert inside("elections.election.resign", term=got["term"]) is None
    assert inside("elections.election.leader") is None


def test_a_handler_uses_a_pool(inside):
    assert inside("pools.pool.add", members=["w/1", "w/2"]) == 2
    got = inside("pools.pool.checkout")
    assert got["member"] == "w/1"
    assert inside("pools.pool.renew", checkout=got["checkout"], lease=90)["due"] > got["due"]
    assert inside("pools.pool.members") == {"w/1": "busy", "w/2": "idle"}
    assert inside("pools.pool.status")["lent"][0]["holder"] == "anybody/one"
    assert inside("pools.pool.checkin", checkout=got["checkout"], healthy=False) is None
    assert inside("pools.pool.mend", member="w/1") is True
    assert inside("pools.pool.remove", member="w/1") is True
    assert inside("pools.pool.metrics")["size"] == 1


def test_a_lock_is_held_while_the_block_runs(world, form):
    first = world.start("keeper/1", form, seconds=5)
    second = world.start("keeper/2", form, seconds=5)
    assert status(world)["holder"] == "keeper/1"
    world.run(5000)
    assert status(world)["holder"] == "keeper/2"
    assert second not in world.replies
    world.run(5000)
    assert status(world)["holder"] is None
    assert world.replies[first] < world.replies[second]


def test_it_is_released_where_the_block_raises(world, form):
    assert world.ask("keeper/1", form, seconds=0, fail=True) == "failed"
    assert status(world)["holder"] is None
    assert status(world)["newest"] > 0


def test_a_turn_whose_lease_has_ended_takes_no_effect(world, form):
    id = world.start("keeper/1", form, seconds=5, lease=3)
    world.run(3000)
    world.run(2000)
    assert "its lease ended 2000 ms ago" in world.errors[id]["detail"]
    assert world.replies[id] == "rejected"
    assert not world.field("keeper/1", "done")


def test_an_error_of_the_block_is_told_though_the_lease_has_ended(world, form):
    id = world.start("keeper/1", form, seconds=5, lease=3, fail=True)
    world.run(5000)
    assert "in the block" in world.errors[id]["detail"]


def test_a_block_does_not_run_where_the_lock_is_not_got_in_time(world, form):
    world.ask(LOCK, "acquire", holder="ann", lease=60)
    id = world.start("keeper/1", form, seconds=0, wait=2)
    world.run(2000)
    assert "the lock 'a' was not got within 2.0 seconds" in world.errors[id]["detail"]
    assert status(world)["holder"] == "ann"


def test_a_handler_that_is_killed_holds_it_until_the_lease_ends(world, form):
    id = world.start("keeper/1", form, seconds=50, lease=3)
    world.tell("keeper/1", "$kill")
    world.run()
    assert world.replies[id] == "killed"
    world.run(2999)
    assert status(world)["holder"] == "keeper/1"
    world.run(1)
    assert status(world)["holder"] is None


def test_an_async_handler_that_forgets_async_is_told(world):
    id = world.start("keeper/1", "wrong")
    assert "async with" in world.errors[id]["detail"]
    assert status(world)["newest"] == 0


def test_a_member_is_lent_while_the_block_runs(world):
    world.ask("plex.pool/p", "add", members=["w/1"])
    id = world.start("keeper/1", "borrow", seconds=5)
    assert world.ask("plex.pool/p", "metrics")["busy"] == 1
    world.run(5000)
    assert world.replies[id] == "w/1"
    assert world.ask("plex.pool/p", "metrics")["idle"] == 1


def test_a_client_uses_a_lock(outside, request):
    lock = outside.client.locks.lock(request.node.name)
    got = outside(lock.acquire, "ann")
    assert (type(got), got.holder) == (Grant, "ann")
    assert outside(lock.acquire, "bob", wait=0.01) is None
    assert outside(lock.check, got) is True
    assert outside(lock.renew, got, 60).due > got.due
    outside(lock.release, got)
    with pytest.raises(Rejected, match="it was released"):
        outside(lock.release, got.token)
    with pytest.raises(ValueError, match="wait is 'soon'"):
        outside(lock.acquire, wait="soon")
    with pytest.raises(BadArguments):
        outside(lock.release, "x")


def test_a_client_uses_an_election(outside, request):
    election = outside.client.elections.election(request.node.name)
    with pytest.raises(Rejected, match="give the candidate"):
        outside(election.campaign)
    got = outside(election.campaign, "ann")
    assert (type(got), got.leader) == (Term, "ann")
    assert outside(election.leader) == outside(election.watch) == got
    assert outside(election.renew, got).term == got.term
    outside(election.resign, got)
    assert outside(election.watch, got, wait=0.01) is None


def test_a_client_uses_a_pool(outside, request):
    pool = outside.client.pools.pool(request.node.name)
    assert outside(pool.add, "w/1") == 1
    got = outside(pool.checkout)
    assert (type(got), got.member) == (Checkout, "w/1")
    assert outside(pool.checkout, wait=0.01) is None
    outside(pool.checkin, got)
    with pytest.raises(Rejected, match="there is no checkout"):
        outside(pool.checkin, got)
    assert outside(pool.metrics)["timeouts"] == 1


def test_a_lock_with_a_key_is_acquired_once(outside, request):
    lock = outside.client.keyed(f"k-{request.node.name}").locks.lock(request.node.name)
    first, again = outside(lock.acquire), outside(lock.acquire)
    assert first == again


def test_threads_hold_a_lock_one_at_a_time(served):
    held, seen = [], []

    def work():
        with Client(served.url) as client:
            for _ in range(5):
                with client.locks.hold("threads") as grant:
                    held.append(grant)
                    seen.append((len(held), grant.token))
                    held.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [count for count, _ in seen] == [1] * 20
    assert sorted(token for _, token in seen) == [token for _, token in seen]


def test_what_holds_it_is_for_one_block_at_a_time(served):
    with Client(served.url) as client:
        hold = client.locks.hold("twice", wait=0)
        for _ in range(2):
            with hold as grant:
                assert client.locks.lock("twice").check(grant)
                with pytest.raises(RuntimeError, match="anew for each block"), hold:
                    pass
                with pytest.raises(TimeoutError), client.locks.hold("twice", wait=0):
                    pass
            assert client.locks.lock("twice").status()["holder"] is None

    async def work():
        async with AsyncClient(served.url) as client:
            hold = client.locks.hold("twice", wait=0)
            for _ in range(2):
                async with hold:
                    with pytest.raises(RuntimeError, match="anew for each block"):
                        async with hold:
                            pass

    asyncio.run(work())


def test_tasks_hold_a_lock_and_members_of_a_pool(served):
    async def work():
        async with AsyncClient(served.url) as client:
            with pytest.raises(ValueError, match="in the block"):
                async with client.locks.hold("tasks"):
                    raise ValueError("in the block")
            with pytest.raises(TypeError, match="async with"), client.locks.hold("tasks"):
                pass
            async with client.locks.hold("tasks", wait=0):
                with pytest.raises(TimeoutError, match="'tasks' was not got within 0 seconds"):
                    async with client.locks.hold("tasks", wait=0):
                        pass
            await client.pools.pool("tasks").add("w")
            async with client.pools.pool("tasks").borrow() as lent:
                assert lent.member == "w"
            return await client.pools.pool("tasks").metrics()

    assert asyncio.run(work())["idle"] == 1


def test_a_task_that_is_cancelled_gives_the_lock_back(served):
    async def work():
        async with AsyncClient(served.url) as client:
            inside = asyncio.Event()

            async def hold():
                async with client.locks.hold("cancelled"):
                    inside.set()
                    await asyncio.sleep(60)

            task = asyncio.create_task(hold())
            await inside.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return await client.locks.lock("cancelled").status()

    assert asyncio.run(work())["holder"] is None


def test_over_http(served):
    url = f"{served.url}/v1"
    with httpx.Client(base_url=url) as http:
        got = http.post("/locks/http/acquire", json={"holder": "ann", "lease": 60}).json()
        assert http.post("/locks/http/acquire", json={"wait": 0}).json() is None
        assert http.get("/locks/http/status").json()["holder"] == "ann"
        assert http.get("/locks/http/check", params={"token": got["token"]}).json() is True
        assert http.get("/locks/http/acquire").status_code == 405
        assert http.post("/locks/http/release", json={"token": got["token"]}).json() is None
        assert http.post("/elections/http/campaign", json={"candidate": "ann"}).json()["leader"] == "ann"
        assert http.get("/elections/http/leader").json()["leader"] == "ann"
        assert http.post("/pools/http/add", json={"members": ["w"]}).json() == 1
        assert http.post("/pools/http/checkout", json={}).json()["member"] == "w"
        assert http.get("/pools/http/metrics").json()["busy"] == 1
        for path, body, code, said in (
            ("/locks/http/release", {"token": got["token"]}, 409, "it was released"),
            ("/locks/http/release", {"token": "x"}, 422, "token"),
            ("/locks/http/release", {}, 422, "token"),
            ("/locks/http/acquire", {"lease": 0}, 409, "lease"),
            ("/locks/http/acquire", {"wait": -1}, 422, "wait"),
            ("/locks/http/hold", {}, 404, "it has"),
            ("/elections/http/campaign", {}, 409, "candidate"),
            ("/pools/http/checkin", {"checkout": 1}, 409, "there is no checkout 1"),
            ("/pools/http/add", {"members": [1]}, 422, ""),
        ):
            answer = http.post(path, json=body)
            assert (answer.status_code, said in answer.json()["detail"]) == (code, True), answer.json()
