from collections.abc import Callable
from typing import Any

def load(turn: type, out: type, envelope: type, /) -> None: ...
def answers(
    turns: list[Any], at: int, ways: dict[str, tuple[bytes, list[Any]]],
    find: Callable[[str], tuple[bytes, list[Any]]], encode: Callable[[Any], bytes], /,
) -> int: ...
