"""From existing topics into mailboxes, each record once.

A record becomes a message whose origin is its topic, that topic's life and its partition, and whose number
there is its offset: what is sent again after a crash is dropped by the receiver. So the position kept here
only saves work. What is wrong with one source partition costs that one alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar, cast

from plexstream.log.base import Ack, Appender, Item, Log, Place, Reader, Record
from plexstream.log.installation import Control
from plexstream.log.limits import RecordTooLarge
from plexstream.model.address import partition_of
from plexstream.model.errors import LogError, Shortened
from plexstream.model.message import Envelope
from plexstream.model.text import said
from plexstream.model.threads import Lasting
from plexstream.model.topics import Topics
from plexstream.node.ingest.belief import AnotherLife, Belief, Told
from plexstream.node.ingest.feed import Feed
from plexstream.node.ingest.positions import Positions
from plexstream.node.ingest.source import (
    Begun,
    Refused,
    Source,
    Stage,
    begin,
    refuse,
)
from plexstream.node.ingest.subscribed import Subscribed
from plexstream.node.shared.desk import Desk, Questions
from plexstream.schema.codec import encode_envelope
from plexstream.sdk.spec import ActorType

T = TypeVar("T")

_log = logging.getLogger("plexstream.node")

READ_LIMIT = 1_000
MAX_BATCHES = 32
"""Reads of one source on their way into mailboxes, before it is read on."""
MAX_BYTES = 8 << 20
"""And so many bytes of them."""
STOP_S = 2.0
RETRY_S = 1.0
REFUSED_S = 5.0
"""How soon an operator's word about a refused source is heeded."""
_Group = list[tuple[Item, Record, Feed]]


