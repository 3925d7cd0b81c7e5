"""State in pieces: actors' fields, collection entries, kept replies, timers.

Three layers, newest first: what running turns changed and the log has not acknowledged (`ahead`),
what is acknowledged and not yet in the store (`dirty`), and the store. The store is thus never
ahead of the log, and the handlers never behind themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from plexstream.model.errors import StoreCorrupt, StoreUnavailable
from plexstream.model.journal.journal import DONE, Change, Out, OutKind, Step, Turn
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.model.journal.timer import timer_piece
from plexstream.model.messages import idempotency
from plexstream.model.messages.address import type_of
from plexstream.model.process.alike import filled, of_kind
from plexstream.processor.state.collections import Collections
from plexstream.processor.state.core import Core
from plexstream.processor.state.histories.histories import Codec, Histories
from plexstream.processor.state.histories.history import is_note
from plexstream.processor.state.histories.kept import (
    Kept,
    of_later,
    of_piece,
    outcome_of,
    piece_data,
    reply_key,
)
from plexstream.processor.state.ports import Due, PieceKey, Store
from plexstream.processor.state.unsaved import Unsaved

_STEP = Piece.STEP.value
_ACTOR, _ENTRY, _REPLY, _TIMER = Piece.ACTOR.value, Piece.ENTRY.value, Piece.REPLY.value, Piece.TIMER.value
_OUT_TIMER, _OUT_CANCEL, _OUT_KEPT = OutKind.TIMER.value, OutKind.CANCEL.value, OutKind.KEPT.value


class Pieces:
    """The state of one partition.

    Parameters:
        store: what is on disk.
        split: takes the JSON object of an actor's fields apart, without decoding the values.
        reply_ttl: how long an outcome is kept for its idempotency key, in milliseconds.
        codec: how steps are stored, and the journal is read.
        result_ttl: how long that of a tell without a key is.

    Attributes:
        unread: what the store said where a handler read it, and may have caught it: nothing that comes of
            that is kept.
    """

    def __init__(
        self, store: Store, split: Any, reply_ttl: int, codec: Codec, result_ttl: int = 3_600_000
    ) -> None:
        self.store = store
        self._split = split
        self._reply_ttl = reply_ttl
        self._result_ttl = result_ttl
        self.codec = codec
        self.histories = Histories(store, codec)
        self.cores: dict[str, Core] = {}
        self.dirty_cores: dict[str, Core] = {}
        self.dirty: dict[PieceKey, Snapshot | None] = {}
        self.dirty_bytes = 0
        self.ahead: dict[PieceKey, Change | Turn | Step | Out] = {}
        self.collections = Collections(store, self.dirty, self.ahead)
        self._timers_more = 0  # than the store has
        self.unread: StoreCorrupt | StoreUnavailable | None = None
        self.unsaved = Unsaved(store, self.cores, self.core, self._newest)

    # Reading

    def core(self, address: str) -> Core:
        """The actor's plain fields; an empty core with turn number 0 where it never had a turn."""
        core = self.cores.get(address)
        if core is None:
            found = self.store.get((_ACTOR, address, "", None))
            if found is None:
                core = Core(address, of_kind(type_of(address))(), -1, 0, 0)
            else:
                fields = filled(of_kind(type_of(address))(), self._split(found.data))
                core = Core(address, fields, found.offset, found.seq, found.time)
            self.cores[address] = core
        return core

    def entry(self, key: PieceKey) -> bytes | None:
        """The newest value of a collection entry, be it acknowledged or not."""
        return self.collections.entry(key)

    def promise(self, address: str, field: str, name: str) -> bytes | None:
        """What a promise of an actor has come to, be it acknowledged or not."""
        return self.entry((_ENTRY, address, field, name))

    def base(self, address: str, fields: list[Change], patch: Sequence[Change] = ()) -> list[Change]:
        """The whole state of an actor from its plain fields and its entries, with `patch` on top of these."""
        entries = {(f, k): value for f, k, value in self.collections.of_actor(address)}
        for field, key, value in patch:
            if key is not None and value is None:
                entries.pop((field, key), None)
            elif key is not None and value is not None:
                entries[field, key] = value
        return [*fields, *(Change(f, k, value) for (f, k), value in entries.items())]

    def outcome(self, address: str, name: str, now: int) -> Kept | None:
        """What is kept of a call under the name of its handler and key, be it acknowledged or not."""
        key = (_REPLY, address, name, None)
        turn = self.ahead.get(key)
        if turn is not None:
            if type(turn) is Out:
                return of_later(turn)
            assert type(turn) is Turn or type(turn) is Step
            return outcome_of(turn)
        piece = self.dirty[key] if key in self.dirty else self.store.get(key)
        return None if piece is None or piece.time <= now else of_piece(piece)

    # Changing

    def run_ahead(self, turn: Turn | Step) -> None:
        """A turn was executed and is on its way to the log: later turns see its entries and its reply."""
        for change in turn.patch:
            if change.key is not None:
                self.ahead[_ENTRY, turn.actor, change.field, change.key] = change
                self.collections.note(turn.actor, change.field, change.key, change.value is not None)
        if turn.idempotency_key:
            self.ahead[reply_key(turn)] = turn
        if turn.cause_topic == "timer":
            self.ahead[_TIMER, turn.sender, turn.message_id, None] = turn
        for out in turn.outs:
            if out.kind == _OUT_TIMER or out.kind == _OUT_CANCEL:
                self.ahead[_TIMER, turn.actor, out.id, None] = out
            elif out.kind == _OUT_KEPT and out.id:
                self.ahead[_REPLY, turn.actor, out.id, None] = out

    def apply(self, offset: int, turn: Turn | Step) -> None:
        """A turn or a step counts: fold it. The log has it."""
        actor, patch = turn.actor, turn.patch
        done = turn.status == DONE
        changes = done or bool(patch)  # a failure may end the actor's life
        if type(turn) is Step:
            done = True  # no number names two invocations
            self.dirty_bytes += _size(turn)
            changes = changes or turn.begin is not None
            new, gone, forgotten = self.histories.take(offset, turn)
            for piece in gone:
                self._drop(offset, piece)
            for piece in forgotten:
                self.unsaved.pieces.pop(piece, None)
            if new is not None:
                self.unsaved.pieces.setdefault(new, offset)
        if changes:
            core = self.cores.get(actor) or self.core(actor)
            fields = core.fields
            if turn.fresh:
                fields.clear()
            for change in patch:
                field, key, value = change
                if key is not None:
                    self._apply_entry(offset, turn, change)
                elif value is None:
                    fields.pop(field, None)
                else:
                    fields[field] = value
            if done:
                core.seq = turn.seq
                if type(turn) is not Step or not is_note(turn):  # what only takes note keeps no state alive
                    core.time = turn.time
            core.offset = offset
            if not core.noted:
                core.noted = True
                self.dirty_cores[actor] = core
                self.unsaved.cores.setdefault(actor, offset)
        if turn.cause_topic == "timer":  # first: the turn may set it anew
            self._set_timer(offset, (_TIMER, turn.sender, turn.message_id, None), None, turn)
        for out in turn.outs:
            if out.kind == _OUT_TIMER:
                timer = timer_piece(actor, out, offset, turn.seq)
                self._set_timer(offset, (_TIMER, actor, out.id, None), timer, out)
            elif out.kind == _OUT_CANCEL:
                self._set_timer(offset, (_TIMER, actor, out.id, None), None, out)
            elif out.kind == _OUT_KEPT and out.id:
                until = turn.time + self._reply_ttl
                self._keep(offset, (_REPLY, actor, out.id, None), of_later(out), until, out)
        if turn.idempotency_key:
            self._keep_reply(offset, turn)

    def _apply_entry(self, offset: int, turn: Turn | Step, change: Change) -> None:
        key = (_ENTRY, turn.actor, change.field, change.key)
        newer = self.ahead.get(key)
        if newer is change:
            del self.ahead[key]
        elif newer is None:
            self.collections.note(turn.actor, change.field, change.key or "", change.value is not None)
        if change.value is None:
            self._drop(offset, key)
        else:
            self._put(
                offset,
                Snapshot(
                    _ENTRY, turn.actor, change.field, change.key, offset, turn.seq, turn.time, change.value
                ),
            )

    def _keep_reply(self, offset: int, turn: Turn | Step) -> None:
        ttl = self._reply_ttl if idempotency.has_key(turn.idempotency_key) else self._result_ttl
        self._keep(offset, reply_key(turn), outcome_of(turn), turn.time + ttl, turn)

    def _keep(self, offset: int, key: PieceKey, kept: Kept, until: int, by: Turn | Step | Out) -> None:
        if self.ahead.get(key) is by:
            del self.ahead[key]
        self._put(offset, Snapshot(*key, offset, kept.kind, until, piece_data(kept)))

    def _set_timer(self, offset: int, key: PieceKey, timer: Snapshot | None, by: Turn | Step | Out) -> None:
        if self.ahead.get(key) is by:
            del self.ahead[key]
        self._timers_more += (timer is not None) - (self.timer(key[1], key[2]) is not None)
        if timer is None:
            self._drop(offset, key)
        else:
            self._put(offset, timer)

    def _put(self, offset: int, piece: Snapshot) -> None:
        key = (piece.kind, piece.address, piece.name, piece.key)
        self.dirty[key] = piece
        self.dirty_bytes += len(piece.data)
        self.unsaved.pieces.setdefault(key, offset)

    def _drop(self, offset: int, key: PieceKey) -> None:
        self.dirty[key] = None
        self.unsaved.pieces.setdefault(key, offset)

    # Flushing and saving

    def flush(self, *sums: Snapshot) -> None:
        """Write what is acknowledged to the store, together with pieces that say what it reflects."""
        batch = dict(self.dirty)  # as it is, where the store takes nothing now
        for address, core in self.dirty_cores.items():
            batch[_ACTOR, address, "", None] = core.snapshot()
        for key in self.histories.dirty:
            batch[key] = self.histories.piece(key)
        batch.update(((piece.kind, piece.address, piece.name, piece.key), piece) for piece in sums)
        self.store.write(batch)
        for core in self.dirty_cores.values():
            core.noted = False
        self._timers_more = 0
        written, self.dirty = self.dirty, {}
        self.collections.flushed(written, self.dirty)
        self.dirty_cores = {}
        self.dirty_bytes = 0
        self.histories.flushed()

    def forget_clean(self, keep: int) -> None:
        """Drop acknowledged fields that are in the store, beyond `keep` of them."""
        spare = len(self.cores) - keep
        if spare > 0:
            clean = (a for a in self.cores if a not in self.dirty_cores)
            for address in list(islice(clean, spare)):
                del self.cores[address]

    def _newest(self, key: PieceKey) -> Snapshot | None:
        if key[0] == _STEP and key in self.histories.dirty:
            return self.histories.save(key)
        return self.dirty[key] if key in self.dirty else self.store.get(key)

    def expired_replies(self, now: int, limit: int) -> Iterator[PieceKey | None]:
        """Keys of kept replies that have expired; None after each `limit` pieces looked at."""
        for count, piece in enumerate(self.store.scan(_REPLY)):
            if piece.time <= now:
                yield (_REPLY, piece.address, piece.name, None)
            if count % limit == limit - 1:
                yield None

    def forget_reply(self, key: PieceKey, offset: int, now: int) -> None:
        """Drop an expired reply. Not a matter of the journal: whoever reads it checks the time."""
        piece = self.dirty.get(key)
        if piece is None or piece.time <= now:
            self._drop(offset, key)

    # Timers

    def timer(self, actor: str, id: str) -> Snapshot | None:
        """A timer that is pending, as of the latest acknowledged turn."""
        key = (_TIMER, actor, id, None)
        return self.dirty[key] if key in self.dirty else self.store.get(key)

    def newest_timer(self, actor: str, id: str) -> Snapshot | None:
        """The same, as of the latest turn, be it acknowledged or not."""
        newer = self.ahead.get((_TIMER, actor, id, None))
        if newer is None:
            return self.timer(actor, id)
        if type(newer) is Out and newer.kind == _OUT_TIMER:
            return timer_piece(actor, newer, -1, 0)
        return None

    def timers_of(self, actor: str) -> Iterator[Snapshot]:
        """All timers of an actor that are pending, as of the latest turn."""
        ids = dict.fromkeys(piece.name for piece in self.store.scan(_TIMER, actor))
        for layer in (self.dirty, self.ahead):
            ids.update((key[2], None) for key in layer if key[0] == _TIMER and key[1] == actor)
        for id in ids:
            if (timer := self.newest_timer(actor, id)) is not None:
                yield timer

    def touched(self, actor: str, id: str) -> bool:
        """Whether a turn that is not acknowledged has set it, taken it back, or was caused by it."""
        return (_TIMER, actor, id, None) in self.ahead

    def unflushed_timers(self) -> Iterator[Due]:
        """Pending timers that the store does not have yet, in no order."""
        for key, piece in self.dirty.items():
            if key[0] == _TIMER and piece is not None:
                yield piece.time, piece.address, piece.name

    @property
    def pending_timers(self) -> int:
        """How many timers are pending."""
        return self.store.timers() + self._timers_more


def _size(step: Step) -> int:
    size = 200 + sum([len(c.value) for c in step.completions])
    return size + len(step.begin.payload) if step.begin else size
