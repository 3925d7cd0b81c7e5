"""Callers that never give up a call, and the reckoning: each acknowledged call is there once, in order."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from serving import Served, until

from plexstream import AsyncClient
from plexstream.inspection.history import read
from plexstream.log.base import Log
from plexstream.model.errors import CallError, LogError

PAUSE = 0.004  # seconds between a caller's calls: the faults are the test, not the load
LEDGERS = 12


class Load:
    """Callers on a thread of their own. Each calls random ledgers, one call after the other.

    A call that fails is repeated with its idempotency key until it is acknowledged.
    """

    def __init__(self, seed: int, clients: list[Callable[[], AsyncClient]], callers: int = 6) -> None:
        self.acknowledged: dict[str, list[tuple[str, int, int]]] = {}  # by ledger: caller, number, count
        self.errors: dict[str, int] = {}
        self.gap = 0.0  # the longest time between two acknowledgements
        self._last = time.monotonic()
        self._seed = seed
        self._clients = clients
        self._callers = callers
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.stop()
        else:  # what the test found says more than what became of the callers then
            self._stop.set()
            self._thread.join(30)

    def stop(self) -> None:
        """Let every caller finish the call that it makes."""
        self._stop.set()
        self._thread.join(90)
        assert not self._thread.is_alive(), f"calls are not answered; errors so far: {self.errors}"
        if self._failed:
            raise self._failed[0]

    @property
    def done(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    def more(self, calls: int = 40) -> None:
        """Wait until so many more calls are acknowledged."""
        goal = self.done + calls
        until(f"{calls} more calls", lambda: self.done >= goal or self._failed, 60)

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as error:
            self._failed.append(error)

    async def _all(self) -> None:
        clients = [make() for make in self._clients]
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._callers):
                    group.create_task(self._caller(f"c{number}", clients[number % len(clients)]))
        finally:
            for client in clients:
                await client.close()

    async def _caller(self, caller: str, client: AsyncClient) -> None:
        random_ = random.Random(f"{self._seed} {caller}")
        number = 0
        while not self._stop.is_set():
            ledger = f"ledger/{random_.randrange(LEDGERS)}"
            count = await self._call(client, ledger, caller, number)
            now = time.monotonic()
            self.gap, self._last = max(self.gap, now - self._last), now
            self.acknowledged.setdefault(ledger, []).append((caller, number, count))
            number += 1
            await asyncio.sleep(PAUSE)

    async def _call(self, client: AsyncClient, ledger: str, caller: str, number: int) -> int:
        key = f"{caller}.{number}"
        end = time.monotonic() + 80
        while True:
            try:
                answer = await client.ask(
                    ledger, "add", caller=caller, number=number, timeout=4.0, idempotency_key=key
                )
                return int(answer["count"])
            except (CallError, LogError) as error:
                name = type(error).__name__
                self.errors[name] = self.errors.get(name, 0) + 1
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.05)


def reckon(load: Load, node: Served, outputs: Callable[[], list[dict[str, Any]]]) -> None:
    """Every acknowledged call is there exactly once, with what it told and emitted, in order."""
    made = [(ledger, *call) for ledger, calls in load.acknowledged.items() for call in calls]
    assert made, "no call was made"
    ids: dict[str, dict[str, int]] = {}
    for ledger, caller, number, count in made:
        ids.setdefault(ledger, {})[f"{caller}.{number}"] = count
    for ledger, entries in ids.items():
        report = node.report(ledger)
        assert report["entries"] == entries, f"{ledger}: not what was acknowledged"
        assert (report["count"], report["doubles"], report["disorder"]) == (len(entries), 0, 0), ledger

    totals = {ledger: len(entries) for ledger, entries in ids.items()}

    def told() -> bool:
        return bool(node.report("tally/all")["total"] >= len(made))

    until("every message between actors has arrived", told)
    everything = node.report("tally/all")
    assert everything == {"total": len(made), "disorder": 0, "counts": totals}
    for caller in {caller for _, caller, _, _ in made}:
        own: dict[str, int] = {}
        for ledger, name, _, _ in made:
            if name == caller:
                own[ledger] = own.get(ledger, 0) + 1
        expected = {"total": sum(own.values()), "disorder": 0, "counts": own}
        tally = f"tally/{caller}"
        until(tally, lambda t=tally, e=expected: node.report(t)["total"] >= e["total"])
        found = node.report(tally)
        assert found == expected, f"{tally}: {found}, expected {expected}"

    # A transaction whose commit a broker took with it is given up after 20 s, and there may be several.
    until("every output", lambda: len(outputs()) >= len(made), 90)
    records = sorted((o["ledger"], o["id"], o["count"]) for o in outputs())
    assert records == sorted((ledger, id, count) for ledger, e in ids.items() for id, count in e.items())


def committed(log: Log, topic: str) -> list[bytes]:
    """The values of all committed records of a topic."""
    places = [(topic, partition) for partition in range(log.partitions(topic) or 0)]
    batches = [batch for place in places for batch in read(log, place, *log.range(place), committed=True)]
    return [record.value or b"" for batch in batches for record in batch]
