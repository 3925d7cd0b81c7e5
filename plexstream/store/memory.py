"""A store in memory, for the simulation and for tests. It may lose everything, as a disk may."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import nsmallest

from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.store.keys import Due, PieceKey, encode_key, entry_range, prefix


class MemoryStore:
    """Pieces in a dict."""

    def __init__(self) -> None:
        self.pieces: dict[bytes, Snapshot] = {}

    def get(self, key: PieceKey) -> Snapshot | None:
        return self.pieces.get(encode_key(key))

    def scan(self, kind: int, address: str | None = None, name: str | None = None) -> Iterator[Snapshot]:
        start = prefix(kind, address, name)
        return iter([self.pieces[k] for k in sorted(self.pieces) if k.startswith(start)])

    def entries(
        self, address: str, name: str, start: str, stop: str | None, limit: int, reverse: bool = False
    ) -> list[Snapshot]:
        low, high = entry_range(address, name, start, stop)
        keys = sorted((k for k in self.pieces if low <= k < high), reverse=reverse)
        return [self.pieces[k] for k in keys[:limit]]

    def write(self, pieces: Mapping[PieceKey, Snapshot | None]) -> None:
        for key, piece in pieces.items():
            if piece is None:
                self.pieces.pop(encode_key(key), None)
            else:
                self.pieces[encode_key(key)] = piece

    def due(self, after: Due, limit: int) -> list[Due]:
        return first_due(self.scan(Piece.TIMER.value), after, limit)

    def timers(self) -> int:
        return sum(1 for _ in self.scan(Piece.TIMER.value))

    def close(self) -> None:
        """Nothing to do."""

    def wipe(self) -> None:
        """Forget everything."""
        self.pieces.clear()


def first_due(timers: Iterable[Snapshot], after: Due, limit: int) -> list[Due]:
    """The first `limit` of some timers that are behind `after`, in order."""
    entries = ((t.time, t.address, t.name) for t in timers)
    return nsmallest(limit, (entry for entry in entries if entry > after))
