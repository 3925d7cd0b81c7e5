"""The threads of plexstream: all of them are started here, by a name that stands in a list.

Whoever has a lasting one must be able to rely on it: it begins anew after whatever goes wrong in it, which
is told, and it says whether it is well. A node whose threads are not well is not ready.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

_log = logging.getLogger("plexstream.threads")

LASTING = {
    "http": "serves HTTP, where the main thread does not",
    "replies": "reads replies to calls",
    "sender": "appends what callers send",
    "deadlines": "ends calls that are late",
    "growth": "looks whether partitions were added",
    "lags": "asks for the ends of topics",
    "supervisor": "starts worker processes again, and hears their reports",
    "worker": "runs the handlers",
    "membership": "is a member of the group of workers",
    "ingest": "feeds subscribed topics into mailboxes",
    "outputs": "writes the outputs of a partition",
    "keeping": "writes snapshots and dead letters of a partition",
    "deployment": "starts the tree of a manifest",
    "log-committer": "syncs the embedded log, and acknowledges",
    "log-janitor": "compacts the embedded log",
    "parent": "ends a worker whose node is gone",
    "undertaker": "lets go of admin clients",
    "signals": "sees to it that a node that is told to end does so",
}
"""Threads that are there as long as what they belong to, by the beginning of their names."""
PASSING = {
    "desk": "asks the log something for a partition",
    "disk": "opens, empties and closes the state store of a partition",
    "effect": "runs side effects that are plain functions",
    "effects": "runs side effects that are coroutines",
    "control": "reads the control topic again",
    "reader-look-up": "asks who leads a topic",
    "reader-look": "asks whether a reader hears of the cluster what others do",
    "sizes": "asks how large a record of a topic may be",
    "view": "asks one broker what it says of a topic",
    "reader-range": "asks what is there of a partition",
    "reader-ends": "asks whether there is something where a reader gets nothing",
    "transaction": "waits for a broker that may not answer",
    "topics": "reads and makes topics for HTTP",
    "ending": "ends a process that does not end by itself",
}
"""Threads that come and go: what goes wrong in one concerns whoever asked, who is told."""
PREFIX = "plexstream-"
RETRY_S = 0.2
"""How soon a thread that has failed begins anew."""
UNWELL_S = 5.0
"""For how long it counts as not well afterwards."""


class Lasting(threading.Thread):
    """A thread that goes on until it is over, whatever goes wrong in it.

    Parameters:
        kind: one of `LASTING`.
        work: what it does, until it is over. Called again where it raises, or returns too early.
        over: whether it may end.
        name: tells it from others of its kind.
        failed: told what went wrong; by default the thread just begins anew.

    Attributes:
        failures: how often it has begun anew.
    """

    def __init__(
        self,
        kind: str,
        work: Callable[[], None],
        over: Callable[[], bool],
        name: object = "",
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        super().__init__(name=_name(kind, name, LASTING), daemon=True)
        self._work = work
        self._over = over
        self._failed = failed
        self._failed_at = float("-inf")
        self._ended = False
        self.failures = 0

    def run(self) -> None:
        while not self._over():
            try:
                self._work()
                if self._over():
                    break
                error: BaseException = RuntimeError("it ended, and should not have")
                _log.critical("thread %s ended, and begins anew", self.name)
            except BaseException as raised:  # SystemExit, too, which would end it in silence
                error = raised
                _log.critical("thread %s failed, and begins anew", self.name, exc_info=raised)
            self.failures += 1
            self._failed_at = time.monotonic()
            if self._failed is not None:
                self._failed(error)
            time.sleep(RETRY_S)
        self._ended = True

    def well(self) -> bool:
        """Whether it does what it is there for: it was not started yet, runs, or has ended as it should."""
        if self.ident is None or self._ended:
            return True
        return self.is_alive() and time.monotonic() - self._failed_at > UNWELL_S


def passing(kind: str, work: Callable[..., Any], *args: Any, name: object = "") -> threading.Thread:
    """Start a thread of one of the kinds in `PASSING`. Raises RuntimeError where there can be none."""
    full = _name(kind, name, PASSING)
    thread = threading.Thread(target=work, args=args, name=full, daemon=True)
    thread.start()
    return thread


def unwell(threads: Iterable[Lasting]) -> list[str]:
    """The names of those that are not well."""
    return [thread.name for thread in threads if not thread.well()]


def kind_of(name: str) -> str | None:
    """The kind of a thread of plexstream, by its name; None for one that is in no list."""
    kinds = [kind for kind in (*LASTING, *PASSING) if f"{name}-".startswith(f"{PREFIX}{kind}-")]
    return max(kinds, key=len, default=None)


def _name(kind: str, name: object, known: dict[str, str]) -> str:
    if kind not in known:
        raise ValueError(f"{kind!r} is no kind of thread: add it to the list in model/process/threads.py")
    return f"{PREFIX}{kind}-{name}" if name != "" else f"{PREFIX}{kind}"
