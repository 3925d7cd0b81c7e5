"""What a supervisor can do: all that leaves its decisions."""

from __future__ import annotations

from typing import Protocol

from plexstream.hosts.system.children.children import Node

NOBODY = "-"
"""In the place of a call: a start was asked for by somebody who does not wait for its outcome."""


class Acts(Protocol):
    """What a supervisor can do."""

    def now(self) -> int:
        """The time, in ms since the epoch."""

    def check(self, child: Node) -> None:
        """Raises ValueError or TooLarge where a child could never be started: its address, its arguments."""

    def start(self, child: Node) -> str:
        """Start a child; returns the reference of its new life."""

    def stop(self, child: Node, kill: bool) -> None: ...
    def configure_below(self, child: Node) -> None:
        """Tell a supervisor below of its new declaration."""

    def timeout(self, child: Node) -> str:
        """Ask to be told when a child has taken too long to stop; returns the timer's id."""

    def cancel(self, timer: str) -> None: ...
    def answer(self, call: str, address: str, error: str) -> None:
        """Tell whoever waits for a start what came of it."""

    def exit(self, reason: str) -> None: ...
    def note(self, decision: str, child: str, reason: str, restarts: int) -> None:
        """Write a decision down."""
