from collections.abc import Callable

from plexstream.log.base import Record
from plexstream.model.messages.message import Envelope

def known(
    records: list[Record],
    decode: Callable[[bytes], Envelope | None],
    newest: dict[str, int],
    ends: dict[str, int],
    jump: int,
    ahead: int,
    most: int,
    /,
) -> tuple[list[tuple[int, Envelope]], int]: ...
