"""The works of coordination see what is lost, doubled or out of turn; the table compares them with Redis."""

import asyncio
import itertools

import pytest

from bench import redis_server, table
from bench.rows import QUICK, coordination_row
from bench.together import works
from bench.together.works import Server, Space
from bench.venvs import Unavailable

EACH = works.KEYS  # tuples of a space: one with each key


class Memory:
    """Everything by plain containers, which several callers share in turn."""

    def __init__(self):
        self.spaces, self.queues, self.kept = {}, {}, {}
        self.free, self.receipts = {}, itertools.count()
        self.acked = []

    async def fill(self, space, numbers):
        for n in numbers:
            await self.write(space, works.name(n), n)

    async def write(self, space, key, number):
        await asyncio.sleep(0)
        self.of(space, key).put_nowait(number)

    def of(self, space, key):
        return self.spaces.setdefault(space, {}).setdefault(key, asyncio.Queue())

    async def take(self, space, key, wait):
        return await asyncio.wait_for(self.of(space, key).get(), wait)

    async def count(self, space):
        return sum(one.qsize() for one in self.spaces[space].values())

    async def acquire(self, lock):
        await self.free.setdefault(lock, asyncio.Lock()).acquire()
        return lock

    async def release(self, lock, grant):
        self.free[lock].release()

    async def send(self, queue, number):
        self.queues.setdefault(queue, []).append(number)

    async def receive(self, queue):
        return next(self.receipts), self.queues[queue].pop(0)

    async def ack(self, queue, receipt):
        self.acked.append(receipt)
        await asyncio.sleep(0)

    async def put(self, key, number):
        self.kept[key] = number
        await asyncio.sleep(0)

    async def get(self, key):
        await asyncio.sleep(0)
        return self.kept.get(key)


def run(who, work):
    async def whole():
        spaces = [Space("one", EACH), Space("two", EACH)]
        await works.fill(who, spaces)
        return await work(who, Server(0), spaces)

    return asyncio.run(whole())


def paired(who, server, spaces):
    return works.pairs(who, server, spaces, 8, 0.05)


def taken(who, server, spaces):
    return works.takes(who, server, spaces, 8, 10.0)


def handed(who, server, spaces):
    return works.hand_over(who, server, 0.05)


def queued(who, server, spaces):
    return works.queue(who, server, 8, 0.05)


def kept(who, server, spaces):
    return works.put(who, server, 8, 0.05)


@pytest.mark.parametrize("work", [paired, taken, handed, queued, kept])
def test_a_work_gives_rate_cpu_and_quantiles(work):
    found = run(Memory(), work)
    assert {"rate", "cpu", "p50", "p99"} == set(found)
    assert found["rate"] > 0
    assert found["p50"] <= found["p99"]


def test_takes_end_when_nothing_is_left():
    who = Memory()
    run(who, taken)
    assert asyncio.run(who.count("one")) == 0


def test_all_works_go_through_once():
    found = asyncio.run(works.measure(Memory(), Server(0), 0.02))
    assert {"pairs rate 1", "spread rate 256", "takes rate 256", "lock p50 8", "wake p99 1"} <= set(found)
    found = asyncio.run(works.large(Memory(), Server(0), 2_000, 0.02))
    assert {"fill rate 8", "pairs p50 256", "takes rate 256"} <= set(found)


class TakesTwice(Memory):
    async def take(self, space, key, wait):
        number = await super().take(space, key, wait)
        if number % 3 == 0:
            self.of(space, key).put_nowait(number)
        return number


class LosesWrites(Memory):
    async def take(self, space, key, wait):
        number = await super().take(space, key, wait)
        self.of(space, works.name(number)).get_nowait() if self.of(space, key).qsize() else None
        return number


class LockOfAll(Memory):
    async def acquire(self, lock):
        return lock

    async def release(self, lock, grant):
        await asyncio.sleep(0)


class SendsAgain(Memory):
    async def receive(self, queue):
        receipt, number = await super().receive(queue)
        self.queues[queue].append(number)
        return receipt, number


class Forgets(Memory):
    async def put(self, key, number):
        await super().put(key, number - number % 2)


@pytest.mark.parametrize(
    ("who", "work"),
    [
        (TakesTwice, paired),
        (TakesTwice, taken),
        (LosesWrites, paired),
        (LockOfAll, handed),
        (SendsAgain, queued),
        (Forgets, kept),
    ],
)
def test_what_is_doubled_or_lost_is_no_measurement(who, work):
    with pytest.raises(RuntimeError, match="WRONG"):
        run(who(), work)


def line(found, start):
    (one,) = [one for one in table.lines(found) if one.what.startswith(start)]
    return one


def test_the_table_compares_with_redis_and_judges_what_a_worker_does():
    found = {
        ("coordination", "Kafka, 1,000,000 tuples", "takes rate 256"): {0: 9_000.0},
        ("coordination", "Redis, 1,000,000 tuples", "takes rate 256"): {0: 18_000.0},
        ("coordination", "embedded", "takes rate 256"): {0: 20_000.0},
        ("coordination", "embedded", "wake p50 1"): {0: 1.0},
        ("coordination", "store, 1,000,000 entries", "get"): {0: 16.0},
    }
    one = line(found, "take, one space of 1,000,000, Kafka")
    assert table.cells(one)[2] == "0.5 × Redis"
    assert one.verdict() == "NO: ≥ 10,000/s missed by 1,000 takes/s (10%)"
    assert line(found, "take, one space of 1,000,000, Redis").verdict() == ""
    assert line(found, "take, 16 spaces").verdict() == "yes: ≥ 20,000/s"
    assert line(found, "wake-up of a waiting take, embedded").verdict() == "yes: < 1.5 ms"
    assert line(found, "store, 1,000,000 entries").verdict().startswith("NO: ≤ 15 µs")


def test_a_quick_run_says_how_few_tuples_it_had():
    names = [task.what for task in coordination_row("", [], QUICK)]
    found = {("coordination", what, "takes rate 256"): {0: 1.0} for what in names}
    lines = [one.what for one in table.lines(found)]
    assert len(lines) == 6
    assert sum("20,000" in what for what in lines) == 3
    assert not any("1,000,000" in what for what in lines)


def test_where_redis_cannot_be_had_its_task_says_so(monkeypatch):
    from bench import coordination

    def find():
        raise Unavailable("there is none")

    coordination._redis.cache_clear()
    monkeypatch.setattr(redis_server, "find", find)
    tasks = {task.what: task for task in coordination_row("", [], QUICK)}
    try:
        with pytest.raises(Unavailable, match="there is none"):
            tasks["Redis"].run()
    finally:
        coordination._redis.cache_clear()


def test_packages_that_cannot_be_fetched_are_no_redis(monkeypatch, tmp_path):
    monkeypatch.setattr(redis_server, "CACHE", tmp_path)
    monkeypatch.setattr(redis_server.shutil, "which", lambda name: None)
    monkeypatch.setattr(redis_server.venvs, "python", lambda requirements: "python")
    with pytest.raises(Unavailable, match="no apt-get"):
        redis_server.find()
    assert not list(tmp_path.iterdir())
