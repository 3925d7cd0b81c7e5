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
from typing import cast

from plexstream.log.base import Ack, Appender, Item, Log, Place, Reader, Record
from plexstream.log.installation import Control
from plexstream.log.limits import RecordTooLarge
from plexstream.model.address import partition_of
from plexstream.model.errors import LogError, Shortened
from plexstream.model.message import Envelope
from plexstream.model.text import said
from plexstream.model.threads import Lasting
from plexstream.model.topics import Topics
from plexstream.node.desk import Desk, Questions
from plexstream.node.feed import Feed
from plexstream.node.source import (
    Begun,
    Refused,
    Source,
    Stage,
    There,
    begin,
    refuse,
    store,
    survey,
)
from plexstream.schema.codec import encode_envelope
from plexstream.sdk.spec import ActorType

_log = logging.getLogger("plexstream.node")

READ_LIMIT = 1_000
MAX_BATCHES = 32
"""Reads of one source on their way into mailboxes, before it is read on."""
MAX_BYTES = 8 << 20
"""And so many bytes of them."""
STOP_S = 2.0
POSITION_S = 5.0
REFRESH_S = 86_400.0
"""A position is stored again after so long: brokers forget them after 7 days by default."""
RETRY_S = 1.0
LOOK_S = 1.0
"""How often topics that are missing are looked for; those that are there are looked at a fifth as often, for
partitions that were added, and for another life."""
REFUSED_S = 5.0
"""How soon an operator's word about a refused source is heeded."""
SILENCE_S = 0.08
"""Less than a client waits by itself after it was told that a topic is away (`fetch.error.backoff.ms`)."""
_SURVEY = -1  # the desk's number for what is asked of all topics together

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
        self._there: dict[str, There] = {}  # of the subscribed topics
        self._sources: dict[Place, Source] = {}
        self._stop = threading.Event()
        self._looked = float("-inf")
        self._looking = False
        self._committed = 0.0
        self._drained = float("-inf")  # when the reader had nothing more, last
        self._missing: set[str] = set(self._feeds)
        self._told_missing: set[str] = set()
        self._desk: Questions = desk or Desk(lambda: None)
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
            self._commit()
            self._wait_for_positions()
        finally:
            reader.close()
            appender.close()

    def begin(self) -> None:
        """Forget where the sources are: it is asked again."""
        self._sources, self._there = {}, {}
        self._looked = float("-inf")

    def step(self, reader: Reader, appender: Appender) -> None:
        """One round: what is there to be fed, and what has arrived. Raises LogError: begin anew."""
        for answer in self._desk.take():
            answer.then(answer.result)
        self._look()
        self._follow(reader)
        self._read(reader, appender)
        if appender.broken:
            raise LogError("feeding mailboxes failed, nothing more can be appended")
        if self._clock() - self._committed > POSITION_S:
            self._commit()

    def idle(self) -> bool:
        """Whether all that there is of its sources is in mailboxes, as far as it knows."""
        known = self._there.keys() == self._feeds.keys()
        return known and all(
            s.stage is Stage.READING and not s.outstanding and s.done == self._log.range(place)[1]
            for place, s in self._sources.items()
        )

    # Which sources there are

    def _look(self) -> None:
        now = self._clock()
        if self._looking or now - self._looked < LOOK_S * (1 if self._missing else 5):
            return
        self._looked, self._looking = now, True
        question = partial(survey, self._log, self._control, list(self._feeds))
        self._desk.ask(self, _SURVEY, question, self._surveyed)

    def _surveyed(self, found: dict[str, There | LogError] | LogError) -> None:
        self._looking = False
        if isinstance(found, LogError):
            _log.warning("the subscribed topics are not known: %s", found)
            return
        self._missing = set()
        for topic in self._feeds:
            there = found.get(topic)
            if isinstance(there, LogError):
                _log.warning("the subscribed topic %r is not known: %s", topic, there)
                continue
            if there is None:
                self._missing.add(topic)
                self._there.pop(topic, None)
                if topic not in self._told_missing:
                    self._told_missing.add(topic)
                    _log.warning("ingest waits for the topic %r, which does not exist yet", topic)
                continue
            self._told_missing.discard(topic)
            before = self._there.get(topic)
            if there.former:
                _log.warning(
                    "topic %s was deleted and made again (%s, now %s): its records count as new",
                    topic, there.former, there.life,
                )  # fmt: skip
            elif before is not None and before.partitions < there.partitions:
                more = there.partitions - before.partitions
                _log.info("topic %s has %d partitions more: they are read", topic, more)
            self._there[topic] = there

    def _follow(self, reader: Reader) -> None:
        """Begin and end with sources as the assignment and the topics want it."""
        wanted = {
            (topic, q): there.life
            for topic, there in self._there.items()
            for q in range(there.partitions)
            if q % self._partitions in self._wanted
        }
        for place, source in list(self._sources.items()):
            if wanted.get(place) != source.life:
                reader.release(place)
                del self._sources[place]
        now = self._clock()
        for place, life in wanted.items():
            source = self._sources.get(place) or self._sources.setdefault(place, Source(place, life, now))
            if source.until > now or source.stage in (Stage.READING, Stage.ASKING):
                continue
            if source.stage is Stage.WAITING:
                self._assign(reader, source)
            else:
                self._begin(source)

    def _number(self, place: Place) -> int:
        return self._places.setdefault(place, len(self._places))

    def _begin(self, source: Source) -> None:
        source.stage = Stage.ASKING
        log, control, place, life = self._log, self._control, source.place, source.life

        def begun(found: Begun | Refused | LogError) -> None:
            if self._sources.get(place) is source:
                self._begun(source, found)

        self._desk.ask(self, self._number(place), lambda: begin(log, control, place, life), begun)

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
            self._looked = float("-inf")  # it may be another life
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
            full = len(source.outstanding) >= MAX_BATCHES or source.bytes + source.doubtful_bytes >= MAX_BYTES
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

            self._desk.ask(self, self._number(place), question, refused)

    def _judge(self, reader: Reader, appender: Appender, records: list[Record]) -> None:
        """Feed what is of the lives that are known, and ask for those of the rest.

        A topic that is deleted and made again is silent for a while, and clients hide that. So what was
        fetched soon after what is known to be of a life is of it, too; after a silence, the log is asked.
        """
        now = self._clock()
        fed: list[Record] = []
        for topic, partition in {(record.topic, record.partition) for record in records}:
            place = topic, partition
            source = self._sources.get(place)
            if source is None or source.stage is not Stage.READING:
                continue
            own = [r for r in records if r.partition == partition and r.topic == topic]
            if source.doubtful or now - source.sure > SILENCE_S:
                source.doubt(own)
                if not source.asking:
                    self._ask_life(reader, appender, source)
            else:
                source.sure = max(source.sure, self._drained)
                fed += own
        if fed:
            self._feed(reader, appender, fed)

    def _ask_life(self, reader: Reader, appender: Appender, source: Source) -> None:
        source.asking = True
        count, asked, era = len(source.doubtful), self._clock(), source.era
        topic, log = source.place[0], self._log

        def told(life: str | LogError) -> None:
            if self._sources.get(source.place) is not source or source.era != era:
                return  # what it was asked for is read again
            source.asking = False
            if isinstance(life, LogError):
                self._put_off(reader, source, f"the topic's id is not known: {life}")
            elif life != source.life:
                source.drop()
                source.stage, source.until = Stage.NEW, asked + RETRY_S
                self._looked = float("-inf")
            else:
                source.sure = asked
                self._feed(reader, appender, source.believed(count))
                if source.doubtful:
                    self._ask_life(reader, appender, source)

        self._desk.ask(self, self._number(source.place), lambda: log.topic_id(topic), told)

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

    # How far they are

    def _commit(self) -> None:
        """Store positions. Losing one costs reading its records again, no more."""
        self._committed = now = self._clock()
        for place, source in self._sources.items():
            if source.storing or source.stage not in (Stage.READING, Stage.WAITING):
                continue
            if source.done == source.stored and now - source.stored_at < REFRESH_S:
                continue
            source.storing = True

            def stored(found: int | LogError, source: Source = source) -> None:
                source.storing = False
                if isinstance(found, LogError):
                    _log.warning("the position of %s[%d] was not stored: %s", *source.place, found)
                else:
                    source.stored, source.stored_at = found, self._clock()

            question = partial(
                store, self._log, self._control, place, source.position_life, source.done
            )
            self._desk.ask(self, self._number(place), question, stored)

    def _wait_for_positions(self) -> None:
        end = self._clock() + POSITION_S
        while any(s.storing for s in self._sources.values()) and self._clock() < end:
            for answer in self._desk.take():
                answer.then(answer.result)
            time.sleep(0.005)
