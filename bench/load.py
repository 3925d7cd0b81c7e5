"""Asks in a closed loop: so many callers, each with one call on its way. Run as a process; prints JSON.

python -m bench.load WORK kafka ADDRESS PREFIX SECONDS CALLERS...
python -m bench.load WORK embedded FOLDER PREFIX SECONDS CALLERS...     the node in the same process
python -m bench.load WORK http URL PATH SECONDS CALLERS...         PATH is of the actors: /v1/actors/
python -m bench.load WORK http-async URL - SECONDS CALLERS...      AsyncClient, on asyncio's own loop
python -m bench.load WORK http-threads URL - SECONDS CALLERS...    Client

`http` is a load generator, which costs less than any client: what the server can take. `http-async` and
`http-threads` are what users have.

WORK is tally/add, a count that each call adds to, or trip/steps, three side effects.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from bench.apps import Tally, Trip
from bench.http import Connection
from bench.inside import Inside
from plexstream import AsyncClient, Client
from plexstream.log.open import open_log
from plexstream.model.topics.topics import Topics

ACTORS = 1_000
Level = dict[str, float]  # callers, rate, p50, p99; cpu: of this process, microseconds a call
Call = Callable[[int], Awaitable[int]]  # the number of an actor -> what it answered


TALLY, TRIP = "tally/add", "trip/steps"
STEPS = 3


class Answers:
    """Whether every call took effect once: each tally's answers rise by one, each trip's are the same."""

    def __init__(self, work: str) -> None:
        self._work = work
        self._seen: dict[int, list[int]] = {}

    def take(self, actor: int, answer: int) -> None:
        """An answer has come."""
        self._seen.setdefault(actor, []).append(answer)

    def check(self) -> None:
        """Raise AssertionError unless each tally answered 1, 2, …, n, and each trip what three steps make."""
        for actor, answers in self._seen.items():
            due = range(1, len(answers) + 1) if self._work == TALLY else [1 + STEPS] * len(answers)
            assert sorted(answers) == list(due), f"{self._work} of {actor}: calls lost or repeated"


async def closed_loop(call: Call, callers: int, seconds: float, answers: Answers, least: int = 0) -> Level:
    """Call for so long, and `least` times in all."""
    took: list[float] = []
    began = time.perf_counter()
    end = began + seconds

    async def caller(number: int) -> None:
        turn = number
        while (start := time.perf_counter()) < end or turn < least:
            actor = turn % ACTORS
            answers.take(actor, await call(actor))
            took.append(time.perf_counter() - start)
            turn += callers

    cpu = time.process_time()
    await asyncio.gather(*(caller(n) for n in range(callers)))
    return _level(callers, took, time.perf_counter() - began, time.process_time() - cpu)


def _level(callers: int, took: list[float], spent: float, cpu: float) -> Level:
    took.sort()
    at = [took[min(len(took) - 1, int(len(took) * q))] * 1000 for q in (0.5, 0.99)]
    rate, cpu_us = len(took) / spent, cpu / len(took) * 1e6
    return {"callers": callers, "rate": rate, "p50": at[0], "p99": at[1], "cpu": cpu_us}


async def levels(
    work: str, calls: Callable[[int], Awaitable[Call]], callers: list[int], seconds: float
) -> list[Level]:
    """Every number of callers, after a warm-up that makes all actors."""
    answers, found = Answers(work), []
    await closed_loop(await calls(64), 64, min(1.5, seconds), answers, ACTORS)
    for number in callers:
        call = await calls(number)
        gc.collect()
        gc.freeze()
        found.append(await closed_loop(call, number, seconds, answers))
    answers.check()
    return found


async def _by_client(work: str, client: AsyncClient, callers: list[int], seconds: float) -> list[Level]:
    type, handler = work.split("/")

    async def calls(_: int) -> Call:
        async def call(actor: int) -> int:
            answer: int = await client.ask(f"{type}/{actor}", handler, amount=1)
            return answer

        return call

    return await levels(work, calls, callers, seconds)


async def _by_http(work: str, url: str, path: str, callers: list[int], seconds: float) -> list[Level]:
    host, _, port = url.removeprefix("http://").partition(":")
    type, handler = work.split("/")
    requests = [_request(url, f"{path}{type}/{n}/{handler}") for n in range(ACTORS)]

    async def calls(number: int) -> Call:
        free = [await Connection.open(host, int(port)) for _ in range(number)]

        async def call(actor: int) -> int:
            connection = free.pop()
            status, body = await connection.exchange(requests[actor])
            free.append(connection)
            assert status == 200, body
            return int(body)

        return call

    return await levels(work, calls, callers, seconds)


def _request(url: str, path: str) -> bytes:
    body = b'{"amount":1}'
    head = f"POST {path} HTTP/1.1\r\nHost: {url[7:]}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


async def _embedded(work: str, folder: str, callers: list[int], seconds: float) -> list[Level]:
    actors = {"tally": Tally, "trip": Trip}
    with Inside(f"embedded:{folder}/log", Topics(), Path(folder) / "state", actors) as inside:
        inside.start()
        async with AsyncClient(log=inside.log, topics=inside.topics) as client:
            return await _by_client(work, client, callers, seconds)


async def _users(work: str, url: str, callers: list[int], seconds: float) -> list[Level]:
    async with AsyncClient(url) as client:
        return await _by_client(work, client, callers, seconds)


def _users_threads(work: str, url: str, callers: list[int], seconds: float) -> list[Level]:
    answers = Answers(work)
    type, handler = work.split("/")

    with Client(url) as client:

        def call(actor: int) -> int:
            answer: int = client.ask(f"{type}/{actor}", handler, amount=1)
            return answer

        closed_loop_of_threads(call, 16, min(1.5, seconds), answers, ACTORS)
        found = [closed_loop_of_threads(call, number, seconds, answers) for number in callers]
    answers.check()
    return found


def closed_loop_of_threads(
    call: Callable[[int], int], callers: int, seconds: float, answers: Answers, least: int = 0
) -> Level:
    """As `closed_loop`, a thread for each caller."""
    seen: list[list[tuple[int, int, float]]] = [[] for _ in range(callers)]
    began, cpu = time.perf_counter(), time.process_time()
    end = began + seconds

    def caller(number: int) -> None:
        turn, mine = number, seen[number]
        while (start := time.perf_counter()) < end or turn < least:
            actor = turn % ACTORS
            mine.append((actor, call(actor), time.perf_counter() - start))
            turn += callers

    threads = [threading.Thread(target=caller, args=(n,)) for n in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent, cpu = time.perf_counter() - began, time.process_time() - cpu
    for mine in seen:
        for actor, answer, _ in mine:
            answers.take(actor, answer)
    return _level(callers, [took for mine in seen for _, _, took in mine], spent, cpu)


async def _kafka(work: str, address: str, prefix: str, callers: list[int], seconds: float) -> list[Level]:
    async with AsyncClient(f"kafka://{address}", topics=Topics(prefix)) as client:
        return await _by_client(work, client, callers, seconds)


def threads(address: str, prefix: str, seconds: float) -> Level:
    """One caller by the client for threads."""
    took: list[float] = []
    log = open_log(f"kafka://{address}")
    with Client(log=log, topics=Topics(prefix)) as client:
        for n in range(200):
            client.ask(f"tally/thread-{n % 50}", "add", amount=1)
        end, cpu = time.perf_counter() + seconds, time.process_time()
        while (start := time.perf_counter()) < end:
            client.ask(f"tally/thread-{len(took) % 50}", "add", amount=1)
            took.append(time.perf_counter() - start)
        cpu = time.process_time() - cpu
    log.close()
    return _level(1, took, seconds, cpu)


def main() -> None:
    """Measure as the command line says."""
    work, way, where, prefix, seconds, *callers = sys.argv[1:]
    numbers, spent = [int(c) for c in callers], float(seconds)
    found: Any
    if way == "http":
        found = uvloop.run(_by_http(work, where, prefix, numbers, spent))
    elif way == "http-async":
        found = asyncio.run(_users(work, where, numbers, spent))
    elif way == "http-threads":
        found = _users_threads(work, where, numbers, spent)
    elif way == "embedded":
        found = uvloop.run(_embedded(work, where, numbers, spent))
    elif way == "threads":
        found = [threads(where, prefix, spent)]
    else:
        found = uvloop.run(_kafka(work, where, prefix, numbers, spent))
    print(json.dumps({"levels": found, "threads": threading.active_count()}))


if __name__ == "__main__":
    main()
