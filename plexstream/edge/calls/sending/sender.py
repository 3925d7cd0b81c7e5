"""One thread with one `Appender`, which appends for everybody in this process that is no processor.

Whatever has queued while the thread was busy goes out as one group for each partition: the batch
grows with the load by itself. Only where very many calls are open are others waited for (`gathering.py`).

Each partition has a way of its own, with so many bytes on it: one that takes nothing holds up no other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from plexstream.edge.calls.sending.gathering import Gathering
from plexstream.edge.calls.sending.ways import LARGE, WINDOW, Group, Sending, Way
from plexstream.log.base import Appender, Log, Place
from plexstream.log.limits.limits import RecordTooLarge, RefusedForSize
from plexstream.model.errors import LogError
from plexstream.model.process.threads import Lasting

log = logging.getLogger(__name__)

_BATCH = 2000  # sendings taken before acknowledgements are looked at again
# An appender cannot be woken, so while an acknowledgement is waited for the thread looks alternately for one
# and for new records. The wait doubles while neither comes: a broker that is away costs no CPU.
# librdkafka counts in whole milliseconds, and would be asked without a pause for less than one.
_FIRST_WAIT, _LAST_WAIT = 0.001, 0.005
_ASKS_ONLY_WAIT = 0.05  # nobody waits for these acknowledgements: they are looked at now and then
_FIRST_RETRY, _LAST_RETRY = 0.05, 2.0  # seconds before an appender is made anew
_REST_S = 0.0003  # how often it is looked for calls that others are to travel with
_FORGET_S = 0.25  # how often sendings that are late are looked for behind one that is stuck

Settled = Callable[[list[str], Exception | None], None]
"""Told the ids of sendings that are durable, or of which nothing more is known after the error.

