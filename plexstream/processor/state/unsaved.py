"""What the snapshot topic lacks, and what is taken for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import merge
from operator import itemgetter

from plexstream.model.journal.journal import DONE, OutKind, Step, Turn
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.processor.state.core import Core
from plexstream.processor.state.histories.histories import step_keys
from plexstream.processor.state.histories.kept import of_others, reply_key
from plexstream.processor.state.ports import PieceKey, Store

_STEP = Piece.STEP.value
_ACTOR, _ENTRY, _REPLY, _TIMER = Piece.ACTOR.value, Piece.ENTRY.value, Piece.REPLY.value, Piece.TIMER.value
_OUT_TIMER, _OUT_CANCEL = OutKind.TIMER.value, OutKind.CANCEL.value
_first = itemgetter(1)


class Unsaved:
    """Pieces and actors' fields with the offset of their first turn that is not in the topic, oldest first.

    Parameters:
        store: what is on disk.
        loaded: fields of actors, as far as they are in memory.
        core: finds the fields of an actor as of its latest acknowledged turn, and loads them.
        newest: finds another piece as of that.

    Attributes:
        pieces, cores: what is not in the topic.
        taken: what was handed to a transaction that is not committed yet.
    """

    def __init__(
        self, store: Store, loaded: Mapping[str, Core], core: Callable[[str], Core],
        newest: Callable[[PieceKey], Snapshot | None],
    ) -> None:  # fmt: skip
        self._store = store
        self._loaded = loaded
        self._core = core
        self._newest = newest
        self.pieces: dict[PieceKey, int] = {}
        self.cores: dict[str, int] = {}
        self.taken: dict[PieceKey, int] = {}

    def clear(self) -> None:
        """The topic has all."""
        self.pieces.clear()
        self.cores.clear()

    def oldest(self) -> int | None:
        """Offset of the first turn that the snapshot topic lacks, once what was taken stands there."""
        firsts = [next(iter(d.values())) for d in (self.pieces, self.cores) if d]
        return min(firsts, default=None)

    def note(self, offset: int, turn: Turn | Step) -> None:
        """The turn at `offset` is in the store, but may not be in the snapshot topic."""
        if turn.status == DONE or turn.patch or type(turn) is Step:
            self.cores[turn.actor] = min(offset, self.cores.get(turn.actor, offset))
        keys: list[PieceKey] = [(_ENTRY, turn.actor, c.field, c.key) for c in turn.patch if c.key is not None]
        keys += [
            (_TIMER, turn.actor, out.id, None) for out in turn.outs if out.kind in (_OUT_TIMER, _OUT_CANCEL)
        ]
        keys += [(_REPLY, turn.actor, out.id, None) for out in turn.outs if of_others(out)]
        if turn.cause_topic == "timer":
            keys.append((_TIMER, turn.sender, turn.message_id, None))
        if turn.idempotency_key:
            keys.append(reply_key(turn))
        if type(turn) is Step:
            keys += step_keys(turn)
        for key in keys:
            self.pieces[key] = min(offset, self.pieces.get(key, offset))

    def all(self, offset: int) -> None:
        """The snapshot topic is another one, and has nothing of what the store has, from `offset` on."""
        for kind in (_ACTOR, _ENTRY, _REPLY, _TIMER, _STEP):
            for piece in self._store.scan(kind):
                if kind == _ACTOR:
                    self.cores[piece.address] = offset
                else:
                    self.pieces[piece.kind, piece.address, piece.name, piece.key] = offset

    def order(self) -> None:
        """After `note`: oldest first again."""
        self.pieces = dict(sorted(self.pieces.items(), key=lambda item: item[1]))
        self.cores = dict(sorted(self.cores.items(), key=lambda item: item[1]))

    def take(
        self, limit: int, size: int, before: int, due: Callable[[str], int]
    ) -> dict[PieceKey, Snapshot | None]:
        """Up to `limit` pieces whose first unsaved turn is below offset `due(address)`, at most `before`.

        What is not below `before` is not looked at, however much that is.

        The one with which they have `size` bytes is the last, too: what is taken is in memory several times.
        They count as saved when `saved` is called.
        """
        taken: dict[PieceKey, Snapshot | None] = {}
        cores = (((_ACTOR, address, "", None), first) for address, first in self.cores.items())
        for key, first in merge(cores, self.pieces.items(), key=_first):
            if first >= before or len(taken) >= limit or size <= 0:
                break
            if first < due(key[1]):
                piece = taken[key] = self._save(key[1]) if key[0] == _ACTOR else self._newest(key)
                size -= len(piece.data) if piece is not None else 0
        for key in taken:
            saved = self.cores.pop(key[1]) if key[0] == _ACTOR else self.pieces.pop(key)
            self.taken[key] = saved
        return taken

    def take_core(self, address: str) -> dict[PieceKey, Snapshot | None]:
        """One actor's fields, if they are unsaved."""
        first = self.cores.pop(address, None)
        if first is None:
            return {}
        key = (_ACTOR, address, "", None)
        self.taken[key] = first
        return {key: self._save(address)}

    def _save(self, address: str) -> Snapshot:
        if address not in self._loaded:  # the store has it as it is to be saved: nobody needs it in memory
            piece = self._store.get((_ACTOR, address, "", None))
            if piece is not None:
                return piece
        core = self._core(address)
        core.noted = False
        return core.snapshot()

    def saved(self) -> None:
        """What was taken stands in the snapshot topic."""
        self.taken.clear()
