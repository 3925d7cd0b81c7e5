"""The works of coordination: the same loops, whoever does what they ask for. Knows no library of either."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from bench.processes import cpu_seconds

FEW = 10_000
"""Tuples in a space that is not large."""
SPACES = 16
CALLERS = 256
WAITERS = 8
CHUNK = 500
FILLERS = 8
KEYS = 1_000
"""First fields of the tuples of a space, and keys of a store."""
TEXT = "some text"
PATIENCE = 30.0
Found = dict[str, float]


class Coordination(Protocol):
    """What is asked for. A call that waits gives up after `PATIENCE`; None: it got nothing."""

    async def fill(self, space: str, numbers: range) -> None:
        """Write tuples: ``[key, number, text]``, with `KEYS` different keys."""

    async def write(self, space: str, key: str, number: int) -> None: ...
    async def take(self, space: str, key: str, wait: float) -> int | None:
        """The number of a tuple with that key."""

    async def count(self, space: str) -> int: ...
    async def acquire(self, lock: str) -> Any:
        """What releases it."""

    async def release(self, lock: str, grant: Any) -> None: ...
    async def send(self, queue: str, number: int) -> None: ...
    async def receive(self, queue: str) -> tuple[Any, int] | None:
        """A receipt, and the number that was sent."""

    async def ack(self, queue: str, receipt: Any) -> None: ...
    async def put(self, key: str, number: int) -> None: ...
    async def get(self, key: str) -> int | None: ...


class Space:
    """What must be in a space.

    Parameters:
        each: tuples that it is filled with; with each key as many, at any time when nobody is at work.
    """

    def __init__(self, called: str, each: int) -> None:
        self.name, self.each = called, each
        self._written = each
        self._taken = set[int]()

    def next(self) -> int:
        """The number of one more tuple."""
        self._written += 1
        return self._written - 1

    def took(self, number: int | None) -> None:
        """Somebody has it now. Raises RuntimeError: it was never there, or somebody had it before."""
        if number is None or number in self._taken or not 0 <= number < self._written:
            raise RuntimeError(f"WRONG: {self.name} gave {number}, {self._written} were written")
        self._taken.add(number)

    async def check(self, who: Coordination) -> None:
        """Raise RuntimeError where something is lost, or there twice."""
        left, due = await who.count(self.name), self._written - len(self._taken)
        if left != due:
            raise RuntimeError(f"WRONG: {self.name} has {left} tuples, and should have {due}")


class Server:
    """What is measured of the process that serves.

    Parameters:
        pid: of its session; 0: this process serves itself.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def cpu(self) -> float:
        """Seconds of CPU time so far, of all its processes."""
        return cpu_seconds(self._pid) if self._pid else time.process_time()


async def loop(
    step: Callable[[int, int], Awaitable[None]], callers: int, seconds: float, server: Server,
    most: int | None = None,
) -> Found:  # fmt: skip
    """So many callers do `step`, each its own one after the other, for so long.

    Parameters:
        step: is given the number of the caller, and how many steps it has done.
        most: steps of each caller; None: as many as there is time for.
    """
    took: list[float] = []
    gc.collect()
    began, spent = time.perf_counter(), server.cpu()
    end = began + seconds

    async def caller(number: int) -> None:
        done = 0
        while (start := time.perf_counter()) < end and (most is None or done < most):
            await step(number, done)
            took.append(time.perf_counter() - start)
            done += 1

    await asyncio.gather(*(caller(n) for n in range(callers)))
    lasted, spent = time.perf_counter() - began, server.cpu() - spent
    return {"rate": len(took) / lasted, "cpu": spent / len(took) * 1e6, **quantiles(took)}


def quantiles(took: list[float]) -> Found:
    """p50 and p99 in milliseconds, of seconds."""
    took.sort()
    return {name: took[min(len(took) - 1, int(len(took) * q))] * 1000 for name, q in _QUANTILES}


_QUANTILES = (("p50", 0.5), ("p99", 0.99))


async def pairs(
    who: Coordination, server: Server, spaces: list[Space], callers: int, seconds: float
) -> Found:
    """Write a tuple and take one with its key. Each that was written is taken once, or is left."""

    async def step(caller: int, done: int) -> None:
        space, key = spaces[caller % len(spaces)], name(caller * 7 + done)
        await who.write(space.name, key, space.next())
        space.took(await who.take(space.name, key, PATIENCE))

    found = await loop(step, callers, seconds, server)
    for space in spaces:
        await space.check(who)
    return found


