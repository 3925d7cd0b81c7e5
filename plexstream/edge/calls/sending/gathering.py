"""Lets calls that are many wait for others, to travel as few large groups; a call among few never waits.

A group costs brokers, workers and callers as much as some thirty calls (ADR 5). It becomes large by itself
where a round trip takes long, but answers that come together are followed by calls to all partitions: of 256
callers 64 were answered at once, and went on as four groups of 16.
"""

from __future__ import annotations

import time
from collections.abc import Callable

MANY = 128
"""Calls without an outcome from which on others are waited for: 32 a partition, where there are four."""
SHARE = 0.75
"""How many of them are waited for. With all of them, nobody would have anything to do meanwhile."""
ENOUGH = 192
"""And no more than so many: larger groups cost little less."""
MOST_S = 0.004
"""For how long at most; a call among so many takes longer by itself."""
WORTH = 16
"""How many must have come for it to be worth waiting the next time as well."""
MOST_SKIPPED = 63
"""How often it is left out at most where that was in vain: of calls that take long there are many, too."""


class Gathering:
    """Whether to wait for more calls. For one thread.

    Parameters:
        open: how many calls have no outcome yet.
        clock: seconds that only go forward.
    """

    def __init__(self, open: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._open = open
        self._clock = clock
        self._vain = 0  # left out so often for the last one in vain
        self._skip = 0  # and so often still

    def wait(self, here: int, come: Callable[[], int], rest: Callable[[], None]) -> bool:
        """Wait, if that is worth it; returns whether it was, so that more may have come.

        Parameters:
            here: calls that would leave now.
            come: how many have come since.
            rest: lets some time pass, far less than `MOST_S`.
        """
        open = self._open()
        wanted = min(SHARE * open, ENOUGH) - here
        if open < MANY or come() >= wanted:
            return False
        if self._skip:
            self._skip -= 1
            return False
        end = self._clock() + MOST_S
        while come() < wanted and self._clock() < end:
            rest()
        self._vain = 0 if come() >= WORTH else min(2 * self._vain + 1, MOST_SKIPPED)
        self._skip = self._vain
        return True
