"""Numbers of a journal that were given out in a history that it has lost: they are used up."""

from __future__ import annotations

from plexstream.log.base import Place
from plexstream.model.journal.journal import Mark, Step, Turn
from plexstream.node.lanes.records.encode import journal_items
from plexstream.node.shared.services import Services

_FILL_BATCH = 5_000
NOBODY = -2
"""Named as its claim by a record that counts for nothing."""


class Filling:
    """Appends records that count for nothing, until the journal ends where it once ended.

    Others know those numbers, as numbers of messages that they have, and would drop what is not newer. Then
    the partition is claimed anew, behind them.
    """

    def __init__(self, services: Services, journal: Place, owner: object) -> None:
        self.s = services
        self._journal = journal
        self._owner = owner
        self._upto = 0

    def start(self, claim: int, upto: int) -> bool:
        """Use up all numbers behind `claim` and below `upto`. Whether that takes records."""
        self._upto = upto
        return self.filled(claim)

    def filled(self, offset: int) -> bool:
        """All below and at `offset` is used up. Whether more are on their way."""
        count = min(self._upto - 1 - offset, _FILL_BATCH)
        if count <= 0:
            return False
        void: list[Turn | Step | Mark] = [Mark(NOBODY, self.s.now(), (), 0, 0, -1, "", False)]
        self.s.appender.append(self._journal, journal_items(void * count), (self._owner, "fill", None))
        return True
