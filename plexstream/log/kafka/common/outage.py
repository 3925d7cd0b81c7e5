"""What the log says of brokers that are away: a line when that begins and one when it is over.

librdkafka tries to connect about once a second for each of its threads, and reports every failure twice:
by its logger and by the error callback. With a handful of clients that would be a hundred lines a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import KafkaError

from plexstream.log.kafka.common.errors import passes
from plexstream.log.kafka.common.settings import logger

QUIET_S = 35.0
"""Without an error for so long it is over: librdkafka may tell one that repeats every 30 s only."""


class Outage:
    """Errors of one client's connections. They are tried again for ever, so that it only tells of them.

    Parameters:
        who: the client, for people.
        clock: seconds that only go forward.
    """

    def __init__(self, who: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._who = who
        self._clock = clock
        self._told: set[int | None] = set()
        self._began = self._last = 0.0

    def error(self, error: KafkaError) -> None:
        """One more error: librdkafka's error callback."""
        self._last = self._clock()
        if not self._told:
            self._began = self._last
        kind = None if passes(error) else error.code()
        if kind not in self._told:
            self._told.add(kind)
            logger.warning("%s: %s", self._who, error.str())

    def look(self) -> None:
        """Whether it is over. To be called after librdkafka could report errors, its poll."""
        if self._told and self._clock() - self._last >= QUIET_S:
            self._told.clear()
            logger.warning("%s: no more errors, after %.1f s of them", self._who, self._last - self._began)
