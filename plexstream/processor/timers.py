"""Messages that are due later."""

from __future__ import annotations

import heapq

from plexstream.model.snapshot import Snapshot

TimerKey = tuple[str, str]  # the actor that set it, its id there


class Timers:
    """Acknowledged timers by due time. Only what the log has can fire."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, str]] = []
        self._pending: dict[TimerKey, Snapshot] = {}
        self._cancelled: set[TimerKey] = set()  # by turns that the log has not acknowledged

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, timer: Snapshot) -> None:
        """An acknowledged turn has set this timer."""
        key = (timer.address, timer.name)
        if key not in self._pending:
            self._pending[key] = timer
            heapq.heappush(self._heap, (timer.time, *key))

    def cancel(self, key: TimerKey) -> None:
        """A turn is about to take it back: it must not fire meanwhile."""
        self._cancelled.add(key)

    def remove(self, key: TimerKey) -> None:
        """An acknowledged turn has taken it back, or was caused by it."""
        self._pending.pop(key, None)
        self._cancelled.discard(key)

    def live(self, key: TimerKey) -> bool:
        """Whether it may fire: neither has it fired, nor has a turn taken it back."""
        return key in self._pending and key not in self._cancelled

    def next_due(self) -> int | None:
        """When the next one is due, in ms since the epoch."""
        while self._heap and self._heap[0][1:] not in self._pending:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: int, limit: int) -> list[Snapshot]:
        """Up to `limit` timers that are due. They count as pending until their turn is acknowledged."""
        due: list[Snapshot] = []
        while len(due) < limit and self._heap and self._heap[0][0] <= now:
            _, actor, name = heapq.heappop(self._heap)
            timer = self._pending.get((actor, name))
            if timer is not None and (actor, name) not in self._cancelled:
                due.append(timer)
        return due
