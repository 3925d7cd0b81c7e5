"""The steps of handlers that wait: pieces of state until their invocation ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from plexstream.model.journal import MEANWHILE, WAITING, Begin, JournalRecord, Step, Turn
from plexstream.model.snapshot import Piece, Snapshot
from plexstream.processor.ports import PieceKey, Store
from plexstream.processor.state.history import CONTINUED

_STEP = Piece.STEP.value


class Codec(Protocol):
    """How steps become the data of pieces, and what a journal says.

    Attributes:
        compiled_turn: decodes turns alone, and returns None for all else; None: there is no such thing.
    """

    @property
    def compiled_turn(self) -> Callable[[bytes], Turn | None] | None: ...

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
        self.new_from = 1 << 62  # steps from this offset on are in the store by `flush` alone
        self._saved: set[PieceKey] = set()  # dirty ones that the snapshot topic has, or will have

    def load(self) -> None:
        """Find what the store has."""
        for piece in self._store.scan(_STEP):
            step = own_step(self._codec.decode_step(piece.data), int(piece.name))
            self._count(step)

    def _count(self, step: Step) -> None:
        number = step.invocation
        found = self.pending.setdefault(step.actor, {})
        if step.begin is not None:
            steps = max(step.number + 1, found[number].steps if number in found else 0)
            found[number] = Pending(step.begin, steps)
        elif number in found:
            found[number] = Pending(found[number].begin, max(found[number].steps, step.number + 1))

    def take(self, offset: int, step: Step) -> Iterator[tuple[PieceKey, bool]]:
        """Fold a step at `offset`; yields the keys that changed, and whether they are to be deleted."""
        if step.status in (WAITING, MEANWHILE):
            yield self._add(offset, step, step.invocation, step.number), False
        if step.status == MEANWHILE and step.next:
            yield from self._end(step.actor, step.next, _count_of(step))
        elif step.status not in (WAITING, MEANWHILE):
            yield from self._end(step.actor, step.invocation, step.number)
            if step.next:
                yield self._add(offset, own_step(step, step.next), step.next, 0), False

    def _end(self, address: str, invocation: int, steps: int) -> Iterator[tuple[PieceKey, bool]]:
        """Nothing is left of an invocation, which had so many steps at least."""
        pending = self.pending.get(address, {})
        ended = pending.pop(invocation, None)
        if not pending:
            self.pending.pop(address, None)
        for number in range(max(steps, ended.steps if ended is not None else 0)):
            key = step_key(address, invocation, number)
            found = self.dirty.pop(key, None)
            yield key, found is None or found[0] < self.new_from or key in self._saved

    def _add(self, offset: int, step: Step, invocation: int, number: int) -> PieceKey:
        key = step_key(step.actor, invocation, number)
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
        return Snapshot(_STEP, key[1], key[2], key[3], offset, step.seq, step.time, data)

    def save(self, key: PieceKey) -> Snapshot | None:
        """A step that is not in the store, for the snapshot topic: that must hear of its end."""
        self._saved.add(key)
        return self.piece(key)

    def flushed(self) -> None:
        """Everything is in the store."""
        self.dirty.clear()
        self._saved.clear()

    def read(self, address: str, invocation: int) -> list[Step]:
        """The acknowledged steps of an invocation, in order."""
        name = _name(invocation)
        found: dict[str, Step] = {}
        for piece in self._store.scan(_STEP, address, name):
            found[piece.key or ""] = own_step(self._codec.decode_step(piece.data), invocation)
        pending = self.pending.get(address, {}).get(invocation)
        for number in range(pending.steps if pending else 0):
            newer = self.dirty.get(step_key(address, invocation, number))
            if newer is not None:
                found[_name(number)] = newer[1]
        return [found[key] for key in sorted(found)]


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
    return (_STEP, address, _name(invocation), _name(number))


def _count_of(step: Step) -> int:
    """How many records the other invocation had that ends with this step of the one that waits."""
    return int(step.completions[0].value) if step.status == MEANWHILE and step.next else 0


def _name(number: int) -> str:
    return f"{number:020}"


def step_keys(step: Step) -> list[PieceKey]:
    """The keys that a step writes or deletes."""
    if step.status in (WAITING, MEANWHILE):
        keys = [step_key(step.actor, step.invocation, step.number)]
        return keys + [step_key(step.actor, step.next, n) for n in range(_count_of(step))]
    keys = [step_key(step.actor, step.invocation, number) for number in range(step.number)]
    if step.next:
        keys.append(step_key(step.actor, step.next, 0))
    return keys
