"""How long callers waited for acknowledgements under each fault: printed after a run, never asserted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import suppress

from callers import KINDS, OK, Operation
from room import Installation

from plexstream.log.installation import names
from plexstream.testing.errors import KafkaUnavailableError

HEAD = "longest wait for an acknowledgement from the fault on, in seconds:\n" + " " * 28 + "".join(
    f"{name[:9]:>10}" for name in (*KINDS, "serves at", "from then", "undone")
)  # fmt: skip
"""Of a table of rows: until the cluster could serve again, and of all kinds from then on, and from the end of
the fault on."""


def row(fault: str, history: Iterable[Operation], struck: float, serves: float, undone: float) -> str:
    """The row of a history, with the times at which a fault began, at which the cluster could serve again
    what it befell (others lead, or enough replicas are in sync), and at which it was undone.
    """
    history = list(history)
    waits = [longest(history, struck, kind) for kind in KINDS]
    waits += [serves - struck, longest(history, serves), longest(history, undone)]
    return f"{fault:28}{''.join(f'{wait:10.1f}' for wait in waits)}"


class Watch:
    """Looks, from now on and beside others, when the cluster can serve: every partition has a leader, and
    enough replicas in sync. What brokers need to start again is no stall of ours.
    """

    def __init__(self, on: Installation) -> None:
        self._on = on
        self._at = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def served_at(self) -> float:
        """When it could for the first time."""
        self._thread.join(60)
        assert self._at, "there are too few replicas, or no leaders"
        return self._at

    def _run(self) -> None:
        topics = names(self._on.topics)
        while not self._at:
            with suppress(KafkaUnavailableError):
                found = [s for topic in topics for s in self._on.brokers.partitions(topic).values()]
                if all(state.leader >= 0 and len(state.in_sync) >= 2 for state in found):
                    self._at = time.monotonic()
            time.sleep(0.05)


def longest(history: Iterable[Operation], since: float, kind: str = "") -> float:
    """The longest wait from `since` on, in seconds, for an operation that was acknowledged then or later."""
    done = (op for op in history if op.outcome == OK and op.ended > since and kind in ("", op.kind))
    return max((op.ended - max(op.begun, since) for op in done), default=0.0)
