"""Appending at the pace at which librdkafka sends, and one record alone until a broker knows the producer.

Two reasons to keep groups back, for each partition by itself:

A broker guards a producer's batches by sequence numbers only once it has a state of the producer, which the
first batch that it takes makes. Of two batches without that state the first may be refused, for want of
replicas, say, and the second taken; librdkafka then reports the first as delivered, and it is nowhere. So one
record alone, which nothing can split into two requests, is on its way until the first offset has come back:
from a new producer, after a failure, and where it was idle for so long that its leader may not know it.

And what would only wait in librdkafka waits here. An idempotent producer sends nothing more of a partition
while five or more of its records, not requests, are on their way. With no linger its thread does not sleep
meanwhile, but looks for something to send without a pause until the acknowledgement comes. With 256 callers
it went round 20 to 40 times for each ask, for a quarter of all CPU time. (rdkafka_broker.c,
`rd_kafka_toppar_producer_serve`, as of 2.16.)
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from math import ceil
from typing import cast

from plexstream.log.base import Ack, Appender, Item, Place, failed, unproven
from plexstream.log.limits.limits import check_group
from plexstream.model.errors import LogError, LogUnavailable

WINDOW = 5
"""Records of a partition on their way that keep librdkafka from sending more: RD_KAFKA_IDEMP_MAX_INFLIGHT."""

SLACK_S = 0.000_1
"""librdkafka drops what is no whole millisecond: for a wait of 0.9 ms it would be asked without a pause."""

HELD_BYTES = 1 << 20
"""More than this is not kept back for the pace, so that the appender's own limit bounds the memory."""

MAX_HELD_BYTES = 128 << 20
"""More than this is not kept back at all."""

FORGETS_S = 2.0
"""A broker may not know a producer that was idle for so long. By their settings they forget after a day; but
a replica that was made anew knows only the producers of what it was given, and what they sent may be trimmed
as soon as a snapshot has it. To take so little costs one record alone after each pause."""

_Handed = tuple[int, object, float]
"""A group that was handed over: how many records, the token, and when. A tuple: it is made for each group."""

_new = tuple.__new__  # a named tuple's own costs twice the time
_PART = object()  # the token of a record that went ahead of its group


class _Lane:
    """One partition: what was handed over and not acknowledged, and the groups after it.

    Attributes:
        flying: records on their way, of groups that were given up, too.
        open: the groups among them whose outcome somebody waits for, in order.
        window: of records that may be on their way before others wait: one as long as nothing is proven.
        offset: what was acknowledged last.
        known_at: when that was handed over: brokers forget a producer by the time of its last record.
    """

    __slots__ = ("bytes", "flying", "held", "known_at", "offset", "open", "window")

    def __init__(self) -> None:
        self.flying = 0
        self.open: deque[_Handed] = deque()
        self.held: deque[tuple[Sequence[Item], object]] = deque()
        self.bytes = 0  # of what is held
        self.window = 1
        self.offset = -1
        self.known_at = 0.0


