"""A clock that is far from those of the others is named: timers follow the clocks of the nodes."""

from __future__ import annotations

import logging
import time

_log = logging.getLogger("plexstream.node")

FAR_MS = 120_000
"""Clocks that are kept by NTP differ by less than this, and the log's retries take less."""
AGAIN_S = 600.0
"""The same clock is named once in so long, however many partitions show it."""
ADVICE = "synchronise the clocks (NTP): timers and turn times follow the node's clock"


class Clocks:
    """Compares times that are on the log with the time here. Belongs to one worker."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._told: dict[str, float] = {}

    def wrote(self, partition: int, node: str, time_ms: int, now: int) -> None:
        """`node` wrote to the journal at `time_ms`, before `now`; both in milliseconds since the epoch."""
        ahead = time_ms - now
        if ahead >= FAR_MS:
            self._tell(
                node,
                f"partition {partition}: node {node or 'unknown'} wrote to the journal {ahead / 1000:.0f} s "
                f"in the future of node {self._node}: the clock of the one is ahead, or that of the other "
                "behind",
            )

    def appended(self, partition: int, made: int, stamped: int, now: int) -> None:
        """A record that was `made` here is `stamped` on the log; brokers may be set up to use their clock."""
        if made - stamped >= FAR_MS:
            self._tell("", f"{self._mine(partition)} {(made - stamped) / 1000:.0f} s ahead of the broker's")
        elif stamped - now >= FAR_MS:
            self._tell("", f"{self._mine(partition)} {(stamped - now) / 1000:.0f} s behind the broker's")

    def _mine(self, partition: int) -> str:
        return f"partition {partition}: the clock of node {self._node} is"

    def _tell(self, whose: str, what: str) -> None:
        now = time.monotonic()
        if now - self._told.get(whose, -AGAIN_S) >= AGAIN_S:
            self._told[whose] = now
            _log.warning("%s: %s", what, ADVICE)
