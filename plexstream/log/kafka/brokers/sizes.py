"""How large a record of each topic may be, as of a while ago."""

from __future__ import annotations

import time
from collections.abc import Callable

from plexstream.log.kafka.common.settings import BATCH_BYTES, logger
from plexstream.model.errors import LogError
from plexstream.model.process.threads import passing

FRESH_S = 30.0
"""How old what is known may be before it is asked again, beside whoever uses it."""
LEAST = BATCH_BYTES + 10_000
"""The least `max.message.bytes` of a topic that is written to: records of any size come in batches."""
MISFIT_S = 1.0
"""The same after brokers have refused something: it may have been for its size."""


class Sizes:
    """The limits of topics. Somebody may raise or lower them at any time: nobody who appends waits for that.

    Thread-safe.

    Parameters:
        ask: for the limit of a topic; blocks, and raises LogError.
        clock: seconds that only go forward.
    """

    def __init__(self, ask: Callable[[str], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._known: dict[str, tuple[int, float]] = {}  # and until when it is fresh

    def of(self, topic: str) -> int:
        """The limit of a topic. Blocks where none is known yet, and raises LogError."""
        known = self._known.get(topic)
        if known is None:
            return self.renew(topic)
        limit, until = known
        if self._clock() >= until:
            self._known[topic] = limit, self._clock() + FRESH_S
            passing("sizes", self._renew_beside, topic)
        return limit

    def renew(self, topic: str) -> int:
        """Ask anew. Blocks, and raises LogError: then what was known stays."""
        limit = self._ask(topic)
        self._known[topic] = limit, self._clock() + FRESH_S
        return limit

    def doubt(self) -> None:
        """Brokers have refused something: ask for all of them soon."""
        soon = self._clock() + MISFIT_S
        for topic, (limit, until) in list(self._known.items()):
            self._known[topic] = limit, min(until, soon)

    def forget(self, topic: str) -> None:
        """There is no such topic any more."""
        self._known.pop(topic, None)

    def _renew_beside(self, topic: str) -> None:
        try:
            self.renew(topic)
        except LogError as error:
            logger.warning("how large records may be is as it was: %s", error)
