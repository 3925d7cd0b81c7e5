"""From a stored partition and its journal to a processor that can start."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from plexstream.model.journal import Claim, JournalRecord, Mark, Partition, Step, Turn
from plexstream.processor.fold import Fold
from plexstream.processor.pieces import Pieces


class Restore:
    """Folds a journal over pieces of state, and collects what is still owed to others.

    Parameters:
        pieces: the state, as of `partition.start` if `exact`, else of anywhere from `partition.unsaved`
            to the journal's end.
        partition: the sum that stands with the pieces; a new one for an empty store.
        exact: whether the pieces reflect precisely `partition.start`: a local store does, the snapshot topic
            may not.
    """

    def __init__(self, pieces: Pieces, partition: Partition, exact: bool) -> None:
        self.pieces = pieces
        self.fold = Fold(partition)
        self.start = partition.start
        self.exact = exact
        self.begin = partition.floor if exact else min(partition.floor, partition.unsaved)
        self.next = self.begin
        self.owed: deque[tuple[int, Turn | Step]] = deque()
        self.on_claim: Callable[[Claim], None] = lambda _: None

    def take(self, offset: int, record: JournalRecord) -> bool:
        """Fold the record at `offset`; returns whether it counts.

        Patches are absolute: folding one again is harmless.
        """
        self.next = offset + 1
        if offset < self.start:
            counts = self.fold.counted(offset, record)
            if counts and isinstance(record, Turn | Step) and not self.exact:
                self.pieces.apply(offset, record)
        else:
            counts = self.fold.take(offset, record)
            if counts and isinstance(record, Turn | Step):
                self.pieces.apply(offset, record)
        if type(record) is Claim:
            self.on_claim(record)
        elif counts and isinstance(record, Turn | Step) and record.outs:
            self.owed.append((offset, record))
        elif counts and type(record) is Mark:
            self._settle()
        return counts

    def _settle(self) -> None:
        """Forget what has left: a long journal must not be held in memory."""
        first = min(self.fold.relayed, self.fold.emitted)
        while self.owed and self.owed[0][0] < first:
            self.owed.popleft()

    def misses(self, offset: int) -> bool:
        """Whether records that are needed are gone, where `offset` is the next one that there is."""
        return offset > max(self.next, self.start)

    def skip(self, offset: int) -> None:
        """The record at `offset` cannot be read: it counts for nothing."""
        self.next = offset + 1
        self.fold.next = max(self.fold.next, offset + 1)

    def still_owed(self) -> list[tuple[int, Turn | Step]]:
        """Turns whose outgoing items may not have arrived, in order."""
        first = min(self.fold.relayed, self.fold.emitted)
        return [(offset, turn) for offset, turn in self.owed if offset >= first]
