"""From existing topics into mailboxes, each record once.

A record becomes a message whose origin is its topic and partition and whose number there is its offset: what
is sent again after a crash is dropped by the receiver. So the position kept here only saves work.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping

import msgspec

from plexstream.log.base import Ack, Appender, Item, Log, Place, Reader, Record
from plexstream.model.address import DEFAULT_NAMESPACE, DEFAULT_TENANT, partition_of
from plexstream.model.errors import LogError
from plexstream.model.message import TELL, Envelope
from plexstream.model.topics import Topics
from plexstream.schema.codec import encode_envelope
from plexstream.sdk.spec import ActorType, Subscription

_log = logging.getLogger("plexstream.node")

READ_LIMIT = 1_000
MAX_BATCHES = 32
"""Reads on their way into mailboxes, before the next one waits."""
POSITION_S = 5.0
REFRESH_S = 86_400.0
"""A position is stored again after so long: brokers forget them after 7 days by default."""
RETRY_S = 1.0
LOOK_S = 1.0

_loads = msgspec.json.Decoder().decode


class Feed:
    """How the records of one topic become messages, for one subscription."""

    def __init__(self, type_name: str, subscription: Subscription, max_message: int) -> None:
        self.topic = subscription.topic
        self._max_message = max_message
        self._prefix = f"{DEFAULT_TENANT}/{DEFAULT_NAMESPACE}/{type_name}/"
        self._handler = subscription.handler
        self._key = subscription.key
        self._into = b'{"%b":' % subscription.into.encode() if subscription.into else None

    def message(self, record: Record) -> Envelope:
        """The message for a record. One that cannot be read goes to the dead letters, by way of a mailbox."""
        origin = f"{record.topic}/{record.partition}"
        id = f"{origin}/{record.offset}"
        value = record.value or b""
        try:
            if len(value) > self._max_message:
                size, value = len(value), b""  # it stands in its topic
                raise ValueError(f"the record has {size} bytes, at most {self._max_message} are allowed")
            target = self._prefix + self._actor_id(record)
        except ValueError as error:
            headers = {"malformed": str(error)}
            return Envelope(
                TELL,
                id,
                origin,
                self._handler,
                value,
                "",
                "",
                "",
                record.time,
                headers,
                origin,
                record.offset,
                0,
            )
        payload = value if self._into is None else self._into + value + b"}"
        return Envelope(
            TELL, id, target, self._handler, payload, "", "", "", record.time, {}, origin, record.offset, 0
        )

    def _actor_id(self, record: Record) -> str:
        if record.value is None:
            raise ValueError("the record has no value")
        key = self._key
        if key is None:
            id: object = record.key.decode(errors="strict")
        else:
            try:
                value = _loads(record.value)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise ValueError(f"the value is no JSON: {error}") from None
            if callable(key):
                try:
                    id = key(value)
                except Exception as error:
                    raise ValueError(
                        f"the subscription's key function raised {type(error).__name__}: {error}"
                    ) from None
            elif not isinstance(value, dict) or key not in value:
                raise ValueError(f"the value has no field {key!r}")
            else:
                id = value[key]
        if isinstance(id, int) and not isinstance(id, bool):
            id = str(id)
        if not isinstance(id, str) or not id or "/" in id or not id.isprintable():
            raise ValueError(f"the key {id!r} is no actor id: text without '/' and control characters is")
        if self._into is not None and key is None:
            try:
                _loads(record.value)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise ValueError(f"the value is no JSON: {error}") from None
        return id


class _Source:
    """One partition of a source topic, while this worker feeds it."""

    __slots__ = ("done", "outstanding", "stored", "stored_at")

    def __init__(self, start: int) -> None:
        self.done = start  # all below is in mailboxes
        self.stored = start
        self.stored_at = time.monotonic()
        self.outstanding: deque[list[int]] = deque()  # [next offset behind the batch, appends open]


class Ingest:
    """A thread that feeds this worker's share of the subscribed topics into mailboxes.

    Partition *q* of a source belongs to the worker that has mailbox partition *q* modulo their number.
    """

    def __init__(
        self, log: Log, topics: Topics, partitions: int, types: Mapping[str, ActorType],
        max_message: int = 1 << 20,
    ) -> None:  # fmt: skip
        self._log = log
        self._topics = topics
        self._partitions = partitions
        self._feeds: dict[str, list[Feed]] = {}
        for name, spec in types.items():
            for subscription in spec.subscriptions:
                self._feeds.setdefault(subscription.topic, []).append(Feed(name, subscription, max_message))
        self._wanted: frozenset[int] = frozenset()
        self._sources: dict[Place, _Source] = {}
        self._stop = threading.Event()
        self._looked = 0.0
        self._committed = 0.0
        self._missing: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="plexstream-ingest", daemon=True)

    def start(self) -> None:
        """Begin, if anything is subscribed at all."""
        if self._feeds:
            self._thread.start()

    def assign(self, partitions: Iterable[int]) -> None:
        """The mailbox partitions whose share this worker feeds."""
        self._wanted = frozenset(partitions)
        self._looked = 0.0

    def stop(self) -> None:
        """End; what is not acknowledged is fed again later."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def topics(self) -> list[str]:
        """What is subscribed to, be it there yet or not."""
        return list(self._feeds)

    def positions(self) -> dict[Place, int]:
        """Next offset by source partition."""
        return {place: source.done for place, source in list(self._sources.items())}

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

    def _session(self) -> None:
        reader, appender = self._log.reader(committed=True), self._log.appender()
        try:
            while not self._stop.is_set():
                self._follow(reader)
                in_flight = sum(len(s.outstanding) for s in self._sources.values())
                records = (
                    reader.read(READ_LIMIT, 0.0 if in_flight else 0.05) if in_flight < MAX_BATCHES else []
                )
                if records:
                    self._feed(appender, records)
                acks = appender.poll(0.0 if records or not in_flight else 0.005)
                self._settle(acks)
                if time.monotonic() - self._committed > POSITION_S:
                    self._commit()
            self._commit()
        finally:
            reader.close()
            appender.close()
            self._sources = {}

    def _follow(self, reader: Reader) -> None:
        if time.monotonic() - self._looked < LOOK_S:
            return
        self._looked = time.monotonic()
        wanted: set[Place] = set()
        for topic in self._feeds:
            count = self._log.partitions(topic)
            if count is None:
                if topic not in self._missing:
                    self._missing.add(topic)
                    _log.warning("ingest waits for the topic %r, which does not exist yet", topic)
                continue
            self._missing.discard(topic)
            wanted |= {(topic, q) for q in range(count) if q % self._partitions in self._wanted}
        for place in [p for p in self._sources if p not in wanted]:
            reader.release(place)
            del self._sources[place]
        for place in wanted - self._sources.keys():
            start = self._stored(place)
            self._sources[place] = _Source(start)
            reader.assign(place, start)

    def _feed(self, appender: Appender, records: list[Record]) -> None:
        mailbox, partitions = self._topics.mailbox, self._partitions
        by_source: dict[Place, tuple[int, dict[Place, list[Item]]]] = {}
        for record in records:
            source = (record.topic, record.partition)
            _, into = by_source.setdefault(source, (0, {}))
            by_source[source] = (record.offset + 1, into)
            for index, feed in enumerate(self._feeds[record.topic]):
                e = feed.message(record)
                if index:
                    e = e._replace(origin_index=index, id=f"{e.id}.{index}")
                home = record.partition % partitions if e.headers else partition_of(e.target, partitions)
                into.setdefault((mailbox, home), []).append((e.target.encode(), encode_envelope(e)))
        for place, (behind, into) in by_source.items():
            source_state = self._sources.get(place)
            if source_state is None:
                continue
            batch = [behind, len(into)]
            source_state.outstanding.append(batch)
            for target, items in into.items():
                appender.append(target, items, batch)

    def _settle(self, acks: list[Ack]) -> None:
        for ack in acks:
            if ack.error is not None:
                raise LogError(f"feeding mailboxes failed: {ack.error}") from ack.error
            batch = ack.token
            assert isinstance(batch, list)
            batch[1] -= 1
        for source in self._sources.values():
            while source.outstanding and not source.outstanding[0][1]:
                source.done = source.outstanding.popleft()[0]

    def _transaction_id(self, place: Place) -> str:
        return f"{self._topics.prefix}ingest.{place[0]}.{place[1]}"

    def _stored(self, place: Place) -> int:
        transaction = self._log.transaction(self._transaction_id(place))
        try:
            return transaction.position(place) or 0
        finally:
            transaction.close()

    def _commit(self) -> None:
        """Store positions. Losing one costs reading its records again, no more."""
        self._committed = time.monotonic()
        for place, source in self._sources.items():
            if source.done == source.stored and self._committed - source.stored_at < REFRESH_S:
                continue
            transaction = self._log.transaction(self._transaction_id(place))
            try:
                transaction.commit((), {place: source.done})
                source.stored, source.stored_at = source.done, self._committed
            except LogError as error:
                _log.warning("the position of %s[%d] was not stored: %s", *place, error)
            finally:
                transaction.close()
