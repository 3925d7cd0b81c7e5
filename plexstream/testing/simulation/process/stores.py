"""Stores that survive their process, or lose all or the latest of what was written, as disks do."""

from __future__ import annotations

from collections.abc import Mapping

from plexstream.model.errors import StoreUnavailable
from plexstream.model.journal.snapshot import Snapshot
from plexstream.store.keys import PieceKey, encode_key
from plexstream.store.memory import MemoryStore

_KEPT = 50


class CrashStore(MemoryStore):
    """A `MemoryStore` that remembers its latest writes, so that a crash can undo them."""

    def __init__(self) -> None:
        super().__init__()
        self._undo: list[dict[bytes, Snapshot | None]] = []
        self.full = False  # the disk is: nothing can be written

    def write(self, pieces: Mapping[PieceKey, Snapshot | None]) -> None:
        if self.full:
            raise StoreUnavailable("the disk is full")
        self._remember({(k := encode_key(key)): self.pieces.get(k) for key in pieces})
        super().write(pieces)

    def wipe(self) -> None:
        if self.full:
            raise StoreUnavailable("the disk is full")
        self._remember(dict(self.pieces))
        super().wipe()

    def delete(self) -> None:
        """Somebody has deleted it: a crash brings back nothing of what was written before."""
        self.pieces.clear()
        self._undo = [{} for _ in self._undo]

    def clear(self) -> None:
        """Nothing is left, and nothing to undo."""
        self.pieces.clear()
        self._undo.clear()

    def _remember(self, before: dict[bytes, Snapshot | None]) -> None:
        self._undo.append(before)
        del self._undo[:-_KEPT]

    @property
    def writes(self) -> int:
        """How many writes a crash can undo."""
        return len(self._undo)

    def lose(self, writes: int) -> None:
        """Undo the latest writes: the power was cut before they were on the disk."""
        for _ in range(writes):
            for key, piece in self._undo.pop().items():
                if piece is None:
                    self.pieces.pop(key, None)
                else:
                    self.pieces[key] = piece
