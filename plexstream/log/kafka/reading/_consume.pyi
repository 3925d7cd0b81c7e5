from confluent_kafka import Consumer, KafkaError

from plexstream.log.base import Place, Record

Failed = tuple[KafkaError, str | None, int | None]

def load(path: str, consumer: type[Consumer], record: type[Record], error: type[KafkaError], /) -> bool: ...
def fetch(
    consumer: Consumer, limit: int, ms: int, positions: dict[Place, int], found: list[Record], /
) -> tuple[bool, tuple[Failed, list[Record | Failed]] | None, list[tuple[bool, int, str, str]]]: ...
