"""The steps of handlers that wait: pieces of state until their invocation ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from plexstream.model.journal import MEANWHILE, WAITING, Begin, JournalRecord, Step
from plexstream.model.snapshot import Piece, Snapshot
from plexstream.processor.ports import PieceKey, Store

_STEP = Piece.STEP.value


class Codec(Protocol):
    """How steps become the data of pieces, and what a journal says."""

    def encode_step(self, step: Step) -> bytes: ...
    def decode_step(self, data: bytes) -> Step: ...
    def decode_journal(self, data: bytes) -> JournalRecord: ...


class Pending(NamedTuple):
    """An invocation that has not ended, as of the journal: its message and how many steps it has."""

    begin: Begin
    steps: int


class Histories:
    """The invocations of one partition that have not ended.

    Parameters:
        store: where steps are once they are flushed.
    """

    def __init__(self, store: Store, codec: Codec) -> None:
        self._store = store
        self._codec = codec
        self.pending: dict[str, dict[int, Pending]] = {}
        self.dirty: dict[PieceKey, tuple[int, Step]] = {}  # not in the store yet, with their offsets
        self.new_from = 1 << 62  # steps from this offset on are in no store and no topic but for `flush`

    def load(self) -> None:
        """Find what the store has."""
        for piece in self._store.scan(_STEP):
            step = self._codec.decode_step(piece.data)
            self._count(step)

    def _count(self, step: Step) -> None:
        number = step.next or step.invocation
        found = self.pending.setdefault(step.actor, {})
        if step.begin is not None:
            steps = max(1, found[number].steps if number in found else 1)
            found[number] = Pending(step.begin, steps)
        elif number in found:
            found[number] = Pending(found[number].begin, max(found[number].steps, step.number + 1))

    def take(self, offset: int, step: Step) -> Iterator[tuple[PieceKey, bool]]:
        """Fold a step at `offset`; yields the keys that changed, and whether they are to be deleted."""
        if step.status in (WAITING, MEANWHILE):
            yield self._add(offset, step, step.invocation, step.number), False
            return
        ended = self.pending.get(step.actor, {})
        ended.pop(step.invocation, None)
        if not ended:
            self.pending.pop(step.actor, None)
        for number in range(step.number):
            key = step_key(step.actor, step.invocation, number)
            found = self.dirty.pop(key, None)
            yield key, found is None or found[0] < self.new_from
        if step.next:
            yield self._add(offset, step, step.next, 0), False

    def _add(self, offset: int, step: Step, invocation: int, number: int) -> PieceKey:
        key = step_key(step.actor, invocation, number)
        self.dirty[key] = (offset, step)
        self._count(step)
        return key

    def piece(self, key: PieceKey) -> Snapshot | None:
        """A step that is not in the store, as a piece."""
        found = self.dirty.get(key)
        if found is None:
            return None
        offset, step = found
        data = self._codec.encode_step(step)
        return Snapshot(_STEP, key[1], key[2], key[3], offset, step.seq, step.time, data)

    def flushed(self) -> None:
        """Everything is in the store."""
        self.dirty.clear()

    def read(self, address: str, invocation: int) -> list[Step]:
        """The acknowledged steps of an invocation, in order."""
        name = _name(invocation)
        found: dict[str, Step] = {}
        for piece in self._store.scan(_STEP, address, name):
            found[piece.key or ""] = self._codec.decode_step(piece.data)
        pending = self.pending.get(address, {}).get(invocation)
        for number in range(pending.steps if pending else 0):
            newer = self.dirty.get(step_key(address, invocation, number))
            if newer is not None:
                found[_name(number)] = newer[1]
        return [found[key] for key in sorted(found)]


def step_key(address: str, invocation: int, number: int) -> PieceKey:
    """The key of one step's piece."""
    return (_STEP, address, _name(invocation), _name(number))


def _name(number: int) -> str:
    return f"{number:020}"


def step_keys(step: Step) -> list[PieceKey]:
    """The keys that a step writes or deletes."""
    if step.status in (WAITING, MEANWHILE):
        return [step_key(step.actor, step.invocation, step.number)]
    keys = [step_key(step.actor, step.invocation, number) for number in range(step.number)]
    if step.next:
        keys.append(step_key(step.actor, step.next, 0))
    return keys
