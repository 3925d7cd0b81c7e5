"""Side effects off the worker's thread: how many at once, tried again when, and told whatever happens."""

import asyncio
import dataclasses
import logging
import threading
import time

import pytest

from plexstream import Reject
from plexstream.hosts.native.waiting.asked.effect import NativeEffect
from plexstream.node.partition.outgoing.effects import FULL_S, Effects
from plexstream.node.running.metrics import NodeMetrics
from plexstream.processor import EffectCall
from plexstream.sdk.spec import Retry

LONG = 30.0  # seconds: a machine under load, never a measure of speed


class Pool:
    def __init__(self, threads=2, long_s=60.0):
        self.woken = threading.Semaphore(0)
        self.now = 0.0
        self.effects = Effects(threads, self.woken.release, long_s, lambda: self.now)

    def run(self, function, *arguments, number=0, retry=None, address="a", where="a.b"):
        effect = NativeEffect(function, arguments, retry or Retry(attempts=1), where, 1000)
        self.effects.run(self, EffectCall(address, 1, number, effect))

    def done(self, count=1):
        """Those that end next, so many of them."""
        found = []
        end = time.monotonic() + LONG
        while len(found) < count:
            assert time.monotonic() < end
            self.woken.acquire(timeout=0.01)
            for owner, done in self.effects.take().items():
                assert owner is self
                found += done
        return found


@pytest.fixture
def pool():
    pool = Pool()
    yield pool
    pool.effects.close()


def test_plain_functions_run_on_so_many_threads_at_most(pool):
    running, most, lock, go = [0], [0], threading.Lock(), threading.Event()

    def work():
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        go.wait(LONG)
        with lock:
            running[0] -= 1
        return threading.current_thread().name

    for number in range(6):
        pool.run(work, number=number)
    go.set()
    done = pool.done(6)
    assert most[0] <= 2
    assert sorted(d.call.number for d in done) == list(range(6))
    assert {d.result.value for d in done} == {b'"plexstream-effect"'}


def test_async_functions_share_one_loop(pool):
    barrier = []

    async def work(n):
        barrier.append(n)
        while len(barrier) < 50:  # all at the same time, or never
            await asyncio.sleep(0)
        return id(asyncio.get_running_loop())

    for number in range(50):
        pool.run(work, number, number=number)
    assert len({d.result.value for d in pool.done(50)}) == 1


def test_one_that_fails_says_when_it_is_to_be_tried_again(pool):
    def work():
        raise ValueError("not yet")

    pool.run(work, retry=Retry(attempts=3, interval=2.0, max_duration=10.0))
    [done] = pool.done()
    assert (done.result.retry_after, done.result.attempts) == (2000, 3)
    assert b"not yet" in done.result.value
    for last in (done.call._replace(attempt=3), done.call._replace(attempt=2, spent=9_000)):
        pool.effects.run(pool, last)
        [done] = pool.done()
        assert done.result.retry_after < 0
        assert b"step_failed" in done.result.value


class Untold(BaseException):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("error", [
    ValueError("no"), Untold(), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), StopIteration(),
    GeneratorExit(),
], ids=lambda e: type(e).__name__)  # fmt: skip
def test_whatever_it_raises_is_told_and_the_next_one_runs(pool, error, is_async):
    async def later():
        raise error

    def at_once():
        raise error

    pool.run(later if is_async else at_once)
    [done] = pool.done()
    assert done.result.failed
    assert b"step_failed" in done.result.value
    pool.run(later_ok if is_async else str, "x")
    assert pool.done()[0].result.value == b'"x"'


async def later_ok(value):
    return value


def test_a_refusal_ends_it_at_once(pool):
    def work():
        raise Reject("no", data={"why": 1})

    pool.run(work, retry=Retry(attempts=5))
    [done] = pool.done()
    assert b'"rejected"' in done.result.value
    assert b'"why":1' in done.result.value


def test_a_plain_function_that_gives_a_coroutine_is_told_what_to_do(pool):
    pool.run(lambda: later_ok(1), retry=Retry(attempts=5))
    assert b"async def" in pool.done()[0].result.value


def test_closing_waits_for_nothing():
    pool = Pool()
    go = threading.Event()
    pool.run(go.wait, LONG)
    pool.run(asyncio.sleep, LONG)
    pool.effects.close()
    go.set()
    threads = [t for t in threading.enumerate() if t.name.startswith("plexstream-effect")]
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()


class Hostile(list):
    def __iter__(self):
        raise KeyboardInterrupt


class Classless:
    @property
    def __class__(self):
        raise ValueError("no class")


@dataclasses.dataclass
class Unread:
    x: int = 1

    def __getattribute__(self, name):
        if name == "x":
            raise SystemExit
        return object.__getattribute__(self, name)


def circle():
    items = []
    items.append(items)
    return items


