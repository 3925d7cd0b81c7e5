"""Faults that come again and again, such as those of a full disk: the log should not be filled with them."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable

_log = logging.getLogger("plexstream.node")

FIRST_S = 5.0
"""How long a fault that has been told is counted only; twice as long each time it is told again."""
LAST_S = 300.0
OVER_S = 15.0
"""A fault that has not come again for so long is over: longer than whatever is tried again waits."""
_NUMBERS = re.compile(r"\d+")


class _Fault:
    __slots__ = ("began", "count", "last", "pause", "tell_at")

    def __init__(self, now: float) -> None:
        self.began = self.last = now
        self.count = 0
        self.pause = FIRST_S
        self.tell_at = now


class Repeated:
    """Tells a fault at once, then at growing intervals with its count, and once when it is over.

    Faults are the same where what failed is, and why, whatever the numbers in it.

    Parameters:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._faults: dict[tuple[str, str], _Fault] = {}

    def tell(self, what: str, why: object) -> None:
        """`what` has failed. Never raises."""
        now, said = self._clock(), str(why)
        self.look()
        fault = self._faults.setdefault((what, _NUMBERS.sub("#", said)), _Fault(now))
        fault.count += 1
        fault.last = now
        if now < fault.tell_at:
            return
        if fault.count == 1:
            _log.warning("%s: %s", what, said)
        else:
            told = fault.count, now - fault.began
            _log.warning("%s: %s (%d times in %.0f s)", what, said, *told)
            fault.pause = min(2 * fault.pause, LAST_S)
        fault.tell_at = now + fault.pause

    def look(self) -> None:
        """Whether some are over."""
        if not self._faults:
            return
        end = self._clock() - OVER_S
        for key in [key for key, fault in self._faults.items() if fault.last <= end]:
            fault = self._faults.pop(key)
            if fault.count > 1:
                told = fault.count, fault.last - fault.began
                _log.warning("%s: over, after %d times in %.0f s: %s", key[0], *told, key[1])
