"""Reading from Kafka, by manual assignment."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from plexstream.log.base import Place, Record
from plexstream.log.kafka.errors import log_error, passes
from plexstream.log.kafka.outage import Outage
from plexstream.log.kafka.settings import READER, client_settings, connect, logger
from plexstream.log.local import beyond_end
from plexstream.model.errors import LogError

if TYPE_CHECKING:
    from plexstream.log.kafka.log import KafkaLog

WAKE_S = 0.02
"""How late a `wake` may come: nothing interrupts librdkafka's poll. 50 idle polls a second cost 0.1 % CPU."""

_WATERMARK_TIMEOUT_S = 10.0
_LOOK_UP_S = 1.0
"""How long librdkafka would wait by itself before it asks for the leaders of a topic that is new to it."""
_new = tuple.__new__  # a named tuple's own costs twice the time
_OUT_OF_RANGE = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}


class KafkaReader:
    """A `Reader` on a consumer that joins no group."""

    def __init__(self, log: KafkaLog, committed: bool) -> None:
        self._log = log
        self._outage = Outage(f"Kafka at {log.bootstrap}, reader")
        own = READER | {"isolation.level": "read_committed" if committed else "read_uncommitted"}
        self._consumer = connect(
            Consumer, client_settings(log.bootstrap, own, log.settings, "consumer", self._outage.error)
        )
        self._positions: dict[Place, int] = {}
        self._paused: set[Place] = set()
        self._topics: set[str] = set()  # whose leaders this consumer has asked for
        self._problem: LogError | None = None
        self._woken = False
        self._closed = False

    def assign(self, place: Place, offset: int) -> None:
        self._log.check_place(place)
        self._look_up(place[0])
        self._stop(place)
        self._positions[place] = offset
        self._start(place)

    def release(self, place: Place) -> None:
        self._stop(place)
        self._positions.pop(place, None)
        self._paused.discard(place)

    def pause(self, place: Place) -> None:
        # Not librdkafka's pause: to start again at a position of our own leaves nothing to its bookkeeping.
        self._stop(place)
        self._paused.add(place)

    def resume(self, place: Place) -> None:
        if place in self._paused:
            self._paused.discard(place)
            self._start(place)

    def read(self, limit: int, timeout: float) -> list[Record]:
        # Kept back while there were records to return.
        self._raise_problem()
        consumer = self._consumer
        deadline = time.monotonic() + timeout if timeout > 0 else 0.0
        wait = min(timeout, WAKE_S) if timeout > 0 else 0.0
        while True:
            # `consume` alone would wait for `limit` messages or the whole timeout.
            first = consumer.poll(wait)
            self._outage.look()
            if first is not None:
                found = self._take([first, *consumer.consume(limit - 1, 0)] if limit > 1 else [first])
                if found:
                    return found
                self._raise_problem()
            if self._woken:
                self._woken = False
                return []
            if not deadline:
                return []
            wait = min(deadline - time.monotonic(), WAKE_S)
            if wait <= 0:
                return []

    def wake(self) -> None:
        self._woken = True

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._positions.clear()
            self._consumer.close()

    def _raise_problem(self) -> None:
        if self._problem is not None:
            problem, self._problem = self._problem, None
            raise problem

    def _look_up(self, topic: str) -> None:
        """Ask for the leaders of a topic before it is first assigned.

        Else librdkafka does so when it next looks for topics that it does not know, which is once a second:
        a takeover, which reads two topics one after the other, waited for 2 s.
        """
        if topic not in self._topics:
            self._topics.add(topic)
            with suppress(KafkaException):  # it goes on asking
                self._consumer.list_topics(topic, _LOOK_UP_S)

    def _start(self, place: Place) -> None:
        if place in self._positions and place not in self._paused:
            # A negative offset would mean something to librdkafka.
            offset = max(self._positions[place], 0)
            self._consumer.incremental_assign([TopicPartition(place[0], place[1], offset)])

    def _stop(self, place: Place) -> None:
        if place in self._positions and place not in self._paused:
            self._consumer.incremental_unassign([TopicPartition(place[0], place[1])])

    def _take(self, messages: list[Message]) -> list[Record]:
        positions = self._positions
        found = []
        for message in messages:
            if (error := message.error()) is not None:
                self._handle(error, message)
                continue
            # Only an error's message lacks any of these.
            topic: str = message.topic()  # type: ignore[assignment]
            partition: int = message.partition()  # type: ignore[assignment]
            offset: int = message.offset()  # type: ignore[assignment]
            place = (topic, partition)
            due = positions.get(place)
            # Fetched before a release or a move, delivered after it.
            if due is None or offset < due:
                continue
            positions[place] = offset + 1
            key, value = message.key(), message.value()
            found.append(_new(Record, (topic, partition, offset, key or b"", value, message.timestamp()[1])))
        return found

    def _handle(self, error: KafkaError, message: Message) -> None:
        if passes(error):
            self._outage.error(error)
            return
        topic, partition = message.topic(), message.partition()
        place = None if topic is None or partition is None else (topic, partition)
        if place is not None and place not in self._positions:
            return
        if place is not None and error.code() in _OUT_OF_RANGE:
            self._move_into_range(place, error)
        elif self._problem is None:
            doing = "reading" if place is None else f"reading {place[0]}[{place[1]}]"
            self._problem = log_error(error, self._log.bootstrap, doing)

    def _move_into_range(self, place: Place, error: KafkaError) -> None:
        position = self._positions[place]
        try:
            start, end = self._consumer.get_watermark_offsets(TopicPartition(*place), _WATERMARK_TIMEOUT_S)
        except KafkaException as failed:
            self._problem = log_error(failed.args[0], self._log.bootstrap, f"reading {place[0]}[{place[1]}]")
            return
        if position > end:
            self._problem = beyond_end(place, position, end)
            self.release(place)
            return
        logger.info("%s[%d]: offset %d is gone, going on at %d", *place, position, max(position, start))
        self._stop(place)
        self._positions[place] = max(position, start)
        self._start(place)
