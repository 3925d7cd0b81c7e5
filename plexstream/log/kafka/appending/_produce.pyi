from collections.abc import Callable
from typing import Any

from confluent_kafka import Producer

class Watch:
    def clear(self) -> None: ...
    def unproven(self) -> tuple[int, str, int]: ...
    def undelivered(self) -> list[tuple[str, bytes | None, bytes | None, int]]: ...

def load(path: str, type: type[Producer], /) -> bool: ...
def watch(producer: Producer, /) -> Watch: ...
def produce(
    producer: Producer,
    topic: str,
    partition: int,
    records: list[Any],
    key_at: int,
    value_at: int,
    callback: Callable[..., None] | None,
    /,
) -> tuple[int, int]: ...
def send(
    producer: Producer, records: list[tuple[str, int | None, bytes, bytes | None]], partitioner: int, /
) -> int: ...
