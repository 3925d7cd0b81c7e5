"""The thread that ends calls at their deadlines. It does nothing else: no broker can make it late."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from plexstream.model.process.threads import Lasting

log = logging.getLogger(__name__)

_NEVER = float("inf")
_LONGEST_S = 3600.0


class Deadlines:
    """Calls `expire` when the earliest deadline that it knows of has passed.

    Parameters:
        expire: called on the thread of its own with the present time; ends what is late, and returns when it
            wants to be called next (both on `time.monotonic()`). Must not block.
    """

    def __init__(self, expire: Callable[[float], float], *, name: str) -> None:
        self._expire = expire
        self._next = _NEVER
        self._sooner = threading.Event()
        self._closed = False
        self.thread = Lasting("deadlines", self._run, lambda: self._closed, name)
        self.thread.start()

    def watch(self, deadline: float) -> None:
        """There is one more, known to `expire` by now. Any thread, at no cost."""
        if deadline < self._next:
            self._next = deadline
            self._sooner.set()

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._sooner.set()
        if threading.current_thread() is not self.thread:
            self.thread.join(1.0)

    def _run(self) -> None:
        while not self._closed:
            wait = min(self._next - time.monotonic(), _LONGEST_S)
            if wait > 0 and not self._sooner.wait(wait):
                continue
            # Asked again after each `watch` as well: what this thread writes here may overtake one.
            self._sooner.clear()
            self._next = _NEVER
            try:
                after = self._expire(time.monotonic())
            except Exception:  # one fault must not leave all others waiting
                log.exception("ending the calls that are late failed")
                after = time.monotonic() + 1.0
            if after < self._next:
                self._next = after
