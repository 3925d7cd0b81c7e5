"""Side effects of handlers: plain functions on threads, ``async def`` ones on an event loop.

Both begin with the first effect that needs them: a node without waiting handlers has neither. Each type of
actor has threads of its own, a bounded number: Python can end no function that hangs, and the handler that
timed it out goes on without it, but its thread is gone until it returns. That may cost its own type, never
the others.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple

from plexstream.model.host import EffectResult
from plexstream.model.process.threads import passing
from plexstream.processor import EffectCall

SHORT_S = 0.05
"""An effect that runs no longer than this is waited for; others end when a reader looks, up to 20 ms late."""

LONG_S = 60.0
"""One that runs longer is told by name; again when it has run twice as long, and so on."""
LOOK_S = 1.0
"""How often they are looked at."""
FULL_S = 60.0
"""That a type has no thread left is told once in so long."""

_log = logging.getLogger("plexstream.node")
_new = tuple.__new__  # a named tuple's own costs several times as much


class Done(NamedTuple):
    """An effect that has come to its end."""

    call: EffectCall
    result: EffectResult


class _Given:
    """An effect that has not come to its end. `began`: None while it waits for a thread."""

    __slots__ = ("began", "call", "owner", "tell_s", "type")

    def __init__(self, owner: object, call: EffectCall, tell_s: float) -> None:
        self.owner = owner
        self.call = call
        self.type = call.address.partition("/")[0]
        self.began: float | None = None
        self.tell_s = tell_s


class _Pool:
    """The threads of one type. `busy`: effects that have been given to it and not been taken back."""

    def __init__(
        self, threads: int, finish: Callable[[_Given, EffectResult], None], clock: Callable[[], float]
    ) -> None:
        self._most = threads
        self._finish = finish
        self._clock = clock
        self._queue: SimpleQueue[_Given | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closed = False
        self.busy = 0
        self.tell_at = 0.0

    def run(self, given: _Given) -> None:
        self.busy += 1
        if self.busy > len(self._threads) and len(self._threads) < self._most:
            self._threads.append(passing("effect", self._work))
        self._queue.put(given)

    def close(self) -> None:
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)

    def _work(self) -> None:
        while (given := self._queue.get()) is not None and not self._closed:
            given.began = self._clock()
            self._finish(given, given.call.effect.run(given.call.attempt, given.call.spent))


class Effects:
    """Runs effects off the worker's thread.

    Parameters:
        threads: at most so many plain functions of one type of actor at the same time.
        wake: called from any thread when something has come to its end since the last `take`.
        long_s: seconds after which one that runs is told.
        clock: seconds, only ever forward.
    """

    def __init__(
        self,
        threads: int,
        wake: Callable[[], None],
        long_s: float = LONG_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threads = threads
        self._wake = wake
        self._long_s = long_s
        self._clock = clock
        self._done: deque[tuple[_Given, EffectResult]] = deque()
        self._came = threading.Event()
        self._given: dict[int, _Given] = {}  # by their identity
        self._begun = 0.0  # the last one
        self._look_at = 0.0
        self._pools: dict[str, _Pool] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._stopping: asyncio.Task[None] | None = None  # kept, so that it comes to its end

    def run(self, owner: object, call: EffectCall) -> None:
        """Start an effect. Called by the worker's thread only, as `take` and `wait` are."""
        self._begun = time.monotonic()
        given = _Given(owner, call, self._long_s)
        self._given[id(given)] = given
        if call.effect.is_async:
            if self._loop is None:
                self._loop = self._start_loop()
            self._loop.call_soon_threadsafe(self._start, given)
            return
        pool = self._pools.get(given.type)
        if pool is None:
            pool = self._pools[given.type] = _Pool(self._threads, self._finish, self._clock)
        pool.run(given)

    def take(self) -> dict[object, list[Done]]:
        """Effects that have come to their end, by who gave them."""
        found: dict[object, list[Done]] = {}
        self._came.clear()
        while self._done:
            given, result = self._done.popleft()
            del self._given[id(given)]
            if not given.call.effect.is_async:
                self._pools[given.type].busy -= 1
            of_owner = found.get(given.owner)
            if of_owner is None:
                of_owner = found[given.owner] = []
            of_owner.append(_new(Done, (given.call, result)))
        if self._given and (now := self._clock()) >= self._look_at:
            self._look_at = now + LOOK_S
            self._look(now)
        return found

    def status(self) -> list[dict[str, Any]]:
        """By type of actor: effects that run, that wait for a thread, and seconds of the oldest.

        May be called from any thread.
        """
        now = self._clock()
        types: dict[str, dict[str, Any]] = {}
        for given in self._given.copy().values():
            none = {"type": given.type, "running": 0, "waiting": 0, "oldest_s": 0.0}
            row = types.setdefault(given.type, none)
            if given.began is None:
                row["waiting"] += 1
            else:
                row["running"] += 1
                row["oldest_s"] = max(row["oldest_s"], round(now - given.began, 3))
        return [types[name] for name in sorted(types)]

    def _look(self, now: float) -> None:
        for given in self._given.values():
            if given.began is not None and now - given.began >= given.tell_s:
                self._tell_long(given, now - given.began)
        for name, pool in self._pools.items():
            if pool.busy > self._threads and now >= pool.tell_at:
                self._tell_full(name, pool, now)

    def _tell_long(self, given: _Given, seconds: float) -> None:
        given.tell_s = max(2 * given.tell_s, seconds)
        keeps = "the event loop's memory" if given.call.effect.is_async else "a thread of its type"
        _log.warning(
            "%s: has been running for %.0f s, and keeps %s until it returns: give what it calls a timeout",
            given.call.effect.where,
            seconds,
            keeps,
        )

    def _tell_full(self, name: str, pool: _Pool, now: float) -> None:
        of_type = [g for g in self._given.values() if g.type == name and not g.call.effect.is_async]
        running = [(g.began, g.call.effect.where) for g in of_type if g.began is not None]
        began, where = min(running, default=(now, ""))
        if now - began < LOOK_S:
            return  # many short ones: those that wait have their turn soon
        pool.tell_at = now + FULL_S
        _log.warning(
            "%s: all %d threads for side effects of this type are taken, %d wait; the oldest is %s, "
            "for %.0f s: give what it calls a timeout, or make it async def",
            name,
            self._threads,
            pool.busy - self._threads,
            where,
            now - began,
        )

    def short(self) -> bool:
        """Whether one is running that may be a short one."""
        return bool(self._given) and time.monotonic() - self._begun < SHORT_S

    def wait(self, seconds: float) -> None:
        """Wait until one has come to its end, so many seconds at most."""
        self._came.wait(seconds)

    def close(self) -> None:
        """Start nothing more. What runs is not waited for: it counts for nothing."""
        for pool in self._pools.values():
            pool.close()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop, self._loop)

    def _finish(self, given: _Given, result: EffectResult) -> None:
        self._done.append((given, result))
        if not self._came.is_set():  # else the worker has yet to look
            self._came.set()
            self._wake()

    def _start_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()

        def work() -> None:
            loop.run_forever()
            loop.close()

        passing("effects", work)
        return loop

    def _start(self, given: _Given) -> None:
        async def run() -> None:
            given.began = self._clock()
            self._finish(given, await given.call.effect.run_async(given.call.attempt, given.call.spent))

        assert self._loop is not None
        task = self._loop.create_task(run())
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    def _stop(self, loop: asyncio.AbstractEventLoop) -> None:
        async def stop() -> None:
            ending = list(self._tasks)
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            loop.stop()

        self._stopping = loop.create_task(stop())
