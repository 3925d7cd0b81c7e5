"""The steps of handlers that wait: pieces of state until their invocation ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from plexstream.model.journal.journal import MEANWHILE, WAITING, Begin, JournalRecord, Step
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.processor.state.histories.history import CONTINUED
from plexstream.processor.state.ports import PieceKey, Store

STEP = Piece.STEP.value
_new = tuple.__new__  # a named tuple's own costs several times as much


class Codec(Protocol):
    """How steps become the data of pieces, and what a journal says.

    Attributes:
        turn_prefix: what turns begin with, as they are written today.
    """

    @property
    def turn_prefix(self) -> bytes: ...

    def encode_step(self, step: Step) -> bytes: ...
    def decode_step(self, data: bytes) -> Step: ...
    def decode_journal(self, data: bytes) -> JournalRecord: ...


class Pending(NamedTuple):
    """An invocation that has not ended, as of the journal: its message and how many steps it has."""

    begin: Begin
    steps: int


class Taken(NamedTuple):
    """What becomes of the pieces of steps.

    Attributes:
        new: the key of the one that is added, if one is.
        gone: keys that are to be deleted where the store or the snapshot topic has them.
        forgotten: keys that neither has.
    """

    new: PieceKey | None
    gone: Sequence[PieceKey]
    forgotten: Sequence[PieceKey]


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
        self.new_from = 1 << 62  # steps from this offset on are in the store by `flush` alone
        self.saved: set[PieceKey] = set()  # dirty ones that the snapshot topic has, or will have

    def load(self) -> None:
        """Find what the store has."""
        for piece in self._store.scan(STEP):
            step = own_step(self._codec.decode_step(piece.data), int(piece.name))
            self._count(step)

    def _count(self, step: Step) -> None:
        number, begin = step.invocation, step.begin
        found = self.pending.get(step.actor)
        if found is None:
            found = self.pending[step.actor] = {}
        known = found.get(number)
        steps = step.number + 1
        if known is not None:
            found[number] = _new(Pending, (begin or known.begin, max(steps, known.steps)))
        elif begin is not None:
            found[number] = _new(Pending, (begin, steps))

    def take(self, offset: int, step: Step) -> Taken:
        """Fold a step at `offset`; returns the keys that this concerns."""
        status, next = step.status, step.next
        if status == WAITING:
            return _new(Taken, (self._add(offset, step, step.invocation, step.number), (), ()))
        if status == MEANWHILE:
            key = self._add(offset, step, step.invocation, step.number)
            return Taken(key, *(self._end(step.actor, next, _count_of(step)) if next else ((), ())))
        ended = self._end(step.actor, step.invocation, step.number)
        return Taken(self._add(offset, own_step(step, next), next, 0) if next else None, *ended)

    def _end(self, address: str, invocation: int, steps: int) -> tuple[list[PieceKey], list[PieceKey]]:
        """Nothing is left of an invocation, which had so many steps at least.

        Returns the keys that are to be deleted, and those that nobody else has.
        """
        pending = self.pending.get(address, {})
        ended = pending.pop(invocation, None)
        if not pending:
            self.pending.pop(address, None)
        gone: list[PieceKey] = []
        forgotten: list[PieceKey] = []
        name, dirty = _name(invocation), self.dirty
        for number in range(max(steps, ended.steps if ended is not None else 0)):
            key = (STEP, address, name, _name(number))
            found = dirty.pop(key, None)
            is_known = found is None or found[0] < self.new_from or key in self.saved
            (gone if is_known else forgotten).append(key)
        return gone, forgotten

    def _add(self, offset: int, step: Step, invocation: int, number: int) -> PieceKey:
        key = (STEP, step.actor, _name(invocation), _name(number))
        # Its number is a matter of the journal: the state is the same for who wrote and who read it.
        self.dirty[key] = (offset, step if not step.ordinal else step._replace(ordinal=0))
        self._count(step)
        return key

    def piece(self, key: PieceKey) -> Snapshot | None:
        """A step that is not in the store, as a piece."""
        found = self.dirty.get(key)
        if found is None:
            return None
        offset, step = found
        data = self._codec.encode_step(step)
        return Snapshot(STEP, key[1], key[2], key[3], offset, step.seq, step.time, data)

    def save(self, key: PieceKey) -> Snapshot | None:
        """A step that is not in the store, for the snapshot topic: that must hear of its end."""
        self.saved.add(key)
        return self.piece(key)

    def flushed(self) -> None:
        """Everything is in the store."""
        self.dirty.clear()
        self.saved.clear()

    def read(self, address: str, invocation: int) -> list[Step]:
        """The acknowledged steps of an invocation, in order."""
        name = _name(invocation)
        found: dict[str, Step] = {}
        for piece in self._store.scan(STEP, address, name):
            found[piece.key or ""] = own_step(self._codec.decode_step(piece.data), invocation)
        pending = self.pending.get(address, {}).get(invocation)
        for number in range(pending.steps if pending else 0):
            newer = self.dirty.get(step_key(address, invocation, number))
            if newer is not None:
                found[_name(number)] = newer[1]
        return [found[key] for key in sorted(found)]


NAMES = [f"{number:020}" for number in range(256)]
"""Of most steps, and of the first invocations of an actor."""


def own_step(step: Step, invocation: int) -> Step:
    """What an invocation begins with that goes on from another: of that one's last record nothing is its."""
    if step.status in (WAITING, MEANWHILE) or step.next != invocation:
        return step
    assert step.begin is not None
    # Journals of before have the state with which it began at once; others note that it has yet to begin.
    noted = [CONTINUED] if step.begin.base is None else []
    return step._replace(
        status=WAITING, fresh=False, idempotency_key="", patch=[], outs=[], invocation=invocation, number=0,
        next=0, commands=[], completions=noted,
    )  # fmt: skip


def step_key(address: str, invocation: int, number: int) -> PieceKey:
    """The key of one step's piece."""
    return (STEP, address, _name(invocation), _name(number))


def _count_of(step: Step) -> int:
    """How many records the other invocation had that ends with this step of the one that waits."""
    return int(step.completions[0].value) if step.status == MEANWHILE and step.next else 0


def _name(number: int) -> str:
    return NAMES[number] if 0 <= number < len(NAMES) else f"{number:020}"


def step_keys(step: Step) -> list[PieceKey]:
    """The keys that a step writes or deletes."""
    if step.status in (WAITING, MEANWHILE):
        keys = [step_key(step.actor, step.invocation, step.number)]
        return keys + [step_key(step.actor, step.next, n) for n in range(_count_of(step))]
    keys = [step_key(step.actor, step.invocation, number) for number in range(step.number)]
    if step.next:
        keys.append(step_key(step.actor, step.next, 0))
    return keys
