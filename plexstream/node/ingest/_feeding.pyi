from collections.abc import Callable
from typing import Any

from plexstream.log.base import Place, Record
from plexstream.model.messages.message import Envelope

def sort(
    records: list[Record],
    at: int,
    into: dict[Place, list[Any]],
    feed: object,
    prefix: str,
    handler: str,
    most: int,
    origin: str,
    mailbox: str,
    partitions: int,
    envelope: type[Envelope],
    encode: Callable[[Envelope], bytes | None],
    /,
) -> int: ...
