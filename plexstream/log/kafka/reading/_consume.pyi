from confluent_kafka import Consumer, KafkaError

from plexstream.log.base import Place, Record

Failed = tuple[KafkaError, str | None, int | None]

class Batch:
    def take(
        self, positions: dict[Place, int], found: list[Record], /
    ) -> tuple[Failed, list[Record | Failed]] | None: ...

def load(path: str, consumer: type[Consumer], record: type[Record], error: type[KafkaError], /) -> bool: ...
def fetch(
    consumer: Consumer, limit: int, ms: int, /
) -> tuple[Batch | None, list[tuple[bool, int, str, str]]]: ...
