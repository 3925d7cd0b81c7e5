"""Side effects off the worker's thread: how many at once, tried again when, and told whatever happens."""

import asyncio
import threading
import time

import pytest

from plexstream import Reject
from plexstream.hosts.native.effect import NativeEffect
from plexstream.node.effects import Effects
from plexstream.processor import EffectCall
from plexstream.sdk.spec import Retry

LONG = 30.0  # seconds: a machine under load, never a measure of speed


class Pool:
    def __init__(self, threads=2):
        self.woken = threading.Semaphore(0)
        self.effects = Effects(threads, self.woken.release)

    def run(self, function, *arguments, number=0, retry=None):
        effect = NativeEffect(function, arguments, retry or Retry(attempts=1), "a.b", 1000)
        self.effects.run(self, EffectCall("a", 1, number, effect))

    def done(self, count=1):
        """Those that end next, so many of them."""
        found = []
        end = time.monotonic() + LONG
        while len(found) < count:
            assert time.monotonic() < end
            self.woken.acquire(timeout=0.01)
            found += self.effects.take()
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
    assert all(d.owner is pool for d in done)


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
