"""Whether an embedded log can be written: not while the disk takes nothing, nor once it has failed."""

from __future__ import annotations

import logging
from collections.abc import Callable

from plexstream.log.embedded.files import disk
from plexstream.log.memory.local import Arrivals
from plexstream.model.errors import LogError, LogUnavailable

_log = logging.getLogger("plexstream.log")


class Outage:
    """What the disk has refused. Each outage is told when it begins and when it is over.

    Parameters:
        name: of the log, for messages.
        lock: the log's.
        wake: called, with the lock, when somebody has to see from now on whether it is over.
    """

    def __init__(self, name: str, lock: Arrivals, wake: Callable[[], None]) -> None:
        self._name = name
        self._lock = lock
        self._wake = wake
        self._broken: LogError | None = None
        self._passing: LogUnavailable | None = None

    @property
    def lasts(self) -> bool:
        """Whether something waits for the disk to take it again."""
        return self._passing is not None

    @property
    def broken(self) -> bool:
        """Whether the log takes nothing more until it is opened again."""
        return self._broken is not None

    def check(self) -> None:
        """Raise what was refused, while that counts."""
        failed = self._broken or self._passing
        if failed is not None:
            raise type(failed)(str(failed)) from failed

    def refused(self, error: OSError) -> LogError:
        """Take note of what the disk has refused; returns it as an error of the log."""
        failed = disk.refused(f"{self._name} cannot be written", error)
        with self._lock:
            if isinstance(failed, LogUnavailable):
                if self._passing is None:
                    self._passing = failed
                    _log.error("%s", failed)
                    self._wake()
            elif self._broken is None:
                # For good: after a failed sync nobody can tell what the next one would make durable.
                self._broken = failed
                _log.error("%s", failed)
        return failed

    def over(self) -> None:
        """The disk has taken everything that it owed."""
        if self._passing is not None:
            with self._lock:
                self._passing = None
            _log.warning("%s can be written again", self._name)