class PacedAppender:
    """An `Appender` in front of `inner`, which must belong to it alone. Without I/O of its own.

    Of `inner` only single groups need to fail. That nothing of a place may follow a group that has failed
    without its sender's consent is seen to here.

    Parameters:
        limit: the most bytes of a record at a place.
        clock: seconds that only go forward.
        forgets: after how many seconds a broker may not know a producer that sends nothing.
    """

    def __init__(
        self,
        inner: Appender,
        limit: Callable[[Place], int],
        clock: Callable[[], float] = time.monotonic,
        forgets: float = FORGETS_S,
    ) -> None:
        self._inner = inner
        self._limit = limit
        self._clock = clock
        self._forgets = forgets
        self._lanes: dict[Place, _Lane] = {}
        self._groups = 0  # held
        self._bytes = 0  # held, of all places

    @property
    def holding(self) -> bool:
        return self._groups > 0

    @property
    def broken(self) -> bool:
        return self._inner.broken

    def announce(self, came: Callable[[], None]) -> bool:
        return False

    def append(self, place: Place, items: Sequence[Item], token: object, *, urgent: bool = True) -> None:
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = _Lane()
        if not lane.flying:
            if lane.window == WINDOW and self._clock() - lane.known_at < self._forgets:
                self._hand_over(lane, place, items, token)
                return
            lane.window = 1
        elif lane.flying < lane.window:
            self._hand_over(lane, place, items, token)
            return
        size = check_group(place[0], items, self._limit(place))  # what is refused is refused now
        if lane.window == WINDOW and lane.bytes + size > HELD_BYTES:
            self._release(lane, place)
            self._hand_over(lane, place, items, token)
            return
        if self._bytes + size > MAX_HELD_BYTES:
            raise LogUnavailable(
                f"{place[0]}[{place[1]}] has not taken {lane.bytes} bytes that wait for its first "
                "acknowledgement: are its brokers up, and enough of its replicas in sync?"
            )
        self._hold(lane, items, token, size)
        if not lane.flying:
            try:
                self._release(lane, place)
            except LogError:
                self._drop(lane)
                raise

    def poll(self, timeout: float) -> list[Ack]:
        found: list[Ack] = []
        problem: Exception | None = None
        wait = ceil(timeout * 1000) / 1000 + SLACK_S if timeout > 0 else 0.0
        for topic, partition, handed, offset, error in self._inner.poll(wait):
            count, token, at = cast("_Handed", handed)
            place = topic, partition
            lane = self._lanes[place]
            lane.flying -= count
            if lane.open and lane.open[0] is handed:
                if error is None and offset >= lane.offset + count:
                    lane.open.popleft()
                    lane.offset = offset
                    lane.known_at = at
                    lane.window = WINDOW
                    if token is not _PART:
                        found.append(_new(Ack, (topic, partition, token, offset, None)))
                else:
                    problem = error or _no_successor(place, offset, lane.offset)
                    found += self._fail(place, lane, problem)
            elif any(other is handed for other in lane.open):  # else it was given up
                problem = error or _no_successor(place, -1, lane.offset)  # before its predecessor
                found += self._fail(place, lane, problem)
            if lane.held and lane.flying < lane.window and not self._inner.broken:
                try:
                    self._release(lane, place)
                except Exception as refusal:
                    found += self._fail(place, lane, refusal)
        if self._inner.broken and (problem is not None or self._groups):
            problem = problem or LogUnavailable("its appender has failed, and never got it")
            for place, lane in self._lanes.items():
                found += self._fail(place, lane, problem)
        return found

    def close(self) -> None:
        self._lanes.clear()
        self._groups = self._bytes = 0
        self._inner.close()

    def _hand_over(self, lane: _Lane, place: Place, items: Sequence[Item], token: object) -> None:
        count = len(items)
        group = count, token, self._clock()
        self._inner.append(place, items, group)
        lane.open.append(group)
        lane.flying += count

    def _hold(self, lane: _Lane, items: Sequence[Item], token: object, size: int) -> None:
        lane.held.append((items, token))
        lane.bytes += size
        self._groups += 1
        self._bytes += size

    def _release(self, lane: _Lane, place: Place) -> None:
        """Hand over what is held, or one record of it. What `inner` refuses, and all after it, stays."""
        held = lane.held
        if lane.window == 1:
            items, token = held[0]
            if len(items) > 1:
                self._hand_over(lane, place, items[:1], _PART)
                held[0] = items[1:], token
            else:
                self._hand_over(lane, place, items, token)
                held.popleft()
                self._groups -= 1
        else:
            while held:
                self._hand_over(lane, place, *held[0])
                held.popleft()
                self._groups -= 1
        if not held:
            self._bytes -= lane.bytes
            lane.bytes = 0

    def _drop(self, lane: _Lane) -> None:
        self._groups -= len(lane.held)
        self._bytes -= lane.bytes
        lane.held.clear()
        lane.bytes = 0

    def _fail(self, place: Place, lane: _Lane, error: Exception) -> list[Ack]:
        """Give up what was handed over and what is held; what comes next begins when all that has ended."""
        lost = [failed(place, token, error) for _, token, _ in lane.open if token is not _PART]
        lost += [failed(place, token, error) for _, token in lane.held]
        lane.open.clear()
        self._drop(lane)
        lane.window = 1
        lane.offset = -1
        return lost


def _no_successor(place: Place, offset: int, before: int) -> LogUnavailable:
    """The error for an acknowledgement that proves nothing."""
    if offset < 0:
        return unproven(place)
    return LogUnavailable(
        f"an append to {place[0]}[{place[1]}] was acknowledged at offset {offset}, after one at {before}: "
        "the partition has lost records, or was made again; whether it is on the log is unknown"
    )
