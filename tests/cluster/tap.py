"""What passes through mailbox and journal while callers call, kept to tell where the log had what is wrong.

By the time that something is found missing, the log may have been trimmed past it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from plexstream.log.base import Log, Place, Record
from plexstream.model.errors import LogError


class Tap:
    """A thread that reads some topics from their ends on, until `close`."""

    def __init__(self, log: Log, topics: Sequence[str]) -> None:
        self._log = log
        self._places: list[Place] = [(t, p) for t in topics for p in range(log.partitions(t) or 0)]
        self._records: list[Record] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def clear(self) -> None:
        """Forget what has passed so far."""
        self._records.clear()

    def offsets(self, text: str) -> list[str]:
        """Where there was a record with this text."""
        found = [record for record in list(self._records) if text.encode() in (record.value or b"")]
        return [f"{r.topic}[{r.partition}]@{r.offset}" for r in found]

    def close(self) -> None:
        self._stop.set()
        self._thread.join(20)

    def _run(self) -> None:
        reader = self._log.reader()
        todo = list(self._places)
        while not self._stop.is_set():
            try:
                while todo:
                    reader.assign(todo[-1], self._log.range(todo[-1])[1])
                    todo.pop()
                self._records += reader.read(1000, 0.2)
            except LogError:
                time.sleep(0.2)  # only a help: what it misses for a fault is missed
        reader.close()
