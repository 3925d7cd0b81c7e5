"""Lets calls that are many wait for others, to travel as few large groups; a call among few never waits.

A group costs brokers, workers and callers as much as some thirty calls (ADR 5). It becomes large by itself
where a round trip takes long, but answers that come together are followed by calls to all partitions: of 256
callers 64 were answered at once, and went on as four groups of 16.

To wait is worth it where processors are what is short, and is time lost where brokers are far away. So both
are tried now and then, and it is left where it lets fewer calls get through.
"""

from __future__ import annotations

import time
from collections.abc import Callable

MANY = 128
"""Calls without an outcome from which on others are waited for: 32 a partition, where there are four.
Old ones do not count."""
SHARE = 0.75
"""How many of them are waited for. With all of them, nobody would have anything to do meanwhile."""
ENOUGH = 192
"""And no more than so many: larger groups cost little less."""
MOST_S = 0.006
"""For how long at most; a call among so many takes longer by itself."""
OLD_S = 0.1
"""Calls that have been open for so long bring no others: they wait for a timer, a person, an outage."""
WORTH = 16
"""How many must have come for it to be worth waiting the next time as well."""
MOST_SKIPPED = 63
"""How often it is left out at most where that was in vain: of calls that take long there are many, too."""
TRIAL_S = 0.15
"""How long calls are counted without waiting, and with it, in turn."""
TRIALS = 4
"""How many such times there are."""
LEAST = 0.85
"""It is left where only so much of what is without it gets through: such short times differ by themselves."""
HOLDS_S = 10.0
"""How long what was found holds."""


class Gathering:
    """Whether to wait for more calls. For one thread.

    Parameters:
        open: how many calls have no outcome yet.
        older: how many of them were made before a time of `clock`.
        clock: seconds that only go forward.

    Attributes:
        waits: whether it does, now.
    """

    def __init__(
        self,
        open: Callable[[], int],
        older: Callable[[float], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = open
        self._older = older
        self._old = 0
        self._old_until = 0.0  # until then that holds
        self._clock = clock
        self.waits = True
        self._vain = 0  # left out so often for the last one in vain
        self._skip = 0  # and so often still
        self._rates = [0.0, 0.0]  # without, and with
        self._trial = 0  # which time of it this is; 0: none
        self._since = self._until = 0.0
        self._count = 0

    def wait(self, here: int, come: Callable[[], int], rest: Callable[[], None]) -> bool:
        """Wait, if that is worth it; returns whether it was, so that more may have come.

        Parameters:
            here: calls that would leave now.
            come: how many have come since.
            rest: lets some time pass, far less than `MOST_S`.
        """
        open = self._open()
        if open < MANY:
            return False
        now = self._clock()
        if now >= self._old_until:
            self._old, self._old_until = self._older(now - OLD_S), now + OLD_S / 2
        open -= self._old
        if open < MANY:
            return False
        if now >= self._until:
            self._look(now)
        self._count += here
        wanted = min(SHARE * open, ENOUGH) - here
        if not self.waits or come() >= wanted:
            return False
        if self._skip:
            self._skip -= 1
            return False
        while come() < wanted and self._clock() < now + MOST_S:
            rest()
        came = come()
        self._count += came
        self._vain = 0 if came >= WORTH else min(2 * self._vain + 1, MOST_SKIPPED)
        self._skip = self._vain
        return True

    def _look(self, now: float) -> None:
        """A time is over: one of a trial, or that for which the last trial holds."""
        if self._trial and now < self._until + TRIAL_S:
            self._rates[self.waits] += self._count / (now - self._since)
        else:  # a new one, also where few calls were open meanwhile
            self._trial, self._rates = 0, [0.0, 0.0]
        self._trial = (self._trial + 1) % (TRIALS + 1)
        without, waiting = self._rates
        self.waits = self._trial % 2 == 0 if self._trial else waiting >= LEAST * without
        self._since, self._count = now, 0
        self._until = now + (TRIAL_S if self._trial else HOLDS_S)
