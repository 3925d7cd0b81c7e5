"""Ingest, in the simulation: the real one of each process, stepped by the scheduler, over a topic of its own.

Its processes die with what they have on their way, and with positions that are stored or not; its questions
to the log are answered late, or by an error. Each record must take effect once all the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TypeVar

from plexstream.log.base import Item, TopicSpec
from plexstream.log.installation import Control, life_key
from plexstream.model.errors import LogError, LogUnavailable
from plexstream.model.topics.topics import Topics
from plexstream.node.ingest.ingest import Ingest
from plexstream.node.shared.desk import Answer
from plexstream.sdk.spec import ActorType, Subscription
from plexstream.testing.simulation.network.network import Network, SimProducer
from plexstream.testing.simulation.process.process import SimProcess

T = TypeVar("T")
SOURCE = "source"
PARTITIONS = 3


class _Desk:
    """Asks when it is looked at; some questions get no answer, done or not."""

    def __init__(self, random: Random, network: Network) -> None:
        self._random = random
        self._network = network
        self._asked: list[tuple[object, Callable[[], object], Callable[[object], None]]] = []

    def ask(
        self, owner: object, partition: int, ask: Callable[[], T], then: Callable[[T | LogError], None]
    ) -> None:
        self._asked.append((owner, ask, then))  # type: ignore[arg-type]

    def take(self) -> list[Answer]:
        faults = self._network.odds_answer > 0
        if faults and self._random.random() < 0.5:
            return []
        asked, self._asked = self._asked, []
        return [Answer(owner, then, self._answer(ask, faults)) for owner, ask, then in asked]

    def _answer(self, ask: Callable[[], object], faults: bool) -> object:
        fate = self._random.random() if faults else 1.0
        if fate < 0.1:
            return LogUnavailable("nobody answers")
        try:
            answer = ask()
        except LogError as error:
            return error
        return LogUnavailable("the answer is lost") if fate < 0.2 else answer

    def close(self) -> None:
        self._asked.clear()


class _Feeder:
    """The ingest of one process, life by life."""

    def __init__(self, feeding: Feeding, process: SimProcess) -> None:
        self._feeding = feeding
        self._process = process
        self.life = ""
        self._begin()

    def _begin(self) -> None:
        f, process = self._feeding, self._process
        network = process.network
        if self.life:
            self._sender.die(f.longest)
        self.life = process.node
        control = Control(process.log, f.topics, f.known, watch=False)
        self.ingest = Ingest(
            process.log, f.topics, process.partitions, {"cell": f.type}, clock=lambda: f.clock() / 1000,
            desk=_Desk(f.random, network), control=control,
        )  # fmt: skip
        self._open()

    def _open(self) -> None:
        self._sender = SimProducer(self._process.network, f"{self.life} ingest")
        self._appender, self._reader = self._sender.paced(), self._process.log.reader(committed=True)
        self.ingest.begin()

    def step(self) -> None:
        """One round, if its process lives."""
        process = self._process
        if not process.alive:
            self._sender.die(self._feeding.longest)
            return
        if self.life != process.node:
            self._begin()
        self.ingest.assign(process.wanted)
        try:
            self.ingest.step(self._reader, self._appender)
        except LogError:
            self._appender.close()
            self._open()

    def idle(self) -> bool:
        """Whether everything has arrived."""
        waits = self._sender.pending or self._appender.holding
        return self.life == self._process.node and not waits and self.ingest.idle()


class Feeding:
    """A source topic, and those who feed it into mailboxes.

    Attributes:
        ops: what its records ask for, each once.
    """

    def __init__(
        self, seed: int, network: Network, topics: Topics, cells: int, clock: Callable[[], int], longest: int,
        of: ActorType,
    ) -> None:  # fmt: skip
        self.random = Random(f"feeding {seed}")
        self.network = network
        self.topics = topics
        self.clock = clock
        self.longest = longest
        self.ops: list[str] = []
        self.type = replace(of, subscriptions=[Subscription(SOURCE, None, "add", None)])
        self._cells = cells
        self._feeders: dict[str, _Feeder] = {}
        network.create([TopicSpec(SOURCE, PARTITIONS)])
        self.known = {life_key(SOURCE): json.dumps(network.log.topic_id(SOURCE)).encode()}

    def record(self) -> None:
        """Somebody writes to the source."""
        op = f"source:{len(self.ops)}"
        self.ops.append(op)
        value = json.dumps({"op": op, "amount": self.random.randrange(4)}).encode()
        item: Item = (str(self.random.randrange(self._cells)).encode(), value)
        self.network.log.append_now((SOURCE, self.random.randrange(PARTITIONS)), [item])

    def step(self, process: SimProcess) -> None:
        """One round of a process's ingest."""
        feeder = self._feeders.get(process.name)
        if feeder is None:
            feeder = self._feeders[process.name] = _Feeder(self, process)
        feeder.step()

    def idle(self, processes: list[SimProcess]) -> bool:
        """Whether all of the source is in mailboxes."""
        found = [self._feeders.get(process.name) for process in processes]
        return all(feeder is not None and feeder.idle() for feeder in found)