What an appender refuses is certain, and told of sendings that do not wait, too: nothing of them was sent.
"""


def _refused_alone(group: Group, error: Exception) -> dict[str, str]:
    """What brokers have refused of a group, whose outcome is certain, asks too: why, by ids."""
    if not isinstance(error, RefusedForSize):
        return {}
    return {id: why for item, id in group.large if (why := error.why(item))}


def _take(queue: SimpleQueue[Sending | None], wait: float) -> list[Sending]:
    """What is queued; for the first one it is waited. None is nothing, and ends the wait."""
    try:
        first = queue.get(timeout=wait) if wait else queue.get_nowait()
    except Empty:
        return []
    batch = [] if first is None else [first]
    get = queue.get_nowait
    for _ in range(min(queue.qsize(), _BATCH)):
        sending = get()
        if sending is not None:
            batch.append(sending)
    return batch


class Sender:
    """Appends in the order in which `put` was called, for each partition.

    `settled` is called from the sender's thread and must not block. `gathering` says when to wait for more;
    without it nothing waits.
    """

    def __init__(
        self, log: Log, settled: Settled, *, name: str, gathering: Gathering | None = None
    ) -> None:
        self._log = log
        self._settled = settled
        self._gathering = gathering or Gathering(int, int)  # none are open
        self._queue: SimpleQueue[Sending | None] = SimpleQueue()
        self.put = self._queue.put  # any thread; 0.1 µs
        self._appender: Appender | None = log.appender()
        self.ways: dict[Place, Way] = {}
        self._ready: dict[Way, None] = {}  # have something waiting, and room for it
        self._full: set[Way] = set()  # have something waiting, and no room
        self._groups: dict[int, Group] = {}  # until acknowledged
        self._waited_for = 0  # groups for whose acknowledgement somebody waits
        self._number = 0
        self._retry_at = 0.0
        self._retry_wait = _FIRST_RETRY
        self._forget_at = 0.0
        self._closing: float | None = None
        self.failures = 0  # appenders given up, for metrics
        self._over = False
        self.thread = Lasting("sender", self._run, lambda: self._over, name)
        self.thread.start()

    @property
    def unacknowledged(self) -> int:
        """Bytes of all partitions that wait or are with the appender."""
        return sum([way.bytes for way in self.ways.copy().values()])

    def moving(self) -> int:
        """The same of those that acknowledge what they get: the others have bounds of their own."""
        now = time.monotonic()
        return sum([way.bytes for way in self.ways.copy().values() if not way.stuck(now)])

    def close(self, timeout: float) -> None:
        """Send what has been put and wait for acknowledgements, `timeout` seconds at most."""
        if self._closing is None:
            self._closing = time.monotonic() + timeout
            self._queue.put(None)
        if threading.current_thread() is not self.thread:
            self.thread.join(timeout + 1.0)

    def _run(self) -> None:
        wait = _FIRST_WAIT
        while not self._finished():
            try:
                wait = _FIRST_WAIT if self._step(wait) else min(wait * 2, _LAST_WAIT)
            except BaseException as error:  # a bug: whoever has called must not wait in vain
                log.exception("sending failed")
                self._give_up(error if isinstance(error, Exception) else RuntimeError(repr(error)), [])
        self._over = True
        if self._appender is not None:
            self._appender.close()

    def _finished(self) -> bool:
        if self._closing is None:
            return False
        busy = self._groups or self._ready or not self._queue.empty()
        return time.monotonic() >= self._closing or not busy

    def _step(self, wait: float) -> bool:
        """One round; returns whether anything came."""
        now = time.monotonic()
        batch = _take(self._queue, self._idle(now, wait))
        if batch:
            self._sort(batch)  # first: while others are waited for, callers hear of outcomes, and may raise
            if self._gathering.wait(len(batch), self._queue.qsize, self._rest):
                self._sort(_take(self._queue, 0.0))
        if self._ready:
            self._append(time.monotonic())
        if now >= self._forget_at:
            self._forget(now)
        progress = self._poll(0.0 if batch or not self._urgent() else wait)
        return bool(batch) or progress

    def _rest(self) -> None:
        """For a moment, in which acknowledgements that somebody waits for are heard of."""
        if self._groups and self._urgent():
            self._poll(_FIRST_WAIT)
        else:
            time.sleep(_REST_S)

    def _idle(self, now: float, wait: float) -> float:
        """How long to wait for new sendings, in seconds."""
        if self._appender is None and (self._ready or self._closing is not None):
            return min(max(self._retry_at - now, 0.0), 0.1)
        if self._ready or self._urgent():
            return 0.0
        if self._closing is not None:
            return wait
        if self._groups:
            return _ASKS_ONLY_WAIT
        return 3600.0

    def _urgent(self) -> bool:
        """Whether acknowledgements are waited for: by callers, or by what is to be sent after them."""
        return bool(self._waited_for or self._full) or (self._appender is not None and self._appender.holding)

    def _sort(self, batch: list[Sending]) -> None:
        ways = self.ways
        for sending in batch:
            way = ways.get(sending[0])
            if way is None:
                way = ways[sending[0]] = Way(sending[0])
            items = sending[1]
            value = items[0][1] if len(items) == 1 else None  # that of a call, as nearly all are
            size = len(value) if value else sum([len(value) for _, value in items if value])
            way.waiting.append((size, sending))
            way.bytes += size
            if not way.since:
                way.since = sending[5]
            if way.flying_bytes < WINDOW:
                self._ready[way] = None
            else:
                self._full.add(way)

    def _append(self, now: float) -> None:
        """Hand to the appender what there is room for."""
        appender = self._appender
        if appender is None:
            appender = self._renew(now)
            if appender is None:
                return
        while self._ready:
            way = next(iter(self._ready))
            del self._ready[way]
            group: list[Sending] = []
            room, size = WINDOW - way.flying_bytes, 0
            while way.waiting and size < room:
                bytes, sending = way.waiting.popleft()
                if sending[4] <= now:  # its caller waits no longer: it was never sent, and never will be
                    way.bytes -= bytes
                    continue
                size += bytes
                group.append(sending)
            try:
                if group:
                    self._append_group(appender, way, group, size)
            except RecordTooLarge:  # nothing of the group was taken: find the one
                if not self._append_singly(appender, way, group):
                    return
            except Exception as error:
                way.bytes -= size
                if not self._refused(error, group):
                    return
            self._look(way)

    def _append_group(self, appender: Appender, way: Way, sendings: list[Sending], size: int) -> None:
        items = [item for sending in sendings for item in sending[1]]
        waiting = [sending[2] for sending in sendings if sending[3]]
        self._number += 1
        appender.append(way.place, items, self._number, urgent=bool(waiting or way.waiting))
        large = []
        if size > LARGE:
            alone = [(s.items[0], s.id) for s in sendings if len(s.items) == 1]
            large = [(item, id) for item, id in alone if len(item[1] or b"") > LARGE]
        group = self._groups[self._number] = Group(way, waiting, large, size, sendings[0][5])
        way.flying.append(group)
        way.flying_bytes += size
        if waiting:
            self._waited_for += 1

    def _append_singly(self, appender: Appender, way: Way, sendings: list[Sending]) -> bool:
        for at, sending in enumerate(sendings):
            size = sum([len(value) for _, value in sending.items if value])
            try:
                self._append_group(appender, way, [sending], size)
            except RecordTooLarge as error:
                way.bytes -= size
                self._settled([sending.id], error)
            except Exception as error:
                way.bytes -= sum(len(v) for later in sendings[at:] for _, v in later.items if v)
                return self._refused(error, sendings[at:])
        return True

    def _refused(self, error: Exception, group: list[Sending]) -> bool:
        """The appender has taken nothing of a group; returns whether it takes others."""
        ids = [sending.id for sending in group if sending.waits]
        if isinstance(error, LogError) and self._appender is not None and not self._appender.broken:
            # Asks, too: nothing of them is on the log, so no reply would come.
            self._settled([sending.id for sending in group], error)
            return True
        self._give_up(error, ids)
        return False

    def _poll(self, wait: float) -> bool:
        if self._appender is None or not self._groups:
            return False
        try:
            acks = self._appender.poll(wait)
        except Exception as error:
            self._give_up(error, [])
            return True
        if not acks:
            return False
        failure: Exception | None = None
        unknown: list[str] = []
        durable: list[str] = []
        for ack in acks:
            group = self._groups.pop(ack.token, None)  # type: ignore[call-overload]
            if group is None:
                continue
            way = group.way
            way.flying.remove(group)  # the first one, unless it failed
            way.flying_bytes -= group.size
            way.bytes -= group.size
            self._look(way)
            if group.ids:
                self._waited_for -= 1
            if ack.error is None:
                durable += group.ids
            else:
                failure = ack.error
                refused = _refused_alone(group, failure)
                for id, why in refused.items():
                    self._settled([id], RecordTooLarge(why))
                unknown += [id for id in group.ids if id not in refused]
        if durable:
            self._settled(durable, None)
        if failure is not None and self._appender.broken:
            self._give_up(failure, unknown)
            return True
        if failure is not None:
            log.warning("an append failed: %s", failure)
            if unknown:
                self._settled(unknown, failure)
        self._retry_wait = _FIRST_RETRY
        return True

    def _look(self, way: Way) -> None:
        """Something of it has come or gone: how long does the oldest wait, and may more be handed over?"""
        if way.flying:
            way.since = way.flying[0].since
        else:
            way.since = way.waiting[0][1].since if way.waiting else 0.0
        room = way.flying_bytes < WINDOW
        if way.waiting and room:
            self._ready[way] = None
        else:
            self._ready.pop(way, None)
        if way.waiting and not room:
            self._full.add(way)
        else:
            self._full.discard(way)

    def _forget(self, now: float) -> None:
        """Drop what waits behind something stuck, and whose callers wait no longer."""
        self._forget_at = now + _FORGET_S
        for way in self.ways.values():
            while way.waiting and way.waiting[0][1].deadline <= now:
                way.bytes -= way.waiting.popleft()[0]
                self._look(way)

    def _renew(self, now: float) -> Appender | None:
        if now < self._retry_at:
            return None
        try:
            self._appender = self._log.appender()
        except Exception as error:
            log.warning("no appender yet, trying again in %.2f s: %s", self._retry_wait, error)
            self._appender = None
            self._back_off(now)
        return self._appender

    def _give_up(self, error: Exception, ids: list[str]) -> None:
        """Drop the appender; what it has not acknowledged may or may not be on the log."""
        log.warning("the appender failed and is replaced in %.2f s: %s", self._retry_wait, error)
        self.failures += 1
        unknown = ids + [id for group in self._groups.values() for id in group.ids]
        self._groups.clear()
        self._waited_for = 0
        for way in self.ways.values():
            way.bytes -= way.flying_bytes
            way.flying.clear()
            way.flying_bytes = 0
            self._look(way)  # what waits was not handed over: it goes to the next appender
        appender, self._appender = self._appender, None
        self._back_off(time.monotonic())
        if unknown:
            self._settled(unknown, error)
        if appender is not None:
            try:
                appender.close()
            except Exception as closing:
                log.warning("closing the failed appender: %s", closing)

    def _back_off(self, now: float) -> None:
        self._retry_at = now + self._retry_wait
        self._retry_wait = min(self._retry_wait * 2, _LAST_RETRY)
