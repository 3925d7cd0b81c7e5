from collections.abc import Callable
from typing import Any

class Mailbox:
    def __init__(
        self, classes: tuple[type, ...], ttl: int, topic: str, ledger: Any, inbox: Any,
        active: dict[str, Any], live: dict[str, Any], invoke: Callable[..., Any], load: Callable[[str], bool],
        came: Callable[..., bool], seen: Callable[[Any], None],
    ) -> None: ...
    def receive(self, messages: list[Any], at: int, /) -> int: ...
