"""What is to be done with handlers that wait, and when."""

from __future__ import annotations

from collections import deque

from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.waiting import limits
from plexstream.processor.waiting.invocation.invocation import Invocation
from plexstream.processor.waiting.invocation.machine import State


class Agenda:
    """Handlers that go on as soon as they can, or later, and those that are in memory.

    Attributes:
        ready: to run again, the first first.
        on_trial: announced after crashes, and run next.
        load: actors to be loaded, of whose handlers some wait for others.
        announce: runs that have no record yet, since when.
        kept: those with a task, the longest first.
        stuck: those whose code does not fit.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.ready: deque[Invocation] = deque()
        self.on_trial: Invocation | None = None
        self.load: deque[str] = deque()
        self.announce: dict[Invocation, int] = {}
        self.kept: dict[Invocation, None] = {}
        self.stuck: set[Invocation] = set()
        self._unacknowledged: deque[Invocation] = deque()
        self._later: dict[Invocation, int] = {}

    def soon(self, inv: Invocation) -> None:
        """It goes on as soon as it can: once its records are on the log, from which it runs again."""
        self._later.pop(inv, None)
        if self.is_behind(inv):
            self._unacknowledged.append(inv)
        else:
            self.ready.append(inv)

    def is_behind(self, inv: Invocation) -> bool:
        """Whether the log lacks something of what it would run again from."""
        return inv.begun and inv.group > self._ledger.acknowledged_number

    def later(self, inv: Invocation, at: int) -> None:
        """It is looked at again at `at`, in ms since the epoch."""
        self._later[inv] = at

    def acknowledged(self) -> None:
        """More is on the log."""
        waiting, group = self._unacknowledged, self._ledger.acknowledged_number
        while waiting and waiting[0].group <= group:
            self.ready.append(waiting.popleft())

    def due(self) -> list[Invocation]:
        """Those whose time has come."""
        if not self._later:
            return []
        now = self._ledger.now
        found = [inv for inv, at in self._later.items() if at <= now]
        for inv in found:
            del self._later[inv]
        return found

    def keep(self, inv: Invocation, task: object) -> None:
        """Note whether a handler is in memory."""
        if task is inv.task:
            return
        inv.task = task
        if task is None:
            self.kept.pop(inv, None)
        else:
            self.kept.setdefault(inv)

    def recorded(self, inv: Invocation) -> None:
        """It has a record now."""
        if self.announce:
            self.announce.pop(inv, None)
        if self.stuck and inv.state is not State.STUCK:
            self.stuck.discard(inv)

    def forget(self, inv: Invocation) -> None:
        """It has ended."""
        self.keep(inv, None)
        self.announce.pop(inv, None)
        self.stuck.discard(inv)
        self._later.pop(inv, None)

    def next_due(self) -> int | None:
        """When there is something to do, in ms since the epoch; what waits for the log is not on it."""
        times = [*self._later.values()]
        if self.announce:
            times.append(next(iter(self.announce.values())) + limits.RUN_ANNOUNCED)
        if self.ready or self.load or self.on_trial is not None:
            times.append(self._ledger.now)
        return min(times, default=None)
