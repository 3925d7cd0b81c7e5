"""Side effects of handlers that wait: when they may start, and when they are tried again."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable

from plexstream.model.host import Effect
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.records import EffectCall
from plexstream.processor.waiting.invocation.invocation import Invocation

_new = tuple.__new__  # a named tuple's own costs several times as much

class Effects:
    """The effects of one partition that are asked for and have not come to their end.

    Attributes:
        ready: to be started by the driver.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.ready: deque[EffectCall] = deque()
        self._gated: deque[tuple[int, Invocation, EffectCall]] = deque()
        self._later: list[tuple[int, int, Invocation, EffectCall]] = []  # a heap, by the time of their retry
        self._order = itertools.count()

    def ask(self, inv: Invocation, number: int, effect: Effect) -> None:
        """An effect starts when what led to it is on the log, and not before its next attempt is due."""
        tried = inv.tried.get(number)
        if tried is None:
            call = _new(EffectCall, (inv.address, inv.number, number, effect, 1, 0, 0))
            self._gated.append((inv.group, inv, call))
            return
        call = EffectCall(inv.address, inv.number, number, effect, tried.number + 1, tried.began)
        inv.running[number] = call
        heapq.heappush(self._later, (tried.next, next(self._order), inv, call))

    def acknowledged(self) -> None:
        """Effects start once the record of what led to them is on the log."""
        done = self._ledger.acknowledged_number
        while self._gated and self._gated[0][0] <= done:
            _, inv, call = self._gated.popleft()
            wanted = call.number in inv.outstanding and not inv.ended
            if wanted and inv.running.get(call.number, call) is call:
                now = self._ledger.now
                address, invocation, number, effect, attempt, began, _ = call
                began = began or now
                call = _new(EffectCall, (address, invocation, number, effect, attempt, began, now - began))
                inv.running[number] = call
                self.ready.append(call)

    def let_go(self) -> None:
        """Those that have failed are due again."""
        while self._later and self._later[0][0] <= self._ledger.now:
            _, _, inv, call = heapq.heappop(self._later)
            if inv.running.get(call.number) is call:
                self._gated.append((inv.group, inv, call))
        self.acknowledged()

    def not_started(self, inv: Invocation) -> list[int]:
        """The commands whose effects wait for something yet."""
        known = {call.number for _, of, call in self._gated if of is inv}
        known |= {call.number for _, _, of, call in self._later if of is inv}
        known |= {call.number for call in self.ready if inv.running.get(call.number) is call}
        return sorted(number for number in known if number in inv.outstanding)

    def withdraw(self, inv: Invocation, number: int) -> None:
        """An effect that has not started does not start any more."""
        inv.running.pop(number, None)
        self.ready = _without(self.ready, lambda c: (c.address, c.invocation, c.number) == (
            inv.address, inv.number, number
        ))  # fmt: skip

    def next_due(self) -> int | None:
        """When one is tried again, in ms since the epoch."""
        return self._later[0][0] if self._later else None


def _without(calls: deque[EffectCall], gone: Callable[[EffectCall], bool]) -> deque[EffectCall]:
    for call in [c for c in calls if gone(c)]:
        calls.remove(call)
    return calls
