from collections.abc import Callable
from typing import Any

class Restoring:
    def __init__(self, core: type, inbox: type, prefix: bytes, mailbox: bytes) -> None: ...
    def restore(
        self, records: list[Any], at: int, end: int, next: int, claim: int, ordinal: int,
        others_at: list[int], others: list[bytes], owe: Callable[[int, bytes, bool, bool], None],
        cores: dict[str, Any], dirty: dict[str, Any], unsaved: dict[str, int], inbox: Any,
        load: Callable[[str], Any], /,
    ) -> int: ...
