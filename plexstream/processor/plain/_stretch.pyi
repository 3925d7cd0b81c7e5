from typing import Any

class Stretch:
    def __init__(self, classes: tuple[type, ...], mailbox: str, no_cause: Any, run: int, /) -> None: ...
    def write(
        self, inv: Any, suspended: Any, completions: list[Any], claim: int, now: int, group: int,
        active: dict[str, Any], /,
    ) -> Any: ...
