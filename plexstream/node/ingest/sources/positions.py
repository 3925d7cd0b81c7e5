"""How far sources are, stored now and then. Losing a position costs reading its records again, no more."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from plexstream.log.base import Log, Place
from plexstream.log.installation import Control
from plexstream.model.errors import LogError
from plexstream.node.ingest.sources.source import Source, Stage, store

_log = logging.getLogger("plexstream.node")

POSITION_S = 5.0
REFRESH_S = 86_400.0
"""A position is stored again after so long: brokers forget them after 7 days by default."""


class _Ask(Protocol):
    def __call__(
        self, place: Place, ask: Callable[[], int], then: Callable[[int | LogError], None], /
    ) -> None: ...


class Positions:
    """Stores the positions of sources, every so often.

    Parameters:
        ask: have a question about a place asked beside this thread.
    """

    def __init__(self, log: Log, control: Control, ask: _Ask, clock: Callable[[], float]) -> None:
        self._log = log
        self._control = control
        self._ask = ask
        self._clock = clock
        self._committed = 0.0

    def commit_if_due(self, sources: Iterable[Source]) -> None:
        """Store them if it is time."""
        if self._clock() - self._committed > POSITION_S:
            self.commit(sources)

    def commit(self, sources: Iterable[Source]) -> None:
        """Store those that have changed."""
        self._committed = now = self._clock()
        for source in sources:
            if source.storing or source.stage not in (Stage.READING, Stage.WAITING):
                continue
            if source.done == source.stored and now - source.stored_at < REFRESH_S:
                continue
            self._store(source)

    def wait(self, sources: Iterable[Source], take: Callable[[], None]) -> None:
        """Give those that are being stored a while. `take` hands out the answers that have come."""
        storing = [source for source in sources if source.storing]
        end = self._clock() + POSITION_S
        while any(source.storing for source in storing) and self._clock() < end:
            take()
            time.sleep(0.005)

    def _store(self, source: Source) -> None:
        source.storing = True

        def stored(found: int | LogError) -> None:
            source.storing = False
            if isinstance(found, LogError):
                _log.warning("the position of %s[%d] was not stored: %s", *source.place, found)
            else:
                source.stored, source.stored_at = found, self._clock()

        question = partial(store, self._log, self._control, source.place, source.position_life, source.done)
        self._ask(source.place, question, stored)
