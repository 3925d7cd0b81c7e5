"""Appending to Kafka: one idempotent producer, one delivery callback for each group.

Only the last record of a group has a callback. That it was appended proves that all before it were:

- A producer's records of one partition are sent in order. Brokers refuse a batch whose predecessor is
  missing (sequence numbers) once they know the producer, which `PacedAppender` sees to, and
  `enable.gapless.guarantee` makes a batch that fails for good a fatal error instead of numbering the next
  ones anew.
- No record is given up on the way: there is no time limit, and nothing is purged before `close`.
- What would make librdkafka or a broker refuse one record of a group alone, its size, is checked for all of
  them before the first is handed over.
- A group of which only a part was taken is reported as an error and ends the appender. It does not come to
  that: librdkafka's own queue cannot be full before ours is.

A group is handed over at once: record by record, librdkafka's thread would send the first few alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from plexstream.log.base import Ack, Item, Place, appended, failed
from plexstream.log.kafka.appending.produce import produce_group, produce_messages
from plexstream.log.kafka.brokers.cluster import Cluster
from plexstream.log.kafka.common.errors import behind, log_error
from plexstream.log.kafka.common.outage import Outage
from plexstream.log.kafka.common.settings import APPENDER, BATCH_BYTES, client_settings, connect, logger
from plexstream.log.limits.limits import RefusedForSize, check_group
from plexstream.model.errors import Fenced, LogError, LogUnavailable

MAX_PENDING_BYTES = 128 << 20
"""Far below librdkafka's own limit (1 GiB), so that it never refuses a record in the middle of a group."""

FULL_TIMEOUT_S = 30.0
_REPORT_S = 0.05
"""How long the delivery reports behind a fatal error are waited for: they say which record it was."""


class _Group:
    __slots__ = ("place", "size", "token")

    def __init__(self, place: Place, token: object, size: int) -> None:
        self.place = place
        self.token = token
        self.size = size


