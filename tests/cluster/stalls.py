"""How long callers waited for acknowledgements under each fault: printed after a run, never asserted."""

from __future__ import annotations

from collections.abc import Iterable

from callers import KINDS, OK, Operation

_found: list[str] = []


def keep(fault: str, history: Iterable[Operation], struck: float, undone: float) -> None:
    """Take note of a history, with the times at which the fault began and was undone."""
    history = list(history)
    waits = [f"{longest(history, struck, kind):10.1f}" for kind in KINDS]
    _found.append(f"{fault:28}{''.join(waits)}{longest(history, undone):10.1f}")


def longest(history: Iterable[Operation], since: float, kind: str = "") -> float:
    """The longest wait from `since` on, in seconds, for an operation that was acknowledged then or later."""
    done = (op for op in history if op.outcome == OK and op.ended > since and kind in ("", op.kind))
    return max((op.ended - max(op.begun, since) for op in done), default=0.0)


def table() -> list[str]:
    """Seconds by fault and kind, and of all kinds from the end of the fault on; nothing if there are none."""
    if not _found:
        return []
    heads = "".join(f"{kind[:9]:>10}" for kind in (*KINDS, "afterwards"))
    return ["longest wait for an acknowledgement from the fault on, in seconds:", f"{'':28}{heads}", *_found]
