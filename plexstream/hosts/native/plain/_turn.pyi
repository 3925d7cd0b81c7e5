from collections.abc import Callable
from typing import Any

class Invoker:
    def __init__(
        self, classes: tuple[type, ...], current: Any, encode: Callable[[Any], bytes],
        is_plain: Callable[[object, int], bool], depth: int, astuple: Callable[[Any], tuple[Any, ...]],
        check_topic: Callable[[object], None], emit: Callable[..., None],
    ) -> None: ...
    def invoke(
        self, host: Any, instance: Any, handler: str, payload: bytes, seq: int, now: int, sender: str,
        message_id: str, reply_to: str, /,
    ) -> Any: ...
    def emit(self, turn: Any, topic: str, value: Any, key: str | None, /) -> None: ...

def method(function: Any, /) -> Any: ...
