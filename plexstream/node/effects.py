"""Side effects of handlers: plain functions on a pool of threads, ``async def`` ones on an event loop.

Both begin with the first effect that needs them: a node without waiting handlers has neither.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple

from plexstream.model.host import EffectResult
from plexstream.processor import EffectCall

SHORT_S = 0.05
"""An effect that runs no longer than this is waited for; others end when a reader looks, up to 20 ms late."""


class Done(NamedTuple):
    """An effect that has come to its end; `owner` gave it."""

    owner: object
    call: EffectCall
    result: EffectResult


class Effects:
    """Runs effects off the worker's thread.

    Parameters:
        threads: at most so many plain functions at the same time.
        wake: called from any thread when something has come to its end since the last `take`.
    """

    def __init__(self, threads: int, wake: Callable[[], None]) -> None:
        self._threads = threads
        self._wake = wake
        self._done: deque[Done] = deque()
        self._came = threading.Event()
        self._running = 0
        self._begun = 0.0  # the last one
        self._queue: SimpleQueue[tuple[object, EffectCall] | None] = SimpleQueue()
        self._pool: list[threading.Thread] = []
        self._busy = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping: asyncio.Task[None] | None = None  # kept, so that it comes to its end

    def run(self, owner: object, call: EffectCall) -> None:
        """Start an effect. Called by the worker's thread only, as `take` and `wait` are."""
        self._running += 1
        self._begun = time.monotonic()
        if call.effect.is_async:
            if self._loop is None:
                self._loop = self._start_loop()
            self._loop.call_soon_threadsafe(self._start, owner, call)
            return
        self._busy += 1
        if self._busy > len(self._pool) and len(self._pool) < self._threads:
            thread = threading.Thread(target=self._work, name="plexstream-effect", daemon=True)
            self._pool.append(thread)
            thread.start()
        self._queue.put((owner, call))

    def take(self) -> list[Done]:
        """Effects that have come to their end."""
        found: list[Done] = []
        self._came.clear()
        while self._done:
            done = self._done.popleft()
            self._running -= 1
            if not done.call.effect.is_async:
                self._busy -= 1
            found.append(done)
        return found

    def short(self) -> bool:
        """Whether one is running that may be a short one."""
        return self._running > 0 and time.monotonic() - self._begun < SHORT_S

    def wait(self, seconds: float) -> None:
        """Wait until one has come to its end, so many seconds at most."""
        self._came.wait(seconds)

    def close(self) -> None:
        """Start nothing more. What runs is not waited for: it counts for nothing."""
        for _ in self._pool:
            self._queue.put(None)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop, self._loop)

    def _work(self) -> None:
        while (given := self._queue.get()) is not None:
            owner, call = given
            self._finish(owner, call, call.effect.run(call.attempt, call.spent))

    def _finish(self, owner: object, call: EffectCall, result: EffectResult) -> None:
        self._done.append(Done(owner, call, result))
        if not self._came.is_set():  # else the worker has yet to look
            self._came.set()
            self._wake()

    def _start_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()

        def work() -> None:
            loop.run_forever()
            loop.close()

        threading.Thread(target=work, name="plexstream-effects", daemon=True).start()
        return loop

    def _start(self, owner: object, call: EffectCall) -> None:
        async def run() -> None:
            self._finish(owner, call, await call.effect.run_async(call.attempt, call.spent))

        assert self._loop is not None
        task = self._loop.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _stop(self, loop: asyncio.AbstractEventLoop) -> None:
        async def stop() -> None:
            ending = list(self._tasks)
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            loop.stop()

        self._stopping = loop.create_task(stop())
