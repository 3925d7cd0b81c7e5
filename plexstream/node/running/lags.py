"""What a node asks the log beside its work: how far there is to go, and whether anybody answers at all."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from plexstream.log.base import Log, Place
from plexstream.model.errors import LogError, LogUnavailable
from plexstream.model.process.threads import Lasting

_log = logging.getLogger("plexstream.node")

LAG_S = 0.5
"""How long the ends of topics are not asked for again."""
MAX_AGE_S = 3.0
"""Beyond it an end says nothing of now, and the lag is not known."""
PROBE_S = 2.0
"""How often the log is asked something while nobody wants to know the lags."""
LOST_S = 10.0
"""A log that has not answered for so long counts as lost: elections and restarts of brokers take less."""


class Lags:
    """Asks the log for the ends of mailboxes and sources, off the edge's event loop.

    Parameters:
        subscribed: the topics besides the mailbox whose ends are of interest.
    """

    def __init__(self, log: Log, mailbox: str, partitions: int, subscribed: Iterable[str]) -> None:
        self._log = log
        self._mailbox = mailbox
        self._places = {(mailbox, p) for p in range(partitions)}
        self._ends: dict[Place, tuple[int, float]] = {}
        self._subscribed = set(subscribed)
        self._waiting: list[Future[None]] = []
        self._lock = threading.Lock()
        self._halt = threading.Event()
        self._asked = threading.Event()
        self._heard = time.monotonic()
        self.counts: dict[str, int] = {}
        """Partitions of the subscribed topics that are known; 0 where there is no such topic."""
        self.thread = Lasting("lags", self._run, self._halt.is_set)

    def start(self) -> None:
        """Begin to ask."""
        self.thread.start()

    def stop(self) -> None:
        """Ask nothing more. An answer that is late is not waited for."""
        self._halt.set()
        self._asked.set()

    def fresh(self) -> Future[None]:
        """Done once the ends are known as of now, or cannot be known."""
        future: Future[None] = Future()
        with self._lock:
            self._waiting.append(future)
        self._asked.set()
        return future

    def behind(self, place: Place, position: int) -> int | None:
        """Records between `position` and the end; None while the end is not known as of now."""
        end, at = self._ends.get(place, (0, float("-inf")))
        return None if time.monotonic() - at > MAX_AGE_S else max(0, end - position)

    def lost_s(self) -> float:
        """For how many seconds the log has not answered, where that is too long; else 0."""
        silent = time.monotonic() - self._heard
        return silent if silent > LOST_S else 0.0

    def _run(self) -> None:
        while not self._halt.is_set():
            if not self._asked.wait(PROBE_S):  # an idle node asks one thing only
                self._ask(lambda: self._log.partitions(self._mailbox))
                continue
            self._asked.clear()
            with self._lock:
                waiting, self._waiting = self._waiting, []
            try:
                self._look()
            finally:
                for future in waiting:
                    if future.set_running_or_notify_cancel():
                        future.set_result(None)
            self._halt.wait(LAG_S)

    def _look(self) -> None:
        counts: dict[str, int] = {}
        for topic in sorted(self._subscribed):
            found = self._ask(lambda topic=topic: self._log.partitions(topic) or 0)  # type: ignore[misc]
            if found is not None:
                counts[topic] = found
        sources = {(topic, q) for topic, count in counts.items() for q in range(count)}
        for place in sorted(self._places | sources):
            end = self._ask(lambda place=place: self._log.range(place)[1])  # type: ignore[misc]
            if end is None:
                self._ends.pop(place, None)
                if self.lost_s():
                    return  # each question takes as long as it may
            else:
                self._ends[place] = end, time.monotonic()
        self.counts = counts

    def _ask(self, question: Callable[[], int | None]) -> int | None:
        try:
            found = question()
        except LogError as error:
            if not isinstance(error, LogUnavailable):
                self._heard = time.monotonic()
            _log.debug("the log does not say: %s", error)
            return None
        self._heard = time.monotonic()
        return found
