"""Keeps a node's worker processes running."""

from __future__ import annotations

import logging
import multiprocessing
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from plexstream.model.process.threads import Lasting
from plexstream.node.running.processes.forking import context
from plexstream.node.running.processes.process import WorkerSpec, work

_log = logging.getLogger("plexstream.node")

STEADY_S = 10.0
"""A worker that lived so long did not die of its start: it is started again at once."""
MAX_WAIT_S = 5.0
STOP_S = 5.8
"""How long workers are waited for: a little longer than they wait for themselves."""
STALE_S = 5.0
"""A worker whose last report is older counts as one that hangs."""
AGAIN_S = 1.0


class _Child:
    def __init__(self, spec: WorkerSpec) -> None:
        self.spec = spec
        self.process: Any = None
        self.pipe: Connection | None = None
        self.status: dict[str, Any] = {}
        self.reported = 0.0
        self.started = 0.0
        self.deaths = 0


def _late(child: _Child) -> dict[str, Any]:
    """What is to be said of a worker that has not reported for long, or not at all."""
    if not child.status:
        return {"ready": False, "why": ["it starts"]}
    silent = time.monotonic() - child.reported
    if silent <= STALE_S:
        return {}
    why = f"it has not reported for {silent:.0f} s: its process hangs, or is stopped"
    return {"ready": False, "why": [*child.status.get("why", ()), why]}


class Supervisor:
    """Starts worker processes, and starts them again when they die; collects what they report."""

    def __init__(self, specs: list[WorkerSpec]) -> None:
        self._context = context()
        self._children = [_Child(spec) for spec in specs]
        self._stop = threading.Event()
        self.thread = Lasting("supervisor", self._run, self._stop.is_set)

    def start(self) -> None:
        """Start every worker."""
        for child in self._children:
            self._launch(child)
        self.thread.start()

    def _launch(self, child: _Child) -> None:
        ours, theirs = self._context.Pipe()
        child.process = self._context.Process(target=work, args=(child.spec, theirs), name=child.spec.member)
        try:
            child.process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        child.pipe = ours
        child.started = time.monotonic()
        child.status = {}

    def _run(self) -> None:
        waiting: dict[str, float] = {}
        while not self._stop.is_set():
            try:
                self._round(waiting)
            except Exception:  # no more processes or files: without this thread no worker is ever started
                _log.exception("supervising failed, trying again")
                self._stop.wait(AGAIN_S)

    def _round(self, waiting: dict[str, float]) -> None:
        pipes = [c.pipe for c in self._children if c.pipe is not None]
        for ready in multiprocessing.connection.wait([*pipes], 0.1):
            self._read(next(c for c in self._children if c.pipe is ready))
        for child in self._children:
            if child.pipe is None and time.monotonic() >= waiting.get(child.spec.member, 0.0):
                self._launch(child)
            elif child.pipe is not None and not child.process.is_alive():
                waiting[child.spec.member] = time.monotonic() + self._mourn(child)

    def _read(self, child: _Child) -> None:
        assert child.pipe is not None
        try:
            child.status = child.pipe.recv()
            child.reported = time.monotonic()
        except (EOFError, OSError):
            child.process.join(1.0)

    def _mourn(self, child: _Child) -> float:
        """A worker has died; returns how many seconds to wait before the next one."""
        lived = time.monotonic() - child.started
        child.deaths = 0 if lived >= STEADY_S else child.deaths + 1
        wait = 0.0 if child.deaths <= 3 else min(0.25 * 2 ** (child.deaths - 3), MAX_WAIT_S)
        _log.warning(
            "worker %s (pid %d) ended with %s after %.1f s; it is started again %s",
            child.spec.member, child.process.pid, child.process.exitcode, lived,
            f"in {wait:.1f} s" if wait else "at once",
        )  # fmt: skip
        if child.pipe is not None:
            child.pipe.close()
        child.pipe = None
        child.status = {}
        return wait

    def status(self) -> list[dict[str, Any]]:
        """What each worker last reported, with its process id, and why it is not ready where it is not."""
        return [
            {"worker": c.spec.member, "pid": c.process.pid if c.process else None, **c.status, **_late(c)}
            for c in self._children
        ]

    def stop(self) -> None:
        """Tell every worker to finish, and wait for them."""
        self._stop.set()
        if self.thread.is_alive():
            self.thread.join(5)
        for child in self._children:
            if child.pipe is not None:
                try:
                    child.pipe.send("stop")
                except OSError:
                    _log.warning("worker %s is gone already", child.spec.member)
        end = time.monotonic() + STOP_S
        for child in self._children:
            if child.process is None:
                continue
            while child.process.is_alive() and time.monotonic() < end:
                # Empties the pipe: a worker must not block on its last report.
                if child.pipe is not None and child.pipe.poll(0.05):
                    self._read(child)
            if child.process.is_alive():
                _log.warning("worker %s did not end in %.0f s and is killed", child.spec.member, STOP_S)
                child.process.kill()
                child.process.join()
