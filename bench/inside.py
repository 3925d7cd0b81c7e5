"""A worker in this process, for what has to be seen from inside: takeovers, and the embedded log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.work import PARTITIONS
from plexstream.coordination import system_type
from plexstream.hosts.native import NativeHost
from plexstream.hosts.system import SYSTEM_TYPES
from plexstream.log.open import open_log
from plexstream.model.topics.topics import Topics
from plexstream.node.setup import topology
from plexstream.node.worker.unit import tune_interpreter
from plexstream.node.worker.worker import Worker
from plexstream.processor import Settings
from plexstream.sdk.spec import ActorType

READY_S = 120.0
KEEP_ALL = Settings(snapshot_interval=86_400_000, snapshot_lag=1_000_000_000)
"""Nothing goes to the snapshot topic: a rebuild must fold the whole journal."""


class Inside:
    """A log with a worker on all of its partitions, on a thread of its own or driven by the caller.

    Parameters:
        url: of the log.
        state: folder of the stores.
        actors: by type name.
    """

    def __init__(
        self, url: str, topics: Topics, state: Path, actors: dict[str, type],
        settings: Settings | None = None, *, threaded: bool = True,
    ) -> None:  # fmt: skip
        self.log = open_log(url)
        self.topics = topics
        topology.apply(self.log, topics, PARTITIONS)
        types: dict[str, ActorType] = {
            name: cls.__plexstream__  # type: ignore[attr-defined]
            for name, cls in actors.items()
        }
        self._host = NativeHost({**types, **SYSTEM_TYPES}, more=system_type)
        self._settings = settings or Settings()
        self._state = state
        self._threaded = threaded
        self._thread: threading.Thread | None = None
        self._worker: Worker | None = None

    @property
    def worker(self) -> Worker:
        """Once started."""
        assert self._worker is not None
        return self._worker

    def start(self) -> float:
        """Take over all partitions; returns how many seconds that took."""
        tune_interpreter()  # as every node does
        began = time.perf_counter()
        worker = self._worker = Worker(
            self.log, self.topics, PARTITIONS, self._host, self._settings, self._state, "bench"
        )
        worker.assign(range(PARTITIONS))
        if self._threaded:
            self._thread = threading.Thread(target=worker.run, name="plexstream-worker", daemon=True)
            self._thread.start()
        self.wait(lambda: len(worker.drivers) == PARTITIONS and worker.ready(), READY_S, "claimed")
        return time.perf_counter() - began

    def wait(self, until: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until `until()` holds; drives the worker meanwhile, unless it has a thread."""
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end or (self._thread is not None and not self._thread.is_alive()):
                raise RuntimeError(f"not {what} within {seconds:.0f} s")
            if self._thread is None:
                self.worker.step()
            else:
                time.sleep(0.002)

    def stop(self) -> None:
        """Hand over every partition in good order."""
        if self._worker is not None:
            self._worker.stop()
            if self._thread is None:
                self._worker.run()
            else:
                self._thread.join(30)
            self._worker = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.log.close()