_OF_SIZE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}
_OF_THE_PLACE = {KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
"""What librdkafka says of records that it has not sent. Every other failure is one of the producer as a
whole: with `enable.gapless.guarantee` it takes nothing more afterwards."""


class KafkaAppender:
    """An `Appender` on Kafka, for a `PacedAppender`: it fails single groups, and leaves to that to fail what
    depends on them. After a fatal error it takes nothing more."""

    def __init__(self, log: Cluster) -> None:
        self._log = log
        self._outage = Outage(f"Kafka at {log.bootstrap}, appender")
        self._producer = connect(
            Producer, client_settings(log.views.sound, APPENDER, log.settings, "producer", self._outage.error)
        )
        self._pending: dict[_Group, None] = {}
        self._pending_bytes = 0
        self._acks: list[Ack] = []
        self._broken: LogError | None = None
        self._dying: LogError | None = None  # it has failed, and more is to be heard of why
        self._refused: list[tuple[Item, str]] = []
        self._closed = False

    @property
    def holding(self) -> bool:
        return False

    @property
    def broken(self) -> bool:
        return self._broken is not None

    def announce(self, came: Callable[[], None]) -> bool:
        return False

    def append(self, place: Place, items: Sequence[Item], token: object, *, urgent: bool = True) -> None:
        self._check_usable()
        size = check_group(place[0], items, self._log.limit(place))
        if self._pending_bytes + size > MAX_PENDING_BYTES:
            self._wait_for_room(size)
        group = _Group(place, token, size)
        self._pending[group] = None
        self._pending_bytes += size
        topic, partition = place
        told = partial(self._on_delivery, group, items[-1])
        if size <= BATCH_BYTES:
            taken, refused = produce_group(self._producer, topic, partition, items, told)
        else:  # what travels alone may be refused alone, if somebody lowers the limit now
            messages: list[dict[str, Any]] = [{"key": key, "value": value} for key, value in items]
            for item, message in zip(items, messages, strict=True):
                if len(item[0]) + len(item[1] or b"") > BATCH_BYTES:
                    message["callback"] = partial(self._on_large, item, place)
            messages[-1]["callback"] = told
            taken, refused = produce_messages(self._producer, topic, partition, messages)
        if refused is None:
            return
        refusal = self._error(refused, place)
        if taken or refused.code() == KafkaError._FATAL:
            # A part of the group is on its way: nobody may take what follows for its end. Or the producer has
            # failed, and its delivery reports are still to come.
            self._hear_why()
            self._fail(refusal)
            return
        del self._pending[group]
        self._pending_bytes -= size
        raise refusal

    def poll(self, timeout: float) -> list[Ack]:
        if self._closed:
            return []
        self._serve(0)
        self._outage.look()
        if timeout > 0 and not self._acks:
            deadline = time.monotonic() + timeout
            # Other events than deliveries end a poll of librdkafka, too.
            while not self._acks and (left := deadline - time.monotonic()) > 0:
                self._serve(left)
        acks, self._acks = self._acks, []
        return acks

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._pending.clear()
        self._acks = []
        # Or librdkafka's threads would go on sending what is queued until the producer's end.
        self._producer.purge(in_queue=True, in_flight=True, blocking=False)
        self._serve(0)
        del self._producer

    def _serve(self, timeout: float) -> None:
        """Let librdkafka call back."""
        try:
            self._producer.poll(timeout)
        except (KafkaException, SystemError) as error:
            if (said := behind(error)) is None:
                raise
            # A fatal error, which never comes to the error callback.
            self._dying = log_error(said.args[0], self._log.bootstrap, "appending")
        if self._dying is not None:
            self._hear_why()
            self._fail(self._dying)

    def _hear_why(self) -> None:
        """Let the delivery reports come that are on their way behind an error."""
        heard = 1
        while heard and self._pending:
            try:
                heard = self._producer.poll(_REPORT_S)
            except (KafkaException, SystemError) as error:
                if behind(error) is None:
                    raise

    def _on_large(self, item: Item, place: Place, error: KafkaError | None, message: Message) -> None:
        if error is not None and error.code() in _OF_SIZE:
            why = (
                f"a record of {len(item[0]) + len(item[1] or b'')} bytes for topic {place[0]!r} was refused "
                f"for its size ({error.str()}): its max.message.bytes was lowered; make the message smaller, "
                "or raise it"
            )
            self._refused.append((item, why))

    def _on_delivery(
        self, group: _Group, last: Item, error: KafkaError | None, message: Message
    ) -> None:
        if group not in self._pending:
            return  # failed already, by a fatal error
        if error is not None and error.code() not in _OF_THE_PLACE:
            # Of a batch of small ones each is refused for its size, and none need be smaller.
            if len(last[0]) + len(last[1] or b"") > BATCH_BYTES:
                self._on_large(last, group.place, error, message)
            self._dying = self._dying or self._error(error, group.place)
            return
        del self._pending[group]
        self._pending_bytes -= group.size
        if error is None:
            self._acks.append(appended(group.place, group.token, message.offset()))
            return
        self._acks.append(failed(group.place, group.token, self._error(error, group.place)))

    def _error(self, error: KafkaError, place: Place) -> LogError:
        doing = f"appending to {place[0]}[{place[1]}]"
        found = log_error(error, self._log.bootstrap, doing)
        # Without a transactional id nobody is newer: a broker that refuses the epoch has lost its state.
        return LogUnavailable(str(found)) if isinstance(found, Fenced) else found

    def _fail(self, error: LogError) -> None:
        """Nothing more can be appended; the outcome of what is under way is unknown."""
        if self._refused:
            error = RefusedForSize(str(error), self._refused)
        if self._broken is None and not self._closed:
            self._broken = error
            logger.error("%s", error)
            self._log.doubt_limits()
        self._dying = None
        pending, self._pending = self._pending, {}
        self._pending_bytes = 0
        self._acks += [failed(group.place, group.token, error) for group in pending]

    def _check_usable(self) -> None:
        if self._closed:
            raise LogError("this appender is closed: open a new one")
        if self._broken is not None:
            raise LogError(f"this appender has failed, open a new one: {self._broken}") from self._broken

    def _wait_for_room(self, size: int) -> None:
        deadline = time.monotonic() + FULL_TIMEOUT_S
        while self._pending and self._pending_bytes + size > MAX_PENDING_BYTES:
            if time.monotonic() > deadline:
                raise LogUnavailable(
                    f"Kafka at {self._log.bootstrap} has not taken {self._pending_bytes} bytes in "
                    f"{FULL_TIMEOUT_S:.0f} s: is the broker up?"
                )
            self._serve(0.05)
            self._check_usable()
