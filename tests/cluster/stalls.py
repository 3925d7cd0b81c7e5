"""The longest that a caller waited for an acknowledgement under each fault, printed at the end of a run."""

from __future__ import annotations

from callers import KINDS, Callers, Operation

_longest: dict[str, dict[str, Operation]] = {}


def keep(fault: str, callers: Callers) -> None:
    _longest[fault] = callers.stalls()


def table() -> list[str]:
    """Seconds by fault and kind of operation; nothing if nothing was measured."""
    if not _longest:
        return []
    lines = [
        "longest wait for an acknowledgement, in seconds:",
        f"{'':30}" + "".join(f"{k[:9]:>10}" for k in KINDS),
    ]
    for fault, kinds in _longest.items():
        waits = [kinds[kind].took if kind in kinds else 0.0 for kind in KINDS]
        lines.append(f"{fault:30}" + "".join(f"{wait:10.1f}" for wait in waits))
    return lines
