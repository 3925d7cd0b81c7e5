"""From existing topics into mailboxes, each record once.

A record becomes a message whose origin is its topic, that topic's life and its partition, and whose number
there is its offset: what is sent again after a crash is dropped by the receiver. So the position kept here
only saves work. What is wrong with one source partition costs that one alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar, cast

from plexstream.log.base import Ack, Appender, Log, Place, Reader, Record
from plexstream.log.installation import Control
from plexstream.model.errors import LogError, Shortened
from plexstream.model.process.threads import Lasting
from plexstream.model.topics.topics import Topics
from plexstream.node.ingest.feed import Feed
from plexstream.node.ingest.feeding import AnyFeed, Feeding
from plexstream.node.ingest.sources import sources
from plexstream.node.ingest.sources.belief import AnotherLife
from plexstream.node.ingest.sources.positions import Positions
from plexstream.node.ingest.sources.source import Source, Stage
from plexstream.node.ingest.sources.sources import Sources
from plexstream.node.ingest.sources.subscribed import Subscribed
from plexstream.node.ingest.spaces import Fed, SpaceFeed
from plexstream.node.shared.desk import Desk, Questions
from plexstream.sdk.spec import ActorType

T = TypeVar("T")

_log = logging.getLogger("plexstream.node")

READ_LIMIT = 1_000
MAX_BATCHES = 32
"""Reads of one source on their way into mailboxes, before it is read on."""
MAX_BYTES = 8 << 20
"""And so many bytes of them."""
STOP_S = 2.0


class Ingest:
    """A thread that feeds this worker's share of the subscribed topics into mailboxes.

    Partition *q* of a source belongs to the worker that has mailbox partition *q* modulo their number.

    Parameters:
        types: actors, whose subscriptions are fed.
        spaces: and the spaces that are.
    """

    def __init__(
        self, log: Log, topics: Topics, partitions: int, types: Mapping[str, ActorType],
        max_message: int = 1 << 20, *, clock: Callable[[], float] = time.monotonic,
        desk: Questions | None = None, control: Control | None = None, spaces: Sequence[Fed] = (),
    ) -> None:  # fmt: skip
        self._clock = clock
        self._log = log
        self._partitions = partitions
        control = control or Control(log, topics)
        self._feeds: dict[str, list[AnyFeed]] = {}
        for name, spec in types.items():
            for subscription in spec.subscriptions:
                self._feeds.setdefault(subscription.topic, []).append(Feed(name, subscription, max_message))
        # Behind those of actors: these keep their places, by which what is sent again is known.
        for fed in spaces:
            self._feeds.setdefault(fed.topic, []).append(SpaceFeed(fed, max_message))
        self._wanted: frozenset[int] = frozenset()
        self._stop = threading.Event()
        self._drained = float("-inf")  # when the reader had nothing more, last
        self._desk: Questions = desk or Desk(lambda: None)
        self._subscribed = Subscribed(log, control, self._feeds, self._desk, clock)
        self._sources = Sources(log, control, self._subscribed, self._ask, clock)
        self._feeding = Feeding(topics.mailbox, partitions, self._feeds)
        self._positions = Positions(log, control, self._ask, clock)
        self._places: dict[Place, int] = {}  # numbers, for the desk
        self.thread = Lasting("ingest", self._run, self._stop.is_set)

    def start(self) -> None:
        """Begin, if anything is subscribed at all."""
        if self._feeds:
            self.thread.start()

    def assign(self, partitions: Iterable[int]) -> None:
        """The mailbox partitions whose share this worker feeds."""
        self._wanted = frozenset(partitions)

    def stop(self) -> None:
        """End; what is not acknowledged is fed again later."""
        self._stop.set()
        if self.thread.is_alive():
            self.thread.join(STOP_S)

    def topics(self) -> list[str]:
        """What is subscribed to, be it there yet or not."""
        return list(self._feeds)

    def positions(self) -> dict[Place, int]:
        """Next offset by source partition, of those that are read."""
        return {
            place: source.done
            for place, source in list(self._sources.by_place.items())
            if source.stage is Stage.READING
        }

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._session()
            except LogError as error:
                _log.warning("ingest begins anew: %s", error)
                self._stop.wait(sources.RETRY_S)
            except Exception:
                _log.exception("ingest begins anew")
                self._stop.wait(sources.RETRY_S)
        self._desk.close()

    def _session(self) -> None:
        reader, appender = self._log.reader(committed=True), self._log.appender()
        self.begin()
        try:
            while not self._stop.is_set():
                self.step(reader, appender)
            self._positions.commit(self._sources.by_place.values())
            self._positions.wait(self._sources.by_place.values(), self._answers)
        finally:
            reader.close()
            appender.close()

    def begin(self) -> None:
        """Forget where the sources are: it is asked again."""
        self._sources.forget()

    def step(self, reader: Reader, appender: Appender) -> None:
        """One round: what is there to be fed, and what has arrived. Raises LogError: begin anew."""
        self._answers()
        self._heed(reader, appender)
        self._subscribed.look()
        self._sources.follow(reader, self._is_own)
        self._read(reader, appender)
        if appender.broken:
            raise LogError("feeding mailboxes failed, nothing more can be appended")
        self._positions.commit_if_due(self._sources.by_place.values())

    def idle(self) -> bool:
        """Whether all that there is of its sources is in mailboxes, as far as it knows."""
        return self._sources.idle()

    def _is_own(self, partition: int) -> bool:
        return partition % self._partitions in self._wanted

    def _ask(self, place: Place, ask: Callable[[], T], then: Callable[[T | LogError], None]) -> None:
        number = self._places.setdefault(place, len(self._places))
        self._desk.ask(self, number, ask, then)

    def _answers(self) -> None:
        for answer in self._desk.take():
            answer.then(answer.result)

    # What they give

    def _read(self, reader: Reader, appender: Appender) -> None:
        in_flight = False
        for source in self._sources.by_place.values():
            in_flight = in_flight or bool(source.outstanding)
            full = len(source.outstanding) >= MAX_BATCHES or source.bytes + source.belief.bytes >= MAX_BYTES
            if full and not source.paused:
                reader.pause(source.place)
                source.paused = True
            elif source.paused and not full:
                reader.resume(source.place)
                source.paused = False
        began = self._clock()
        try:
            records = reader.read(READ_LIMIT, 0.0 if in_flight else 0.05)
        except Shortened as error:
            self._sources.shortened(error)
            return
        if records:
            self._judge(reader, appender, records)
        if len(records) < READ_LIMIT:
            self._drained = began
        self._settle(reader, appender.poll(0.0 if records or not in_flight else 0.005))

    def _judge(self, reader: Reader, appender: Appender, records: list[Record]) -> None:
        """Feed what is of the lives that are known; the rest waits for what the log says."""
        fed: list[Record] = []
        for topic, partition in dict.fromkeys((record.topic, record.partition) for record in records):
            source = self._sources.by_place.get((topic, partition))
            if source is not None and source.stage is Stage.READING:
                own = [r for r in records if r.partition == partition and r.topic == topic]
                fed += source.belief.judge(own, self._drained)
        self._feed(reader, appender, fed)

    def _heed(self, reader: Reader, appender: Appender) -> None:
        """Do with what waited as the log has said."""
        for source in self._sources.by_place.values():
            try:
                self._feed(reader, appender, source.belief.take())
            except AnotherLife:
                self._sources.of_another_life(source)
            except LogError as error:
                self._sources.put_off(reader, source, str(error))

    def _feed(self, reader: Reader, appender: Appender, records: list[Record]) -> None:
        for source, error in self._feeding.feed(appender, self._sources.by_place, records):
            self._sources.put_off(reader, source, str(error))

    def _settle(self, reader: Reader, acks: list[Ack]) -> None:
        for ack in acks:
            source, era, batch = cast("tuple[Source, int, list[int]]", ack.token)
            if era != source.era:
                continue  # given up meanwhile
            if ack.error is not None:
                if self._sources.by_place.get(source.place) is source:
                    self._sources.put_off(reader, source, f"feeding mailboxes failed: {ack.error}")
                continue
            batch[1] -= 1
            source.settle()
