"""From a stored partition and its journal to a processor that can start."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from plexstream.model.errors import Malformed
from plexstream.model.journal.journal import Claim, JournalRecord, Mark, OutKind, Partition, Step, Turn
from plexstream.processor.journal.compiled import restoring
from plexstream.processor.journal.sums.fold import MAILBOX, Fold, beyond
from plexstream.processor.state.pieces import Pieces

OWED = 8 << 20
"""Bytes of turns that are kept for the messages that they owe: beyond, the journal is read again."""
_LAST_MAIL = OutKind.ERROR.value
_EMIT, _DEAD = OutKind.EMIT.value, OutKind.DEADLETTER.value


class Stored(Protocol):
    """A record, as a log has it."""

    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...


class Restore:
    """Folds a journal over pieces of state, and collects what is still owed to others.

    Of outputs and dead letters it is all: no more are made while many cannot leave. Messages are made however
    much a place does not take: where they are too many, it is only noted from where on the journal has them.

    Parameters:
        pieces: the state, as of `partition.start` if `exact`, else of anywhere from `partition.unsaved`
            to the journal's end. Their codec decodes the journal.
        partition: the sum that stands with the pieces; a new one for an empty store.
        exact: whether the pieces reflect precisely `partition.start`: a local store does, the snapshot topic
            may not.

    Attributes:
        on_claim: is called with each claim.
        on_turn: is called with the offset and each turn that counts, before it changes a piece.
        unseen: the messages of turns from this offset on are in the journal alone; -1: there are none.
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
        self._plain = restoring(pieces.codec.turn_prefix)
        # As they are on the log: of a hundred thousand nearly all have left, and records cost more to keep.
        self._mails: deque[tuple[int, bytes]] = deque()
        self._others: list[bytes] = []  # outputs and dead letters
        self._others_at: list[int] = []  # their offsets
        self.owed_bytes = 0  # of `_mails`
        self.unseen = -1
        self._last_mail = -1

    def take(self, offset: int, data: bytes, wanted: bool = True) -> JournalRecord | None:
        """Fold the record at `offset`; returns it if it counts. One that is not `wanted` changes no piece.

        Patches are absolute: folding one again is harmless. Raises Malformed: then `skip` it.
        """
        record = self._decode(data)
        self.next = offset + 1
        old = offset < self.start
        counts = self.fold.counted(offset, record) if old else self.fold.take(offset, record)
        if type(record) is Mark and (why := beyond(offset, record)):
            raise Malformed(why)
        if type(record) is Claim:
            self.on_claim(record)
        if not counts:
            return None
        if not wanted:
            return record
        if type(record) is Turn or type(record) is Step:
            if self.on_turn is not None:
                self.on_turn(offset, record)
            if not (old and self.exact):
                self.pieces.apply(offset, record)
            if record.outs:
                self._owe(offset, data, record)
        elif type(record) is Mark:
            self._settle()
        return record

    def take_plain(self, records: Sequence[Stored], at: int, end: int) -> int:
        """Fold plain turns that count, from the one at place `at` on, below the offset `end`.

        Returns the place of the first record that is no such turn: `take` it.
        """
        fold, pieces = self.fold, self.pieces
        inbox = fold.inboxes.get(MAILBOX)
        simple = self.next == fold.next >= self.start and not fold.timer and fold.attempt < 0
        if self._plain is None or inbox is None or self.on_turn or not simple or type(records) is not list:
            return at
        done = self._plain.restore(
            records, at, end, self.next, fold.claim, fold.ordinal + 1, self._others_at, self._others,
            self._keep_owed, pieces.cores, pieces.dirty_cores, pieces.unsaved.cores, inbox, pieces.core,
        ) - at  # fmt: skip
        if done:
            self.next = fold.next = fold.next + done
            fold.ordinal += done
            fold.turns += done
            fold.unread = 0
        return at + done

    def _owe(self, offset: int, data: bytes, turn: Turn | Step) -> None:
        kinds = [out.kind for out in turn.outs]
        self._keep_owed(offset, data, min(kinds) <= _LAST_MAIL, _EMIT in kinds or _DEAD in kinds)

    def _keep_owed(self, offset: int, data: bytes, mails: bool, others: bool) -> None:
        if others:
            self._others_at.append(offset)
            self._others.append(data)
        if not mails:
            return
        self._last_mail = offset
        if self.unseen >= 0:
            return
        self._mails.append((offset, data))
        self.owed_bytes += len(data)
        if self.owed_bytes > OWED:
            self.unseen = self._mails[0][0]
            self._mails.clear()
            self.owed_bytes = 0

    def _settle(self) -> None:
        """Forget what has left: a long journal must not be held in memory."""
        relayed, emitted = self.fold.relayed, self.fold.emitted
        while self._mails and self._mails[0][0] < relayed:
            self.owed_bytes -= len(self._mails.popleft()[1])
        if gone := bisect_left(self._others_at, emitted):
            del self._others_at[:gone], self._others[:gone]
        if self.unseen >= 0:
            self.unseen = -1 if self._last_mail < relayed else max(self.unseen, relayed)

    def forget_owed(self) -> None:
        """Nothing is relayed by who folds this journal."""
        self._mails.clear()
        self._others.clear()
        self._others_at.clear()
        self.owed_bytes, self.unseen = 0, -1

    def misses(self, offset: int) -> bool:
        """Whether records that are needed are gone, where `offset` is the next one that there is."""
        return offset > max(self.next, self._needed)

    def skip(self, offset: int) -> None:
        """The record at `offset` cannot be read: it counts for nothing."""
        self.next = offset + 1
        self.fold.skip(offset)

    def still_owed(self) -> Iterator[tuple[int, Turn | Step]]:
        """Turns whose outgoing items may not have arrived, in order; no messages if there is an `unseen`."""
        self._settle()
        others = zip(self._others_at, self._others, strict=True)
        for offset, data in sorted({**dict(self._mails), **dict(others)}.items()):
            turn = self._decode(data)
            assert type(turn) is Turn or type(turn) is Step
            yield offset, turn
