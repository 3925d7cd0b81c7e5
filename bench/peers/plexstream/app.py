"""The counter as an actor: its count and last amount are durable, and each turn has one output record.

``PEER_IN`` names the plain topic that feeds it; with ``PEER_MAILBOX`` set, messages come to the mailbox
instead.
"""

from __future__ import annotations

import os

from plexstream import actor, handler, host, state, subscribe


@actor(name="counter", idle_timeout=float(os.environ.get("COUNTER_IDLE_S", "300")))
class Counter:
    """One key."""

    count: int = state(default=0)
    amount: int = state(default=0)

    @handler("add")
    def add(self, key: str, seq: int, amount: int, pad: str) -> None:
        """One more."""
        self.count += 1
        self.amount = amount
        host.emit("counts", {"key": key, "count": self.count}, key=key)


if "PEER_MAILBOX" not in os.environ:
    subscribe(os.environ["PEER_IN"], handler="add")(Counter)
