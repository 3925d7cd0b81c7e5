"""One line for each measurement that has landed: what the figures were like, and when."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.contenders import QUIX, RAW, STREAMS
from bench.table import Line

FILE = Path(__file__).resolve().parent / "history.md"

_MAILBOX, _FED = "plexstream, Kafka, from the mailbox", "plexstream, Kafka, fed from a plain topic"
_COLUMNS: tuple[tuple[str, str], ...] = (  # what, and the peer of a ratio
    (_MAILBOX, RAW), (_MAILBOX, QUIX), (_MAILBOX, STREAMS), (_FED, RAW), (_FED, QUIX),
    ("plexstream, embedded, from the mailbox", ""), ("client, Kafka, 256 callers", ""),
    ("HTTP, Kafka, 256 callers", ""), ("client, Kafka, 1 caller: p50", ""),
    ("recovery, store lost: plexstream, Kafka", ""), ("memory of an active actor", ""),
)  # fmt: skip
"""As the head of the file names them."""


def line(about: Mapping[str, str], lines: list[Line]) -> str:
    """The line of a run; what it has not measured is empty."""
    found = {line.what: line for line in lines}
    cells = [about["when"][:10], about["commit"], about["CPU"]]
    for what, peer in _COLUMNS:
        one = found.get(what)
        if one is None or (peer and peer not in one.ratios):
            cells.append("")
        elif peer:
            cells.append(str(one.ratios[peer]))
        else:
            cells.append(f"{one.figure:,.0f}" if one.figure >= 100 else f"{one.figure:.2f}")
    return f"| {' | '.join(cells)} |"


def add(file: Path, text: str) -> None:
    """Put a line at the end of the file."""
    with file.open("a") as history:
        history.write(text + "\n")
