"""From a stored partition and its journal to a processor that can start."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from plexstream.model.journal import Claim, JournalRecord, Mark, Partition, Step, Turn
from plexstream.processor.fold import Fold
from plexstream.processor.pieces import Pieces


class Restore:
    """Folds a journal over pieces of state, and collects what is still owed to others.

    Parameters:
        pieces: the state, as of `partition.start` if `exact`, else of anywhere from `partition.unsaved`
            to the journal's end. Their codec decodes the journal.
        partition: the sum that stands with the pieces; a new one for an empty store.
        exact: whether the pieces reflect precisely `partition.start`: a local store does, the snapshot topic
            may not.

    Attributes:
        on_claim: is called with each claim.
        on_turn: is called with the offset and each turn that counts, before it changes a piece.
    """

    def __init__(self, pieces: Pieces, partition: Partition, exact: bool) -> None:
        self.pieces = pieces
        self.fold = Fold(partition)
        self.start = partition.start
        self.exact = exact
        self.begin = partition.floor if exact else min(partition.floor, partition.unsaved)
        self.next = self.begin
        # What lies before is read for what may still be owed alone: where it was trimmed, nothing is.
        self._needed = partition.start if exact else partition.unsaved
        self.on_claim: Callable[[Claim], None] = lambda _: None
        self.on_turn: Callable[[int, Turn | Step], None] | None = None
        self._decode = pieces.codec.decode_journal
        # As they are on the log: of a hundred thousand nearly all have left, and records cost more to keep.
        self._owed: deque[tuple[int, bytes]] = deque()

    def take(self, offset: int, data: bytes) -> JournalRecord | None:
        """Fold the record at `offset`; returns it if it counts.

        Patches are absolute: folding one again is harmless. Raises Malformed: then `skip` it.
        """
        record = self._decode(data)
        self.next = offset + 1
        old = offset < self.start
        counts = self.fold.counted(offset, record) if old else self.fold.take(offset, record)
        if type(record) is Claim:
            self.on_claim(record)
        if not counts:
            return None
        if type(record) is Turn or type(record) is Step:
            if self.on_turn is not None:
                self.on_turn(offset, record)
            if not (old and self.exact):
                self.pieces.apply(offset, record)
            if record.outs:
                self._owed.append((offset, data))
        elif type(record) is Mark:
            self._settle()
        return record

    def _settle(self) -> None:
        """Forget what has left: a long journal must not be held in memory."""
        first = min(self.fold.relayed, self.fold.emitted)
        owed = self._owed
        while owed and owed[0][0] < first:
            owed.popleft()

    def forget_owed(self) -> None:
        """Nothing is relayed by who folds this journal."""
        self._owed.clear()

    def misses(self, offset: int) -> bool:
        """Whether records that are needed are gone, where `offset` is the next one that there is."""
        return offset > max(self.next, self._needed)

    def skip(self, offset: int) -> None:
        """The record at `offset` cannot be read: it counts for nothing."""
        self.next = offset + 1
        self.fold.next = max(self.fold.next, offset + 1)

    def still_owed(self) -> Iterator[tuple[int, Turn | Step]]:
        """Turns whose outgoing items may not have arrived, in order."""
        self._settle()
        for offset, data in self._owed:
            turn = self._decode(data)
            assert type(turn) is Turn or type(turn) is Step
            yield offset, turn
