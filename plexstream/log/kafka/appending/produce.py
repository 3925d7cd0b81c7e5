"""Handing many records to a producer, and hearing what became of them: compiled, or record by record.

confluent-kafka takes the GIL for each record that is handed over and for each that was delivered. Compiled, a
group costs one call, and only what went wrong comes back to Python. See ADR 30 for what that relies on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from plexstream.log.base import Item
from plexstream.log.kafka.common.library import found
from plexstream.log.memory.local import TxnRecord
from plexstream.model.process.compiled import WANTED

PARTITIONER = -1

try:
    from plexstream.log.kafka.appending import _produce
except ImportError:
    AVAILABLE = False
else:
    AVAILABLE = found(lambda path: _produce.load(path, Producer))

COMPILED = AVAILABLE and WANTED

OnDelivery = Callable[[KafkaError | None, Message], None]


def produce_group(
    producer: Producer, topic: str, partition: int, items: Sequence[Item], on_delivery: OnDelivery
) -> tuple[int, KafkaError | None]:
    """Hand over a group at once; `on_delivery` hears of its last record alone.

    Returns how many were taken, and why the first that was not was not.
    """
    if COMPILED:
        taken, refused = _produce.produce(producer, topic, partition, list(items), 0, 1, on_delivery)
        return taken, KafkaError(refused) if refused else None
    messages: list[dict[str, Any]] = [{"key": key, "value": value} for key, value in items]
    messages[-1]["callback"] = on_delivery
    return produce_messages(producer, topic, partition, messages)


def produce_messages(
    producer: Producer, topic: str, partition: int, messages: list[dict[str, Any]]
) -> tuple[int, KafkaError | None]:
    """The same, of messages as confluent-kafka has them."""
    taken = producer.produce_batch(topic, messages, partition)
    return taken, next((m["_error"] for m in messages if "_error" in m), None)


class Fates(Protocol):
    """What became of the records of one producer since it was last cleared."""

    @property
    def settings(self) -> dict[str, Any]:
        """What the producer must be made with."""

    def attach(self, producer: Producer) -> None:
        """From here on, before anything is produced."""

    def clear(self) -> None:
        """Forget all."""

    def send(self, records: Iterable[TxnRecord]) -> None:
        """Hand over records: topic, partition (or None), key, value. Raises KafkaException."""

    def unproven(self) -> tuple[int, str, int]:
        """How many were delivered without an offset; topic and partition of the first."""

    def undelivered(self) -> list[tuple[str, bytes | None, bytes | None, KafkaError]]:
        """Topic, key, value and error of each that was not delivered."""


def fates(settings: Iterable[str]) -> Fates:
    """Compiled where that can be. Plugins that are in the user's `settings` have none of ours beside them."""
    plugins = any(name.endswith("plugin.library.paths") for name in settings)
    return Watched() if COMPILED and not plugins else Reported()


class Watched:
    """`Fates` that are heard on librdkafka's threads, without Python."""

    def __init__(self) -> None:
        # librdkafka lets nobody listen to a producer that is there already: so this is a plugin, too.
        self.settings: dict[str, Any] = {"plugin.library.paths": _produce.__file__}

    def attach(self, producer: Producer) -> None:
        self._producer = producer
        self._watch = _produce.watch(producer)

    def clear(self) -> None:
        self._watch.clear()

    def send(self, records: Iterable[TxnRecord]) -> None:
        refused = _produce.send(self._producer, list(records), PARTITIONER)
        if refused:
            raise KafkaException(KafkaError(refused))

    def unproven(self) -> tuple[int, str, int]:
        return self._watch.unproven()

    def undelivered(self) -> list[tuple[str, bytes | None, bytes | None, KafkaError]]:
        return [(*record[:3], KafkaError(record[3])) for record in self._watch.undelivered()]


class Reported:
    """`Fates` by delivery reports."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {"on_delivery": self._on_delivery}
        self.clear()

    def attach(self, producer: Producer) -> None:
        self._producer = producer

    def clear(self) -> None:
        self._unproven: list[tuple[str, int]] = []
        self._undelivered: list[tuple[str, bytes | None, bytes | None, KafkaError]] = []

    def send(self, records: Iterable[TxnRecord]) -> None:
        for topic, partition, key, value in records:
            while True:
                try:
                    self._producer.produce(topic, value, key, PARTITIONER if partition is None else partition)
                    break
                except BufferError:
                    self._producer.poll(0.05)

    def unproven(self) -> tuple[int, str, int]:
        return len(self._unproven), *(self._unproven[0] if self._unproven else ("", 0))

    def undelivered(self) -> list[tuple[str, bytes | None, bytes | None, KafkaError]]:
        return list(self._undelivered)

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        offset = message.offset()
        topic, partition = message.topic() or "", message.partition()
        if error is None and (offset is None or offset < 0):
            self._unproven.append((topic, -1 if partition is None else partition))
        if error is not None:
            self._undelivered.append((topic, _bytes(message.key()), _bytes(message.value()), error))


def _bytes(of: bytes | str | None) -> bytes | None:
    return of.encode() if isinstance(of, str) else of
