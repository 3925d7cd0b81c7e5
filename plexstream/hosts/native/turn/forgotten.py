"""Coroutines that nobody awaited: what they would have done is not done, so the turn is not whole."""

from __future__ import annotations

import gc
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from plexstream.sdk.host.waiting import Waitable
from plexstream.sdk.running.current import current

if TYPE_CHECKING:
    from plexstream.hosts.native.turn.turn import Turn

_collecting = False


def _note_collection(phase: str, info: Mapping[str, int]) -> None:
    global _collecting
    _collecting = phase == "start"


def _watch(warn: Callable[[Any], None]) -> Callable[[Any], None]:
    def told(coroutine: Any) -> None:
        turn = current.turn
        # What the collector finds may be another turn's.
        if turn is None or _collecting:
            warn(coroutine)
        else:
            turn.forgotten.append(coroutine.__qualname__)

    return told


# CPython calls this for a coroutine that goes without ever having been begun. The name is not documented:
# where it is another, Python's own warning is all that tells.
if (_original := getattr(warnings, "_warn_unawaited_coroutine", None)) is not None:
    gc.callbacks.append(_note_collection)
    warnings._warn_unawaited_coroutine = _watch(_original)  # type: ignore[attr-defined]


def forgotten(turn: Turn, value: Any) -> None:
    """Raises TypeError where a handler has dropped a coroutine, or returns one, or a step."""
    if inspect.iscoroutine(value):
        name = value.__qualname__
        value.close()
        raise TypeError(f"it returned {name}(…), which nobody awaited: write return await {name}(…)")
    if isinstance(value, Waitable):
        raise TypeError(f"it returned {value!r}, for which nobody waited: write return await …")
    if turn.forgotten:
        names = ", ".join(f"{name}(…)" for name in turn.forgotten[:5])
        raise TypeError(f"nobody awaited {names}: write await before it")