class Ingest:
    """A thread that feeds this worker's share of the subscribed topics into mailboxes.

    Partition *q* of a source belongs to the worker that has mailbox partition *q* modulo their number.
    """

    def __init__(
        self, log: Log, topics: Topics, partitions: int, types: Mapping[str, ActorType],
        max_message: int = 1 << 20, *, clock: Callable[[], float] = time.monotonic,
        desk: Questions | None = None, control: Control | None = None,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._log = log
        self._topics = topics
        self._partitions = partitions
        self._control = control or Control(log, topics)
        self._feeds: dict[str, list[Feed]] = {}
        for name, spec in types.items():
            for subscription in spec.subscriptions:
                self._feeds.setdefault(subscription.topic, []).append(Feed(name, subscription, max_message))
        self._wanted: frozenset[int] = frozenset()
        self._sources: dict[Place, Source] = {}
        self._stop = threading.Event()
        self._drained = float("-inf")  # when the reader had nothing more, last
        self._desk: Questions = desk or Desk(lambda: None)
        self._subscribed = Subscribed(log, self._control, self._feeds, self._desk, clock)
        self._positions = Positions(log, self._control, self._ask, clock)
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
            for place, source in list(self._sources.items())
            if source.stage is Stage.READING
        }

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._session()
            except LogError as error:
                _log.warning("ingest begins anew: %s", error)
                self._stop.wait(RETRY_S)
            except Exception:
                _log.exception("ingest begins anew")
                self._stop.wait(RETRY_S)
        self._desk.close()

    def _session(self) -> None:
        reader, appender = self._log.reader(committed=True), self._log.appender()
        self.begin()
        try:
            while not self._stop.is_set():
                self.step(reader, appender)
            self._positions.commit(self._sources.values())
            self._positions.wait(self._sources.values(), self._answers)
        finally:
            reader.close()
            appender.close()

    def begin(self) -> None:
        """Forget where the sources are: it is asked again."""
        self._sources = {}
        self._subscribed.forget()

    def step(self, reader: Reader, appender: Appender) -> None:
        """One round: what is there to be fed, and what has arrived. Raises LogError: begin anew."""
        self._answers()
        self._heed(reader, appender)
        self._subscribed.look()
        self._follow(reader)
        self._read(reader, appender)
        if appender.broken:
            raise LogError("feeding mailboxes failed, nothing more can be appended")
        self._positions.commit_if_due(self._sources.values())

    def idle(self) -> bool:
        """Whether all that there is of its sources is in mailboxes, as far as it knows."""
        return self._subscribed.complete and all(
            s.stage is Stage.READING and not s.outstanding and s.done == self._log.range(place)[1]
            for place, s in self._sources.items()
        )

    # Which sources there are

    def _follow(self, reader: Reader) -> None:
        """Begin and end with sources as the assignment and the topics want it."""
        wanted = {
            (topic, q): there.life
            for topic, there in self._subscribed.there.items()
            for q in range(there.partitions)
            if q % self._partitions in self._wanted
        }
        for place, source in list(self._sources.items()):
            if wanted.get(place) != source.life:
                reader.release(place)
                del self._sources[place]
        now = self._clock()
        for place, life in wanted.items():
            source = self._sources.get(place) or self._new(place, life, now)
            if source.until > now or source.stage in (Stage.READING, Stage.ASKING):
                continue
            if source.stage is Stage.WAITING:
                self._assign(reader, source)
            else:
                self._begin(source)

    def _new(self, place: Place, life: str, now: float) -> Source:
        def ask(told: Told) -> None:
            self._ask(place, lambda: self._log.topic_id(place[0]), told)

        source = self._sources[place] = Source(place, life, Belief(life, ask, self._clock), now)
        return source

    def _ask(self, place: Place, ask: Callable[[], T], then: Callable[[T | LogError], None]) -> None:
        number = self._places.setdefault(place, len(self._places))
        self._desk.ask(self, number, ask, then)

    def _answers(self) -> None:
        for answer in self._desk.take():
            answer.then(answer.result)

    def _begin(self, source: Source) -> None:
        source.stage = Stage.ASKING
        log, control, place, life = self._log, self._control, source.place, source.life

        def begun(found: Begun | Refused | LogError) -> None:
            if self._sources.get(place) is source:
                self._begun(source, found)

        self._ask(place, lambda: begin(log, control, place, life), begun)

    def _begun(self, source: Source, found: Begun | Refused | LogError) -> None:
        if isinstance(found, Begun):
            source.begin(found)
            source.stage, source.until = Stage.WAITING, 0.0
            return
        source.stage = Stage.NEW
        if isinstance(found, Refused):
            source.until = self._clock() + REFUSED_S
            if not source.told:
                source.told = True
                _log.error("%s", found.why)
        else:
            source.until = self._clock() + RETRY_S
            self._subscribed.soon()  # it may be another life
            _log.warning("%s[%d] waits to be read: %s", *source.place, found)

    def _assign(self, reader: Reader, source: Source) -> None:
        try:
            reader.assign(source.place, source.done)
        except LogError as error:
            self._put_off(reader, source, str(error))
            return
        source.stage = Stage.READING

    def _put_off(self, reader: Reader, source: Source, why: str) -> None:
        """Begin again with a source in a while, where all before has arrived."""
        _log.warning("%s[%d] is read again from offset %d on: %s", *source.place, source.done, why)
        reader.release(source.place)
        source.drop()
        source.stage, source.until = Stage.WAITING, self._clock() + RETRY_S

    # What they give

    def _read(self, reader: Reader, appender: Appender) -> None:
        in_flight = False
        for source in self._sources.values():
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
            self._shortened((error.topic, error.partition), error)
            return
        if records:
            self._judge(reader, appender, records)
        if len(records) < READ_LIMIT:
            self._drained = began
        self._settle(reader, appender.poll(0.0 if records or not in_flight else 0.005))

    def _shortened(self, place: Place, error: Shortened) -> None:
        source = self._sources.get(place)
        if source is not None:
            source.drop()
            source.stage = Stage.ASKING
            question = partial(
                refuse, self._log, self._control, place, source.life, error.position, error.end
            )

            def refused(found: Refused | LogError) -> None:
                if self._sources.get(place) is source:
                    self._begun(source, found)

            self._ask(place, question, refused)

    def _judge(self, reader: Reader, appender: Appender, records: list[Record]) -> None:
        """Feed what is of the lives that are known; the rest waits for what the log says."""
        fed: list[Record] = []
        for topic, partition in dict.fromkeys((record.topic, record.partition) for record in records):
            source = self._sources.get((topic, partition))
            if source is not None and source.stage is Stage.READING:
                own = [r for r in records if r.partition == partition and r.topic == topic]
                fed += source.belief.judge(own, self._drained)
        self._feed(reader, appender, fed)

    def _heed(self, reader: Reader, appender: Appender) -> None:
        """Do with what waited as the log has said."""
        for source in self._sources.values():
            try:
                self._feed(reader, appender, source.belief.take())
            except AnotherLife:
                source.drop()
                source.stage, source.until = Stage.NEW, self._clock() + RETRY_S
                self._subscribed.soon()
            except LogError as error:
                self._put_off(reader, source, str(error))

    def _feed(self, reader: Reader, appender: Appender, records: list[Record]) -> None:
        mailbox, partitions = self._topics.mailbox, self._partitions
        by_source: dict[Place, dict[Place, _Group]] = {}
        ends: dict[Place, int] = {}
        for record in records:
            place: Place = (record.topic, record.partition)
            source = self._sources.get(place)
            if source is None or source.stage is not Stage.READING:
                continue
            into = by_source.setdefault(place, {})
            ends[place] = record.offset + 1
            for index, feed in enumerate(self._feeds[record.topic]):
                e = self._message(feed, record, source.origin)
                if index:
                    e = e._replace(origin_index=index, id=f"{e.id}.{index}")
                number = record.partition % partitions if e.headers else partition_of(e.target, partitions)
                item = (e.target.encode(), encode_envelope(e))
                into.setdefault((mailbox, number), []).append((item, record, feed))
        for place, groups in by_source.items():
            fed = self._sources[place]
            size = sum(len(item[1] or b"") for group in groups.values() for item, _, _ in group)
            batch = fed.batch(ends[place], size)
            try:
                for home, group in groups.items():
                    self._append(appender, home, group, fed, batch)
            except LogError as error:
                self._put_off(reader, fed, str(error))

    def _message(self, feed: Feed, record: Record, origin: str) -> Envelope:
        """The message for a record: none of them may hold up those behind it, whatever is in it."""
        try:
            return feed.message(record, origin)
        except Exception as error:
            _log.exception("%s[%d] at %d is put aside", record.topic, record.partition, record.offset)
            return feed.refused(record, origin, f"it cannot be read: {said(error)}")

    def _append(
        self, appender: Appender, home: Place, group: _Group, source: Source, batch: list[int]
    ) -> None:
        token = source, source.era, batch
        try:
            appender.append(home, [item for item, _, _ in group], token)
            batch[1] += 1
        except RecordTooLarge:
            for item, record, feed in group:
                try:
                    appender.append(home, [item], token)
                except RecordTooLarge as error:
                    e = feed.refused(record, source.origin, f"its message is too large: {error}")
                    index = self._feeds[record.topic].index(feed)
                    e = e._replace(origin_index=index)
                    appender.append(home, [(e.target.encode(), encode_envelope(e))], token)
                batch[1] += 1

    def _settle(self, reader: Reader, acks: list[Ack]) -> None:
        for ack in acks:
            source, era, batch = cast("tuple[Source, int, list[int]]", ack.token)
            if era != source.era:
                continue  # given up meanwhile
            if ack.error is not None:
                if self._sources.get(source.place) is source:
                    self._put_off(reader, source, f"feeding mailboxes failed: {ack.error}")
                continue
            batch[1] -= 1
            source.settle()
