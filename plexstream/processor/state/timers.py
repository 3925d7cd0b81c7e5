"""Messages that are due later. All are in the store, by due time; the next ones are in memory, too."""

from __future__ import annotations

import heapq

from plexstream.model.journal.snapshot import Snapshot
from plexstream.processor.state.pieces import Pieces
from plexstream.processor.state.ports import Due

STEP = 1_000
"""Timers looked up in the store at once: 2 ms."""
WINDOW = 10_000
"""Timers in memory once there are twice as many: 3 MB."""
_BEFORE_ALL: Due = (-(1 << 63), "", "")
_AFTER_ALL: Due = ((1 << 63) - 1, "", "")


class Timers:
    """Acknowledged timers by due time. Only what the log has can fire.

    Invariant: each pending timer up to `_horizon` is in `_heap`, or is firing. What the heap has besides was
    taken back or set anew, which shows when it is due: memory does not know all that are pending.
    """

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._heap: list[Due] = []
        self._horizon = _BEFORE_ALL
        # Handed out and not finished, with the offset of the record that set it.
        self._firing: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return self._pieces.pending_timers

    def add(self, due: int, actor: str, id: str) -> None:
        """An acknowledged turn has set this timer, perhaps anew."""
        self._firing.pop((actor, id), None)
        entry = (due, actor, id)
        if entry <= self._horizon:
            heapq.heappush(self._heap, entry)
            if len(self._heap) > 2 * WINDOW:
                self._heap.sort()
                del self._heap[WINDOW:]
                self._horizon = self._heap[-1]

    def remove(self, actor: str, id: str) -> None:
        """An acknowledged turn has taken it back, or was caused by it."""
        self._firing.pop((actor, id), None)

    def live(self, actor: str, id: str, offset: int) -> bool:
        """Whether what was set by the record at `offset` may fire: no turn has finished it or set it anew."""
        timer = self._pieces.timer(actor, id)
        return timer is not None and timer.offset == offset and not self._pieces.touched(actor, id)

    def next_due(self) -> int | None:
        """When the next one is due at the earliest, in ms since the epoch."""
        self._refill()
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: int, limit: int) -> list[Snapshot]:
        """Up to `limit` timers that are due. They count as pending until their turn is acknowledged."""
        found: list[Snapshot] = []
        while len(found) < limit:
            self._refill()
            if not self._heap or self._heap[0][0] > now:
                break
            due, actor, id = heapq.heappop(self._heap)
            timer = self._pieces.timer(actor, id)
            if timer is None or timer.time != due or self._pieces.touched(actor, id):
                continue
            if self._firing.get((actor, id)) != timer.offset:
                self._firing[actor, id] = timer.offset
                found.append(timer)
        return found

    def _refill(self) -> None:
        while not self._heap and self._horizon < _AFTER_ALL:
            after = self._horizon
            found = self._pieces.store.due(after, STEP)
            self._horizon = found[-1] if len(found) == STEP else _AFTER_ALL
            found += [entry for entry in self._pieces.unflushed_timers() if after < entry <= self._horizon]
            heapq.heapify(found)
            self._heap = found
