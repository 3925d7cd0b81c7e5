"""Callers from outside, of every kind at once, and the history of what they asked for and what they heard."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Message, Producer
from serving import PARTITIONS, until

from plexstream import AsyncClient
from plexstream.log.kafka.common.settings import PROMPT
from plexstream.model.errors import LogUnavailable, Overloaded, TimedOut
from plexstream.model.messages.address import full, partition_of

ATTEMPT_S = 4.0
"""How long a caller waits for an answer before it asks again, by another way."""
PAUSE_S = 0.1
"""Between the operations of one caller: the faults are the test, not the load."""
GIVE_UP_S = 150.0

ACCOUNTS, TELLERS, BAGS, ROWS, BOOKS, CLOCKS, SINKS = 8, 3, 3, 4, 2, 4, 4
KINDS = (
    "transfer",
    "told transfer",
    "teller",
    "add",
    "append",
    "told append",
    "read",
    "order",
    "timer",
    "record",
    "bystander",
)

OK, UNKNOWN, PENDING = "ok", "unknown", "pending"


def away(name: str) -> str:
    """A bag that is not in partition 0: what befalls that one alone is nothing to it."""
    bags = (f"bag/{name}-away{i}" for i in itertools.count())
    return next(bag for bag in bags if partition_of(full(bag), PARTITIONS) != 0)


@dataclass
class Operation:
    """One thing that a caller wanted. `begun` and `ended` are seconds of the monotonic clock."""

    kind: str
    caller: str
    target: str
    id: str
    begun: float
    ended: float = 0.0
    outcome: str = PENDING
    result: Any = None
    errors: list[str] = field(default_factory=list)

    def end(self, outcome: str, result: Any = None) -> Operation:
        self.ended = time.monotonic()
        self.result = result
        self.outcome = outcome
        return self

    def __str__(self) -> str:
        why = f" after {'; '.join(self.errors[-3:])}" if self.errors else ""
        return f"{self.kind} {self.id} of {self.caller} at {self.target}: {self.outcome}{why}"


class Callers:
    """All callers, on a thread of their own, as a context manager.

    Each makes one call after the other. Most repeat a call, with its idempotency key and by another way,
    until it is acknowledged; some never do, and go on with the next: the outcome is unknown then.
    """

    def __init__(
        self, name: str, ways: dict[str, Callable[[], AsyncClient]], brokers: str, source: str
    ) -> None:
        self.name = name
        self.history: list[Operation] = []
        self._make = ways
        self._ways: dict[str, AsyncClient] = {}
        self._brokers = brokers
        self._source = source
        self._stopping = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Callers:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stopping.set()
        self._thread.join(GIVE_UP_S + 10 if kind is None else 20)
        if kind is None:
            assert not self._thread.is_alive(), f"callers wait for ever: {self.pending()}"
            self._raise()

    def pending(self) -> list[str]:
        return [str(op) for op in self.history if op.outcome == PENDING]

    def more(self, what: str, kinds: Sequence[str] = KINDS, number: int = 3, seconds: float = 90.0) -> None:
        """Wait until so many operations of each kind have begun from now on, and are acknowledged."""
        since = time.monotonic()

        def lacking() -> list[str]:
            self._raise()
            done = [op.kind for op in self.history if op.begun >= since and op.outcome == OK]
            return [kind for kind in kinds if done.count(kind) < number]

        try:
            until(what, lambda: not lacking(), seconds)
        except AssertionError:
            waits = "\n".join(self.pending())
            raise AssertionError(
                f"{what}: not {number} of {lacking()} in {seconds:.0f} s; pending:\n{waits}"
            ) from None

    def _raise(self) -> None:
        if self._failed:
            raise self._failed[0]

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as error:
            self._failed.append(error)

    async def _all(self) -> None:
        self._ways = {name: make() for name, make in self._make.items()}
        try:
            async with asyncio.TaskGroup() as group:
                for work in self._callers():
                    group.create_task(work)
        finally:
            self._stopping.set()
            for client in self._ways.values():
                await client.close()

    def _callers(self) -> Iterator[Any]:
        http, straight = [w for w in self._ways if w != "kafka"], ["kafka"]
        both = [*http, *straight]
        n = self.name
        yield self._transfers("transfer", "t1", http)
        yield self._transfers("transfer", "t2", straight)
        yield self._transfers("told transfer", "t3", both)
        yield self._transfers("told transfer", "t4", straight, patient=False)
        yield self._tellers("t5", both)
        yield self._each("add", "b1", http, lambda i: (f"bag/{n}-{i % BAGS}", "add", {"element": f"b1.{i}"}))
        yield self._each(
            "add",
            "b2",
            straight,
            lambda i: (f"bag/{n}-{i % BAGS}", "add", {"element": f"b2.{i}"}),
            patient=False,
        )
        bystander = away(n)
        yield self._each("bystander", "b3", both, lambda i: (bystander, "add", {"element": f"b3.{i}"}))
        for caller, kind, ways in (
            ("r1", "append", http),
            ("r2", "append", straight),
            ("r3", "told append", both),
        ):
            yield self._each(
                kind, caller, ways,
                lambda i, c=caller: (f"row/{n}-{i % ROWS}", "append", {"entry": f"{c}.{i}"}),
            )  # fmt: skip
        yield self._each("read", "q1", both, lambda i: (f"row/{n}-{i % ROWS}", "report", {}), keyed=False)
        yield self._each("read", "q2", straight, lambda i: (f"bag/{n}-{i % BAGS}", "report", {}), keyed=False)
        yield self._each(
            "order",
            "o1",
            both,
            lambda i: (f"order/{n}-{i}", "run", {"book": f"book/{n}-{i % BOOKS}"}),
            keyed=False,
        )
        yield self._each(
            "timer",
            "c1",
            both,
            lambda i: (f"clock/{n}-{i % CLOCKS}", "set", {"id": f"c1.{i}", "delay": 0.2 + i % 4 * 0.8}),
        )
        yield self._records("s1")

    def _transfers(self, kind: str, caller: str, ways: list[str], *, patient: bool = True) -> Any:
        random_ = random.Random(f"{self.name} {caller}")

        def one(i: int) -> tuple[str, str, dict[str, Any]]:
            source, to = random_.sample(range(ACCOUNTS), 2)
            arguments = {
                "id": f"{caller}.{i}",
                "to": f"account/{self.name}-{to}",
                "amount": random_.randrange(1, 9),
            }
            return f"account/{self.name}-{source}", "transfer", arguments

        return self._each(kind, caller, ways, one, patient=patient)

    def _tellers(self, caller: str, ways: list[str]) -> Any:
        random_ = random.Random(f"{self.name} {caller}")

        def one(i: int) -> tuple[str, str, dict[str, Any]]:
            source, to = (f"account/{self.name}-{a}" for a in random_.sample(range(ACCOUNTS), 2))
            arguments = {"id": f"{caller}.{i}", "source": source, "to": to, "amount": random_.randrange(1, 9)}
            return f"teller/{self.name}-{i % TELLERS}", "transfer", arguments

        return self._each("teller", caller, ways, one)

    async def _each(
        self,
        kind: str,
        caller: str,
        ways: list[str],
        one: Callable[[int], tuple[str, str, dict[str, Any]]],
        *,
        patient: bool = True,
        keyed: bool = True,
    ) -> None:
        for i in itertools.count():
            if self._stopping.is_set():
                return
            target, handler, arguments = one(i)
            op = Operation(kind, caller, target, f"{caller}.{i}", time.monotonic())
            self.history.append(op)
            await self._call(op, ways, handler, arguments, patient, f"{self.name} {op.id}" if keyed else "")
            await asyncio.sleep(PAUSE_S)

    async def _call(
        self, op: Operation, ways: list[str], handler: str, arguments: dict[str, Any], patient: bool, key: str
    ) -> None:
        told = op.kind.startswith("told")
        for way in itertools.cycle(ways):
            client = self._ways[way]
            call = client.tell if told else client.ask
            try:
                result = await call(op.target, handler, arguments, timeout=ATTEMPT_S, idempotency_key=key)
            except (TimedOut, LogUnavailable, Overloaded) as error:
                after = time.monotonic() - op.begun
                op.errors.append(f"{way} at {after:.1f} s: {type(error).__name__} {error}")
            else:
                op.end(OK, result)
                return
            if not patient:
                op.end(UNKNOWN)
                return
            if time.monotonic() > op.begun + GIVE_UP_S:
                raise AssertionError(f"nobody answers {op}")
            await asyncio.sleep(0.1)

    async def _records(self, caller: str) -> None:
        """Appends to the source topic, one record after the other, each surely acknowledged or not known."""
        producer = Producer(
            {"bootstrap.servers": self._brokers, "acks": "all", "enable.idempotence": True, "log_level": 0,
             "message.timeout.ms": 0, "linger.ms": 0, **PROMPT, "partitioner": "murmur2"}
        )  # fmt: skip
        numbers: dict[str, int] = {}
        for i in itertools.count():
            if self._stopping.is_set():
                break
            sink = f"{self.name}-{i % SINKS}"
            number = numbers[sink] = numbers.get(sink, -1) + 1
            op = Operation("record", caller, f"sink/{sink}", str(number), time.monotonic())
            self.history.append(op)
            heard: list[int | None] = []

            def note(error: object, message: Message, heard: list[int | None] = heard) -> None:
                heard.append(None if error is not None else message.offset())

            producer.produce(
                self._source, json.dumps({"sink": sink, "number": number}), sink, on_delivery=note
            )
            while not heard:
                producer.poll(0)
                if time.monotonic() > op.begun + GIVE_UP_S:
                    raise AssertionError(f"nobody takes {op}")
                await asyncio.sleep(0.01)
            # Without an offset it is not known to be anywhere.
            op.end(UNKNOWN if heard[0] is None or heard[0] < 0 else OK, heard[0])
            await asyncio.sleep(PAUSE_S)
        producer.purge()
        producer.poll(0)
