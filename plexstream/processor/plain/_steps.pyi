from typing import Any

class Steps:
    def __init__(
        self, step: type, change: type, out: type, begin: type, completion: type, pending: type, core: type,
        inbox: type, mailbox: str, kind: int, names: list[str], /,
    ) -> None: ...
    def apply(
        self, records: list[Any], at: int, offset: int, new_from: int, pending: dict[str, Any],
        steps: dict[Any, Any], saved: set[Any], pieces: dict[Any, Any], unsaved: dict[Any, int],
        cores: dict[str, Any], dirty: dict[str, Any], unsaved_cores: dict[str, int], inbox: Any, /,
    ) -> tuple[int, int]: ...
