"""A node that is told to end does so, whatever hangs in it."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time

from plexstream.model.process.threads import PREFIX, Lasting

_log = logging.getLogger("plexstream.node")

END_S = 9.5
"""How long that may take. Orchestrators give 10 s at the least; what is not acknowledged then is done by the
next owner, as after a crash."""


class Ending:
    """Heeds SIGTERM and SIGINT, for the main thread.

    The interpreter runs handlers between two steps of the main thread, which may be waiting in a library for
    a broker: a thread of its own hears of the signal at once, and ends the process when its time is up.
    """

    def __init__(self) -> None:
        self.told = threading.Event()
        self._read, write = os.pipe()
        os.set_blocking(write, False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.told.set())
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self.thread = Lasting("signals", self._wait, lambda: False)
        self.thread.start()

    def _wait(self) -> None:
        while not set(os.read(self._read, 64)) & {signal.SIGTERM, signal.SIGINT}:
            pass
        self.told.set()
        time.sleep(END_S)
        alive = sorted(t.name for t in threading.enumerate() if t.name.startswith(PREFIX))
        _log.error(
            "this process has not ended within %.1f s of being told to, and ends now; what still ran: %s",
            END_S, ", ".join(alive) or "nothing of its own",
        )  # fmt: skip
        os._exit(1)
