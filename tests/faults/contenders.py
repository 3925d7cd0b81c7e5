"""Callers that contend for what they coordinate by, and what they have heard."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from serving import until

from plexstream import AsyncClient
from plexstream.model.errors import CallError, LogError, Rejected
from plexstream.sdk.host.coordination.nouns import Nouns

LONG = 600.0  # seconds of a lease: longer than a test
PAUSE = 0.01  # seconds between a caller's calls: the faults are the test, not the load
PATIENCE = 1, 2, 4  # seconds, of an attempt: the client itself goes on for longer where a node is gone
SPACES = "plain", "jobs*4"
MEMBERS = 3
HEARERS = 3
One = Callable[["Caller"], Awaitable[None]]
Kinds = dict[str, tuple[One, int]]
"""By the name of each kind of caller, what it does again and again, and how many there are."""


class Held:
    """What is held by one at a time, as its holders see it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.holder = ""
        self.newest = 0
        self.times = 0

    def begin(self, holder: str, token: int) -> None:
        assert not self.holder, f"{self.name}: {holder} and {self.holder} hold it"
        assert token > self.newest, f"{self.name}: {token} after {self.newest}"
        self.holder, self.newest = holder, token
        self.times += 1

    def end(self) -> None:
        self.holder = ""


class Contenders:
    """All callers, on a thread of their own. Each repeats a call under its key until it is acknowledged."""

    def __init__(self, name: str, clients: list[Callable[[], AsyncClient]], kinds: Kinds) -> None:
        self.name = name
        self.done: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.pending: dict[str, tuple[str, float]] = {}
        self.slowest: dict[str, float] = {}
        self.written: dict[str, list[Any]] = {space: [] for space in SPACES}
        self.taken: dict[str, list[Any]] = {space: [] for space in SPACES}
        self.raw: dict[str, list[Any]] = {space: [] for space in SPACES}
        self.moved: dict[str, list[Any]] = {space: [] for space in SPACES}
        self.counted: Counter[str] = Counter()
        self.swapped: list[Any] = []
        self.sent: list[Any] = []
        self.received: list[Any] = []
        self.flaky: list[Any] = []
        self.flaky_done: list[Any] = []
        self.published: list[Any] = []
        self.posted: dict[str, int] = {}
        self.fetched: list[Any] = []
        self.registered: dict[str, list[str]] = {}
        self.added = 0
        self.held: dict[str, Held] = {}
        self.tokens: list[tuple[float, float, int]] = []
        self._clients = clients
        self._kinds = kinds
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Contenders:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        for _ in range(18 if kind is None else 1):
            self._thread.join(5)
            if not self._thread.is_alive():
                break
            sys.stdout.write(f"not answered yet: {self.waits()}\n")
        if kind is None:
            self.check()
            assert not self._thread.is_alive(), f"calls that nobody answers: {self.waits()}"

    def check(self) -> None:
        if self._failed:
            raise self._failed[0]

    def waits(self) -> list[str]:
        now = time.monotonic()
        return [f"{who} {what} for {now - since:.0f} s" for who, (what, since) in self.pending.items()]

    def more(self, number: int = 2, seconds: float = 60.0) -> None:
        """Wait until every kind of caller has done so many more."""
        goal = {kind: self.done[kind] + number for kind in self._kinds}

        def lacking() -> list[str]:
            self.check()
            return [kind for kind in self._kinds if self.done[kind] < goal[kind]]

        try:
            until("more calls", lambda: not lacking(), seconds)
            sys.stdout.write(f"{sum(self.done.values())} done, {dict(self.errors)}\n")
        except AssertionError:
            raise AssertionError(f"no more of {lacking()}: {self.waits()}, {self.errors}") from None

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as error:
            self._failed.append(error)

    async def _all(self) -> None:
        self.clients = [make() for make in self._clients]
        try:
            await self._prepare()
            async with asyncio.TaskGroup() as group:
                for kind, (caller, number) in self._kinds.items():
                    for i in range(number):
                        group.create_task(Caller(self, kind, f"{kind}{i}").run(caller))
        finally:
            for client in self.clients:
                await client.close()

    async def _prepare(self) -> None:
        first = Caller(self, "prepare", "prepare")
        await first.call(lambda n: n.pools.pool("pool").add([f"m{i}" for i in range(MEMBERS)]))
        await first.call(lambda n: n.shards.group("slices").create("slice", 4))
        await first.call(lambda n: n.queues.queue("flaky").configure(attempts=1000))
        for i in range(HEARERS):
            address = f"hearer/{i}"
            await first.call(lambda n, a=address: n.groups.group("all").join(a))
            await first.call(
                lambda n, a=address: n.channels.channel("news").subscribe(a.replace("/", "-"), a, "post")
            )
        await first.call(lambda n: n.channels.channel("news").subscribe("fetcher", start="start"))


class Caller:
    """One who calls, one call after the other."""

    def __init__(self, all: Contenders, kind: str, name: str) -> None:
        self.all = all
        self.kind = kind
        self.name = name
        self.number = 0
        self.random = random.Random(f"{all.name} {name}")
        self.clients = itertools.cycle(self.random.sample(all.clients, len(all.clients)))

    async def run(self, one: One) -> None:
        while not self.all._stop.is_set():
            await one(self)
            self.all.done[self.kind] += 1
            await asyncio.sleep(PAUSE)

    async def call(self, operate: Callable[[Nouns], Awaitable[Any]], reads: bool = False) -> Any:
        """What comes of an operation; repeated, also where there was an answer, it has to be the same."""
        key = self.key()
        result = await self._until_answered(key, operate)
        if not reads and self.random.random() < 0.05:
            again = await self._until_answered(key, operate)
            assert again == result, f"{self.name}: {key} was {result}, and again {again}"
        return result

    def key(self) -> str:
        self.number += 1
        return f"{self.all.name} {self.name} {self.number}"

    async def _until_answered(self, key: str, operate: Callable[[Nouns], Awaitable[Any]]) -> Any:
        begun = time.monotonic()
        self.all.pending[self.name] = (key, begun)
        while True:
            try:
                async with asyncio.timeout(self.random.choice(PATIENCE)):
                    result = await operate(next(self.clients).keyed(key))
                break
            except Rejected:
                del self.all.pending[self.name]
                raise
            except (CallError, LogError, TimeoutError) as error:
                self.all.errors[type(error).__name__] += 1
                if time.monotonic() > begun + 10:
                    sys.stdout.write(f"{key}: {time.monotonic() - begun:.1f} s {error!r}\n")
                if time.monotonic() > begun + 80:
                    raise AssertionError(f"nobody answers {key}: {error}") from None
                await asyncio.sleep(0.05)
        del self.all.pending[self.name]
        took = time.monotonic() - begun
        self.all.slowest[self.kind] = max(took, self.all.slowest.get(self.kind, 0))
        return result

    async def ask(self, target: str, handler: str, /, **arguments: Any) -> Any:
        key = self.key()
        begun = time.monotonic()
        self.all.pending[self.name] = (f"{key} {target} {handler}", begun)
        while True:
            try:
                client = next(self.clients)
                result = await client.ask(target, handler, arguments, timeout=4, idempotency_key=key)
                break
            except Rejected:
                raise
            except (CallError, LogError) as error:
                self.all.errors[type(error).__name__] += 1
                if time.monotonic() > begun + 80:
                    raise AssertionError(f"nobody answers {key}: {error}") from None
                await asyncio.sleep(0.05)
        del self.all.pending[self.name]
        return result
