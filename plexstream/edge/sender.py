"""One thread with one `Appender`, which appends for everybody in this process that is no processor.

Whatever has queued while the thread was busy goes out as one group for each partition: the batch
grows with the load by itself, and no timer ever holds a record back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

from plexstream.log.base import Ack, Appender, Item, Log, Place
from plexstream.log.limits import RecordTooLarge

log = logging.getLogger(__name__)

_BATCH = 2000  # sendings taken before acknowledgements are looked at again
# An appender cannot be woken, so while an acknowledgement is waited for the thread looks alternately for one
# and for new records. The wait doubles while neither comes: a broker that is away costs no CPU.
# librdkafka counts in whole milliseconds, and would be asked without a pause for less than one.
_FIRST_WAIT, _LAST_WAIT = 0.001, 0.005
_ASKS_ONLY_WAIT = 0.05  # nobody waits for these acknowledgements: they are looked at now and then
_FIRST_RETRY, _LAST_RETRY = 0.05, 2.0  # seconds before an appender is made anew


class Sending(NamedTuple):
    """Records for one partition."""

    place: Place
    items: Sequence[Item]
    id: str
    waits: bool  # for the acknowledgement
    deadline: float  # on time.monotonic(); the sender only makes sure to call `expire` about then


Settled = Callable[[list[str], Exception | None], None]
"""Told the ids of sendings that are durable, or of which nothing more is known after the error.

RecordTooLarge is certain, and told of sendings that do not wait, too: nothing of them was sent.
"""


class Sender:
    """Appends in the order in which `put` was called, for each partition.

    `settled` and `expire` are called from the sender's thread and must not block. `expire` gets the
    present time and returns when it wants to be called next (both on `time.monotonic()`).
    """

    def __init__(self, log: Log, settled: Settled, expire: Callable[[float], float], *, name: str) -> None:
        self._log = log
        self._settled = settled
        self._expire = expire
        self._queue: SimpleQueue[Sending | None] = SimpleQueue()
        self.put = self._queue.put  # any thread; 0.1 µs
        self._appender: Appender | None = log.appender()
        self._groups: dict[int, tuple[list[str], int]] = {}  # until acknowledged: ids that wait, bytes
        self._waited_for = 0  # groups with such ids among them
        self._number = 0
        self._retry_at = 0.0
        self._retry_wait = _FIRST_RETRY
        self._closing: float | None = None
        self.unacknowledged = 0  # bytes handed over and not acknowledged; those of calls long given up, too
        self.failures = 0  # appenders given up, for metrics
        self._thread = threading.Thread(target=self._run, name=f"plexstream-sender-{name}", daemon=True)
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Send what has been put and wait for acknowledgements, `timeout` seconds at most."""
        if self._closing is None:
            self._closing = time.monotonic() + timeout
            self._queue.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout + 1.0)

    def _run(self) -> None:
        next_expiry = float("inf")
        wait = _FIRST_WAIT
        held: list[Sending] = []  # while there is no appender
        while True:
            now = time.monotonic()
            if now >= next_expiry:
                next_expiry = self._expire(now)
            if self._closing is not None:
                busy = self._groups or held or not self._queue.empty()
                if now >= self._closing or not busy:
                    break
            batch = self._take(self._idle(now, next_expiry, wait, bool(held)))
            for sending in batch:
                if sending.deadline < next_expiry:
                    next_expiry = sending.deadline
            if held:
                batch = held + batch
            if batch:
                held = self._append(batch, time.monotonic())
            progress = self._poll(0.0 if batch or not self._urgent() else wait)
            wait = _FIRST_WAIT if batch or progress else min(wait * 2, _LAST_WAIT)
        if self._appender is not None:
            self._appender.close()

    def _idle(self, now: float, next_expiry: float, wait: float, held: bool) -> float:
        """How long to wait for new sendings, in seconds."""
        until = max(next_expiry - now, 0.0)
        if self._appender is None and (held or self._closing is not None):
            return min(until, max(self._retry_at - now, 0.0), 0.1)
        if self._urgent():
            return 0.0
        if self._closing is not None:
            return wait
        if self._groups:
            return min(until, _ASKS_ONLY_WAIT)
        return min(until, 3600.0)

    def _urgent(self) -> bool:
        """Whether acknowledgements are waited for: by callers, or by what is to be sent after them."""
        return bool(self._waited_for) or (self._appender is not None and self._appender.holding)

    def _take(self, wait: float) -> list[Sending]:
        queue = self._queue
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

    def _append(self, batch: list[Sending], now: float) -> list[Sending]:
        """Hand `batch` to the appender; returns what is to be tried again."""
        appender = self._appender
        if appender is None:
            appender = self._renew(now)
            if appender is None:
                # What its callers no longer wait for was never sent, and never will be.
                return [sending for sending in batch if sending.deadline > now]
        groups: dict[Place, list[Sending]] = {}
        for sending in batch:
            group = groups.get(sending[0])
            if group is None:
                groups[sending[0]] = [sending]
            else:
                group.append(sending)
        for place, group in groups.items():
            try:
                self._append_group(appender, place, group)
            except RecordTooLarge:  # nothing of the group was taken: find the one
                if not self._append_singly(appender, place, group):
                    break
            except Exception as error:
                self._give_up(error, [sending.id for sending in group if sending.waits])
                break
        else:
            return []
        # The groups after the one that failed go to the next appender: they were not handed over.
        left = list(groups)[list(groups).index(place) + 1 :]
        return [sending for sending in batch if sending.place in left]

    def _append_group(self, appender: Appender, place: Place, group: list[Sending]) -> None:
        items = [item for sending in group for item in sending[1]]
        size = sum([len(value) for _, value in items if value])
        waiting = [sending[2] for sending in group if sending[3]]
        self._number += 1
        appender.append(place, items, self._number)
        self._groups[self._number] = waiting, size
        self.unacknowledged += size
        if waiting:
            self._waited_for += 1

    def _append_singly(self, appender: Appender, place: Place, group: list[Sending]) -> bool:
        for at, sending in enumerate(group):
            try:
                self._append_group(appender, place, [sending])
            except RecordTooLarge as error:
                self._settled([sending.id], error)
            except Exception as error:
                self._give_up(error, [later.id for later in group[at:] if later.waits])
                return False
        return True

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
        failed: Ack | None = None
        unknown: list[str] = []
        durable: list[str] = []
        for ack in acks:
            ids, size = self._groups.pop(ack.token, ([], 0))  # type: ignore[call-overload]
            self.unacknowledged -= size
            if ids:
                self._waited_for -= 1
            if ack.error is None:
                durable += ids
            else:
                failed = ack
                unknown += ids
        if durable:
            self._settled(durable, None)
        if failed is not None and failed.error is not None:
            self._give_up(failed.error, unknown)
        else:
            self._retry_wait = _FIRST_RETRY
        return True

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
        unknown = ids + [id for group, _ in self._groups.values() for id in group]
        self._groups.clear()
        self._waited_for = self.unacknowledged = 0
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
