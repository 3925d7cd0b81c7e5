"""Whether a consumer that says nothing has nothing to say.

librdkafka tells of an error or of a broker that is away. What it does not tell of, for whatever reason, shows
only in this: where it reads does not move, and the partition ends beyond.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from plexstream.log.base import Place

EVERY_S = 5.0
"""How often a consumer with nothing to give is compared with the ends. Who is found twice in a row has been
silent for this long at least."""


class Stuck(NamedTuple):
    """A partition of which nothing comes, though it ends beyond the position."""

    place: Place
    position: int
    end: int

    def __str__(self) -> str:
        name = f"{self.place[0]}[{self.place[1]}]"
        return f"{name} is read up to {self.position}, ends at {self.end}, and nothing of it comes"


class Silence:
    """Compares positions with ends. Belongs to the thread that reads.

    Parameters:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock() + EVERY_S
        self._asking = False
        self._before: dict[Place, int] = {}
        self._suspects: dict[Place, int] = {}
        self._in_vain: dict[Place, Stuck] = {}

    def due(self, positions: Mapping[Place, int]) -> dict[Place, int]:
        """The places whose ends are to be asked for now, with their positions; `found` takes the answer.

        To be called when the consumer has nothing to give: what waits in its queue is no silence.
        """
        now = self._clock()
        if self._asking or now < self._at:
            return {}
        self._at = now + EVERY_S
        before, self._before = self._before, dict(positions)
        still = {place: position for place, position in positions.items() if before.get(place) == position}
        self._asking = bool(still)
        return still

    def found(
        self, asked: Mapping[Place, int], ends: Mapping[Place, int], positions: Mapping[Place, int]
    ) -> list[Stuck]:
        """Those of which nothing comes: by this answer, and by the one before.

        Each is named once for a position and an end: what another consumer does not get either may be the
        mark of a transaction, which is no record.

        Parameters:
            asked: what `due` has given.
            ends: as far as they are known.
            positions: as of now.
        """
        self._asking = False
        behind = {
            place: Stuck(place, position, ends[place])
            for place, position in asked.items()
            if ends.get(place, 0) > position == positions.get(place)
        }
        stuck = [
            one
            for place, one in behind.items()
            if self._suspects.get(place) == one.position and self._in_vain.get(place) != one
        ]
        self._suspects = {place: one.position for place, one in behind.items()}
        self._in_vain.update({one.place: one for one in stuck})
        return stuck
