"""The topics of the flights on a real broker: any Kafka client writes the source and reads the output."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 8
BEGINNING = 0


class KafkaTopics:
    """One run's topics: `source` holds the flights, those of plexstream itself begin with `prefix`."""

    def __init__(self, address: str, source: str, prefix: str) -> None:
        self.source = source
        self.prefix = prefix
        self._address: dict[str, str | int | float | bool] = {"bootstrap.servers": address}
        self._admin = AdminClient(self._address)
        for created in self._admin.create_topics([NewTopic(source, PARTITIONS)]).values():
            created.result(30)
        self._producer = Producer(
            {**self._address, "enable.idempotence": True, "partitioner": "murmur2_random", "linger.ms": 5}
        )
        self._failure: KafkaError | None = None

    def publish(self, flights: Sequence[dict[str, Any]]) -> None:
        for flight in flights:
            self._producer.produce(
                self.source, json.dumps(flight), key=flight["tailnum"], on_delivery=self._delivered
            )
        self._producer.flush()
        if self._failure is not None:
            raise KafkaException(self._failure)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        self._failure = self._failure or error

    def alerts(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What a `read_committed` consumer finds in the output topic `delays`, from beginning to end."""
        consumer = Consumer(
            {
                **self._address,
                "group.id": self.source,  # required; nothing is committed
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        try:
            topic = f"{self.prefix}out.delays"
            partitions = list(consumer.list_topics(topic, 30).topics[topic].partitions)
            consumer.assign([TopicPartition(topic, partition, BEGINNING) for partition in partitions])
            unread = set(partitions)
            while unread:
                message = consumer.poll(30)
                if message is None:
                    raise TimeoutError(f"{topic}: no end of partitions {sorted(unread)} within 30 seconds")
                error = message.error()
                if error is None:
                    yield (message.key() or b"").decode(), json.loads(message.value() or b"null")
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
                else:
                    raise KafkaException(error)
        finally:
            consumer.close()

    def discard(self) -> None:
        """Delete the topics of this run."""
        topics = self._admin.list_topics(timeout=30).topics
        mine = [name for name in topics if name == self.source or name.startswith(self.prefix)]
        for deleted in self._admin.delete_topics(mine).values():
            deleted.result(30)
