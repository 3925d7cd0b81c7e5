"""Appending at the pace at which librdkafka sends: what would only wait in there waits here.

An idempotent producer sends nothing more of a partition while five or more of its records, not requests, are
on their way. With no linger its thread does not sleep meanwhile, but looks for something to send without a
pause until the acknowledgement comes. With 256 callers it went round 20 to 40 times for each ask, for a
quarter of all CPU time. (rdkafka_broker.c, `rd_kafka_toppar_producer_serve`, as of 2.16.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING, cast

from plexstream.log.base import Ack, Item, Place, failed
from plexstream.log.limits import check_group

if TYPE_CHECKING:
    from plexstream.log.kafka.appender import KafkaAppender

WINDOW = 5
"""Records of a partition on their way that keep librdkafka from sending more: RD_KAFKA_IDEMP_MAX_INFLIGHT."""

SLACK_S = 0.000_1
"""librdkafka drops what is no whole millisecond: for a wait of 0.9 ms it would be asked without a pause."""

HELD_BYTES = 1 << 20
"""More than this is not kept back here, so that the appender's own limit bounds the memory."""


class _Lane:
    """One partition: records that were handed over and not acknowledged, and the groups after them."""

    __slots__ = ("bytes", "flying", "held")

    def __init__(self) -> None:
        self.flying = 0
        self.held: deque[tuple[Sequence[Item], object]] = deque()
        self.bytes = 0  # of what is held


class PacedAppender:
    """An `Appender` in front of `inner`, which must belong to it alone.

    Parameters:
        limit: the most bytes of a record at a place.
    """

    def __init__(self, inner: KafkaAppender, limit: Callable[[Place], int]) -> None:
        self._inner = inner
        self._limit = limit
        self._lanes: dict[Place, _Lane] = {}
        self._groups = 0  # held

    @property
    def holding(self) -> bool:
        return self._groups > 0

    def append(self, place: Place, items: Sequence[Item], token: object) -> None:
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = _Lane()
        if lane.flying >= WINDOW:
            size = check_group(place[0], items, self._limit(place))  # what is refused is refused now
            if lane.bytes + size <= HELD_BYTES:
                lane.held.append((items, token))
                self._groups += 1
                lane.bytes += size
                return
            self._release(lane, place)
        self._hand_over(lane, place, items, token)

    def poll(self, timeout: float) -> list[Ack]:
        found = []
        broken: Exception | None = None
        wait = ceil(timeout * 1000) / 1000 + SLACK_S if timeout > 0 else 0.0
        for topic, partition, handed, offset, error in self._inner.poll(wait):
            count, token = cast("tuple[int, object]", handed)
            found.append(Ack(topic, partition, token, offset, error))
            broken = broken or error
            place = topic, partition
            lane = self._lanes[place]
            lane.flying -= count
            if lane.held and lane.flying < WINDOW and broken is None:
                try:
                    self._release(lane, place)
                except Exception as refusal:
                    broken = refusal
        return found if broken is None else found + self._fail(broken)

    def close(self) -> None:
        self._lanes.clear()
        self._groups = 0
        self._inner.close()

    def _hand_over(self, lane: _Lane, place: Place, items: Sequence[Item], token: object) -> None:
        self._inner.append(place, items, (len(items), token))
        lane.flying += len(items)

    def _release(self, lane: _Lane, place: Place) -> None:
        """Hand over what is held. What `inner` refuses, and all after it, stays."""
        while lane.held:
            self._hand_over(lane, place, *lane.held[0])
            lane.held.popleft()
            self._groups -= 1
        lane.bytes = 0

    def _fail(self, error: Exception) -> list[Ack]:
        """The inner appender is of no use any more: nothing that is held will be sent."""
        unsent = []
        for place, lane in self._lanes.items():
            unsent += [failed(place, token, error) for _, token in lane.held]
            lane.held.clear()
            lane.bytes = 0
        self._groups = 0
        return unsent