async def takes(
    who: Coordination, server: Server, spaces: list[Space], callers: int, seconds: float
) -> Found:
    """Take tuples that are there, as long as there are any. Each is taken once."""
    share = max(1, callers // len(spaces))

    async def step(caller: int, done: int) -> None:
        space, mine = spaces[caller % len(spaces)], range(caller // len(spaces), KEYS, share)
        space.took(await who.take(space.name, name(mine[done % len(mine)]), PATIENCE))

    most = KEYS // share * (spaces[0].each // KEYS)
    found = await loop(step, callers, seconds, server, most)
    for space in spaces:
        await space.check(who)
    return found


async def fill(who: Coordination, spaces: list[Space]) -> None:
    """Put into each space what it begins with."""
    for space in spaces:
        chunks = [range(n, min(n + CHUNK, space.each)) for n in range(0, space.each, CHUNK)]
        for some in range(0, len(chunks), FILLERS):
            await asyncio.gather(*(who.fill(space.name, chunk) for chunk in chunks[some : some + FILLERS]))


async def wake_up(who: Coordination, seconds: float) -> Found:
    """One waits for a tuple, another writes it: from that it writes until the first has it."""
    took: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(took) < 10:
        number = len(took)
        waiting = asyncio.create_task(_timed(who.take("wake", "key", PATIENCE)))
        await asyncio.sleep(0.01)
        start = time.perf_counter()
        await who.write("wake", "key", number)
        found, at = await waiting
        if found != number:
            raise RuntimeError(f"WRONG: the waiting take got {found}, {number} was written")
        took.append(at - start)
    return quantiles(took[5:])


async def _timed(call: Awaitable[Any]) -> tuple[Any, float]:
    return await call, time.perf_counter()


async def hand_over(who: Coordination, server: Server, seconds: float) -> Found:
    """So many want one lock, and give it on at once: from the release until the next has it."""
    took: list[float] = []
    held, given = 0, 0.0
    began, spent = time.perf_counter(), server.cpu()
    end = began + seconds

    async def caller() -> None:
        nonlocal held, given
        while time.perf_counter() < end:
            grant = await who.acquire("lock")
            if grant is None:
                raise RuntimeError(f"nobody gave the lock on within {PATIENCE} s")
            if given:
                took.append(time.perf_counter() - given)
            held += 1
            await asyncio.sleep(0)  # whoever else thinks that it has the lock comes in now
            if held != 1:
                raise RuntimeError(f"WRONG: {held} hold the lock")
            held, given = 0, time.perf_counter()
            await who.release("lock", grant)

    await asyncio.gather(*(caller() for _ in range(WAITERS)))
    lasted, spent = time.perf_counter() - began, server.cpu() - spent
    return {"rate": len(took) / lasted, "cpu": spent / len(took) * 1e6, **quantiles(took)}


async def queue(who: Coordination, server: Server, callers: int, seconds: float) -> Found:
    """Send a message, receive one, acknowledge it. Each is received once."""
    sent, seen = 0, set[int]()

    async def step(caller: int, done: int) -> None:
        nonlocal sent
        number, sent = sent, sent + 1
        await who.send(f"queue-{callers}", number)
        found = await who.receive(f"queue-{callers}")
        if found is None or found[1] in seen or not 0 <= found[1] < sent:
            raise RuntimeError(f"WRONG: received {found}, {sent} were sent")
        seen.add(found[1])
        await who.ack(f"queue-{callers}", found[0])

    return await loop(step, callers, seconds, server)


async def put(who: Coordination, server: Server, callers: int, seconds: float) -> Found:
    """Put a value; each caller has its keys, and finds in the end what it has put."""
    last: dict[str, int] = {}

    async def step(caller: int, done: int) -> None:
        key = f"{caller}.{done % KEYS}"
        await who.put(key, done)
        last[key] = done

    found = await loop(step, callers, seconds, server)
    for key, number in list(last.items())[:KEYS]:
        there = await who.get(key)
        if there != number:
            raise RuntimeError(f"WRONG: {key} is {there}, {number} was put")
    return found


async def get(who: Coordination, server: Server, callers: int, seconds: float) -> Found:
    """Get the value of a key that is there."""
    await asyncio.gather(*(who.put(f"there.{n}", n) for n in range(KEYS)))

    async def step(caller: int, done: int) -> None:
        number = (caller * 7 + done) % KEYS
        there = await who.get(f"there.{number}")
        if there != number:
            raise RuntimeError(f"WRONG: there.{number} is {there}")

    return await loop(step, callers, seconds, server)


async def measure(who: Coordination, server: Server, seconds: float) -> Found:
    """All works but the large space; metrics are named after the work and how many call."""
    several = [Space(f"space-{n}", FEW) for n in range(SPACES)]
    await fill(who, several)
    await pairs(who, server, several, 64, min(1.0, seconds))  # to warm up
    found: Found = {}
    for callers in (1, CALLERS):
        found |= named("pairs", callers, await pairs(who, server, several[:1], callers, seconds))
        found |= named("queue", callers, await queue(who, server, callers, seconds))
        found |= named("put", callers, await put(who, server, callers, seconds))
        found |= named("get", callers, await get(who, server, callers, seconds))
    found |= named("spread", CALLERS, await pairs(who, server, several, CALLERS, seconds))
    found |= named("takes", CALLERS, await takes(who, server, several, CALLERS, seconds))
    found |= named("lock", WAITERS, await hand_over(who, server, seconds))
    found |= named("wake", 1, await wake_up(who, seconds))
    return found


async def large(who: Coordination, server: Server, tuples: int, seconds: float) -> Found:
    """Write and take in a space with very many tuples."""
    space = [Space("large", tuples)]
    began, spent = time.perf_counter(), server.cpu()
    await fill(who, space)
    lasted, spent = time.perf_counter() - began, server.cpu() - spent
    filled = {"rate": tuples / lasted, "cpu": spent / tuples * 1e6}
    found = named("fill", FILLERS, filled)
    for callers in (1, CALLERS):
        found |= named("pairs", callers, await pairs(who, server, space, callers, seconds))
    found |= named("takes", CALLERS, await takes(who, server, space, CALLERS, seconds))
    return found


def name(number: int) -> str:
    """One of the keys."""
    return f"k{number % KEYS:04d}"


def named(work: str, callers: int, found: Found) -> Found:
    """The metrics with the work before them and the number of callers behind."""
    return {f"{work} {metric} {callers}": value for metric, value in found.items()}