def nested():
    items = []
    for _ in range(100_000):
        items = [items]
    return items


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("make", [
    lambda: float("nan"), lambda: [{"x": float("inf")}], circle, nested, lambda: "x" * 1001, lambda: "\ud800",
    object, lambda: {1: 1, "1": 2}, lambda: 10**5000, lambda: Hostile([1]), Classless, Unread,
    lambda: later_ok(1),
])  # fmt: skip
def test_a_result_that_cannot_be_recorded_fails_once(pool, make, is_async):
    """Whatever the reason: what the function did is done, and would only be done again."""
    ran = []

    def work():
        ran.append(1)
        return make()

    async def later():
        return work()

    pool.run(later if is_async else work, retry=Retry(attempts=5, interval=0.0))
    [done] = pool.done()
    assert done.result.failed
    assert done.result.retry_after == -1
    assert b"a.b" in done.result.value
    assert ran == [1]


@pytest.mark.parametrize("data", [Hostile([1]), Unread(), circle()], ids=["iter", "property", "circle"])
def test_a_refusal_with_data_that_cannot_be_recorded_is_told(pool, data):
    def work():
        raise Reject("no", data=data)

    pool.run(work)
    assert b'"rejected"' in pool.done()[0].result.value


def test_retries_go_on_after_a_thousand_attempts(pool):
    def work():
        raise ValueError("not yet")

    retry = Retry(attempts=10_000, interval=1.0, max_interval=60.0, jitter=0)
    effect = NativeEffect(work, (), retry, "a.b", 1000)
    assert effect.run(5_000, 0).retry_after == 60_000


@pytest.fixture
def go():
    event = threading.Event()
    yield event
    event.set()


def until(condition):
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def hang(pool, go, count, address="slow/1"):
    for number in range(count):
        pool.run(go.wait, LONG, number=number, address=address, where=f"{address}, step 's{number}'")
    until(lambda: pool.effects.status()[0]["running"] == min(count, 2))


def test_functions_that_hang_take_no_thread_of_another_type(pool, go):
    hang(pool, go, 5)
    pool.run(str, "x", address="quick/1")
    assert pool.done()[0].result.value == b'"x"'
    assert [row["type"] for row in pool.effects.status()] == ["slow"]


def test_what_runs_and_what_waits_is_counted_by_type(pool, go):
    hang(pool, go, 5)
    pool.now = 7.5
    rows = pool.effects.status()
    assert rows == [{"type": "slow", "running": 2, "waiting": 3, "oldest_s": 7.5}]
    metrics = NodeMetrics(lambda: {"partitions": [], "effects": [dict(row, worker="n/0") for row in rows]})
    found = {s.name: s.value for f in metrics.collect() for s in f.samples if s.labels.get("type") == "slow"}
    assert found == {
        "plexstream_effects_running": 2,
        "plexstream_effects_waiting": 3,
        "plexstream_effects_oldest_seconds": 7.5,
    }
    go.set()
    pool.done(5)
    assert pool.effects.status() == []


def test_one_that_runs_long_is_named_and_named_again_when_it_has_run_twice_as_long(pool, go, caplog):
    pool.run(go.wait, LONG, address="slow/1", where="slow/1.pay, step 'charge'")
    until(lambda: pool.effects.status()[0]["running"] == 1)
    for pool.now in (59.0, 61.0, 100.0, 119.0, 121.0, 200.0):
        pool.effects.take()
    assert [r.getMessage().split(", and")[0] for r in caplog.records] == [
        "slow/1.pay, step 'charge': has been running for 61 s",
        "slow/1.pay, step 'charge': has been running for 121 s",
    ]


def test_an_async_one_that_runs_long_is_named(pool, caplog):
    pool.run(asyncio.sleep, LONG, where="slow/1.pay, step 'charge'")
    until(lambda: pool.effects.status()[0]["running"] == 1)
    pool.now = 61.0
    pool.effects.take()
    assert "slow/1.pay, step 'charge': has been running for 61 s" in caplog.text


def test_a_type_without_a_free_thread_is_named_once_in_a_while(pool, go, caplog):
    caplog.set_level(logging.WARNING)
    hang(pool, go, 2)
    pool.now = 5.0
    pool.effects.take()
    assert caplog.text == ""  # both run: nobody waits
    pool.run(go.wait, LONG, address="slow/2")
    for pool.now in (10.0, 20.0):
        pool.effects.take()
    [record] = caplog.records
    for part in ("slow: all 2 threads", "1 wait", "slow/1, step 's", "for 10 s"):
        assert part in record.getMessage()
    pool.now = 11.0 + FULL_S
    pool.effects.take()
    assert sum("all 2 threads" in r.getMessage() for r in caplog.records) == 2


def test_what_waits_for_a_thread_does_not_start_after_closing(go):
    pool = Pool()
    hang(pool, go, 2)
    ran = []
    pool.run(ran.append, 1, address="slow/1")
    pool.effects.close()
    go.set()
    for thread in [t for t in threading.enumerate() if t.name == "plexstream-effect"]:
        thread.join(LONG)
    assert ran == []
