from collections.abc import Callable
from typing import Any

class Journal:
    def __init__(
        self, turn: type, change: type, out: type, core: type, inbox: type, lane: type, mailbox: str
    ) -> None: ...
    def number(self, records: list[Any], first: int, /) -> list[Any]: ...
    def weigh(self, records: list[Any], at: int, /) -> tuple[int, int]: ...
    def apply(
        self, records: list[Any], at: int, offset: int, cores: dict[str, Any], dirty: dict[str, Any],
        unsaved: dict[str, int], inbox: Any, mails: Any, emits: Any, /,
    ) -> int: ...
    def restore(
        self, records: list[tuple[int, bytes]], at: int, end: int, next: int, claim: int, ordinal: int,
        decode: Callable[[bytes], Any], emitted: Callable[[tuple[int, bytes]], None],
        owe: Callable[[int, bytes, Any], None], cores: dict[str, Any], dirty: dict[str, Any],
        unsaved: dict[str, int], inbox: Any, /,
    ) -> int: ...
