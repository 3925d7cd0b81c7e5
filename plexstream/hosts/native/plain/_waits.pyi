from collections.abc import Callable
from typing import Any

class Waits:
    def __init__(
        self, classes: tuple[type, ...], current: Any, decode: Callable[[bytes], Any], no_plan: Any, run: int,
        warn: int, /,
    ) -> None: ...
    def run(
        self, task: Any, name: object, function: Any, arguments: tuple[Any, ...], retry: Any, /
    ) -> Any: ...
    def resume(self, task: Any, completion: Any, now: int, /) -> Any: ...
