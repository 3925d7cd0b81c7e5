"""Calls that a later turn answers: who still waits is an entry of the actor's state, `CALLS`.

That of a call with an idempotency key names its outcome, whose entry in `KEYED` says who else waits for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from plexstream.model.journal.deferred import (
    CALLS,
    KEYED,
    SAME,
    SWEEP,
    TOLD,
    Deferred,
    Pending,
    call_name,
    decode_deferred,
    decode_pending,
    encode_deferred,
    is_there,
    read_call,
)
from plexstream.model.journal.journal import Change, Out, OutKind
from plexstream.model.journal.snapshot import Piece
from plexstream.model.messages import idempotency
from plexstream.model.messages.message import ASK
from plexstream.processor.journal.records import error_body, error_of
from plexstream.processor.state.histories.kept import is_kept, later_out
from plexstream.processor.state.pieces import Pieces

_ENTRY = Piece.ENTRY.value
_TELL, _REPLY, _ERROR, _LATER, _OVER = (
    k.value for k in (OutKind.TELL, OutKind.REPLY, OutKind.ERROR, OutKind.LATER, OutKind.OVER)
)
OUTS = frozenset((_REPLY, _ERROR, _LATER, _OVER))
"""Kinds of outs of a handler that `take` is for."""
BATCH = 1_000
"""Who is told of an actor's end by one turn, at most; but for those whose calls that very turn has left."""
BATCH_BYTES = 200_000


class Taken(NamedTuple):
    """What becomes of a handler's outs: those that leave, what its actor keeps, whether it answers later."""

    outs: list[Out]
    changes: list[Change]
    later: bool


class Moment(NamedTuple):
    """When a handler did what is taken, and for whom.

    Attributes:
        now: in ms since the Unix epoch.
        handler: what was called.
        number: of the turn or invocation.
        mark: of the call's idempotency key; empty where it has none.
        gone: who has asked has withdrawn already.
        turn: number of the actor's latest turn, this one included.
    """

    now: int
    handler: str = ""
    number: int = 0
    mark: str = ""
    gone: bool = False
    turn: int = 0


def take(pieces: Pieces, address: str, outs: list[Out], moment: Moment, all: bool = False) -> Taken:
    """Note the calls that a handler leaves to a later turn, and forget those that it answers.

    An answer to one that nobody waits for any more does not leave; with `all` it does, and nobody hears it:
    what a waiting handler sends is compared when it runs again. What a call with an idempotency key comes to
    is kept, and told to all who wait for it.
    """
    notes = _Notes(pieces, address)
    kept: list[Out] = []
    later = False
    for out in outs:
        if out.kind == _LATER:
            later = True
            outcome = idempotency.name(moment.handler, moment.mark) if moment.mark else ""
            notes.put(CALLS, out.id, encode_deferred(_left(out.key, moment, moment.handler, outcome)))
            if outcome:
                call = Pending(moment.handler, idempotency.digest_of(moment.mark), [out.id])
                notes.put(KEYED, outcome, json.dumps(call).encode())
        elif out.kind == _OVER:
            _answer(notes, out.id)
        elif out.kind in OUTS:
            name = call_name(out.id, out.target)
            data = notes.get(CALLS, name)
            entry = None if data is None else decode_deferred(data)
            if all or (entry is not None and is_there(name, entry, moment.now)):
                kept.append(out)
            if entry is not None:
                kept += _told_too(out, *_answer(notes, name), moment.now)
        else:
            kept.append(out)
    return Taken(kept, notes.changes(), later)


def _left(secret: str, moment: Moment, handler: str, outcome: str) -> Deferred:
    return Deferred(secret, moment.number, moment.now, handler, outcome, moment.gone, moment.turn)


class _Notes:
    """What one turn changes of an actor's calls, on top of what there was before."""

    def __init__(self, pieces: Pieces, address: str) -> None:
        self._pieces = pieces
        self._address = address
        self._changes: dict[tuple[str, str], Change] = {}

    def _before(self, field: str, key: str) -> bytes | None:
        return self._pieces.entry((_ENTRY, self._address, field, key))

    def get(self, field: str, key: str) -> bytes | None:
        here = self._changes.get((field, key))
        return self._before(field, key) if here is None else here.value

    def put(self, field: str, key: str, value: bytes) -> None:
        self._changes[field, key] = Change(field, key, value)

    def forget(self, field: str, key: str) -> None:
        self._changes.pop((field, key), None)
        if self._before(field, key) is not None:
            self._changes[field, key] = Change(field, key, None)

    def changes(self) -> list[Change]:
        return list(self._changes.values())


def _answer(notes: _Notes, name: str) -> tuple[str, Pending | None, dict[str, Deferred]]:
    """Forget a call that has its answer, and those who get the same: the outcome's name, what it is of, and
    who they are."""
    data = notes.get(CALLS, name)
    if data is None:
        return "", None, {}
    outcome = decode_deferred(data).outcome
    notes.forget(CALLS, name)
    keyed = notes.get(KEYED, outcome) if outcome else None
    if keyed is None or name not in (call := decode_pending(keyed)).calls:
        return "", None, {}
    notes.forget(KEYED, outcome)
    others: dict[str, Deferred] = {}
    for other in call.calls:
        found = notes.get(CALLS, other) if other not in (TOLD, name) else None
        if found is not None:
            notes.forget(CALLS, other)
            others[other] = decode_deferred(found)
    return outcome, call, others


def _told_too(
    out: Out, outcome: str, call: Pending | None, others: Mapping[str, Deferred], now: int
) -> list[Out]:
    """The same answer for all others who wait for it, and what is kept of it."""
    if call is None:
        return []
    outs = []
    for other, entry in others.items():
        if is_there(other, entry, now):
            id, reply_to = read_call(other)
            outs.append(out._replace(id=id, target=reply_to, note=SAME))
    if TOLD in call.calls or is_kept(ASK, "" if out.kind == _REPLY else error_of(out.payload)[0]):
        outs.append(later_out(outcome, call.digest, out.payload, out.kind == _ERROR))
    return outs


# Calls with an idempotency key


def pending(pieces: Pieces, address: str, outcome: str) -> Pending | None:
    """The call that is answered later and has an outcome of this name, if there is one."""
    data = pieces.entry((_ENTRY, address, KEYED, outcome))
    return None if data is None else decode_pending(data)


def joined(call: Pending, outcome: str, name: str, moment: Moment) -> list[Change]:
    """What an actor keeps where another call waits for the same outcome, by the outcome's name."""
    entry = _left("", moment, call.handler, outcome)
    more = call._replace(calls=list(dict.fromkeys([*call.calls, name])))
    return [
        Change(CALLS, name, encode_deferred(entry)), Change(KEYED, outcome, json.dumps(more).encode())
    ]  # fmt: skip


def told(call: Pending, outcome: str) -> list[Change]:
    """What an actor keeps where a tell came to the same: its sender may look for the outcome."""
    if TOLD in call.calls:
        return []
    return [Change(KEYED, outcome, json.dumps(call._replace(calls=[*call.calls, TOLD])).encode())]


# The end


class Ended(NamedTuple):
    """What an end makes of calls that nobody will answer any more: errors for who waits, and what is kept."""

    changes: list[Change]
    outs: list[Out]


def end_calls(
    pieces: Pieces, address: str, changed: Mapping[tuple[str, str], Change], why: str, bound: int,
    after: str = "",
) -> Ended:  # fmt: skip
    """Tell those who wait that they do in vain: so many as fit into a turn, the rest by a message to itself.

    No more entries are read than one turn may tell, and none by two turns: those of the next life, which are
    spared, count as well, and the message says how far all is done.

    Parameters:
        changed: what the ending turn itself changes of the actor's collections, by field and key.
        bound: number of the actor's latest turn before it ended; whose calls were left later is spared.
        after: name of the last call that the turn before this one has looked at; empty: none has.
    """
    notes = _Notes(pieces, address)
    new: dict[str, bytes] = {}
    for (field, key), change in changed.items():
        if field == CALLS and change.value is not None:
            new[key] = change.value
        elif field == KEYED and change.value is not None:
            notes.put(field, key, change.value)
    outs: list[Out] = []
    body = error_body("stopped", why, None)
    for name in sorted(new):
        outs += _end(notes, name, decode_deferred(new[name]), body, bound)
    seen, size, last = len(new), 0, after
    start = f"{after}\0" if after else ""
    for name, data in pieces.collections.entries(address, CALLS, start, chunk=BATCH + 1):
        if (CALLS, name) in changed:
            continue
        if seen >= BATCH or size > BATCH_BYTES:
            said = json.dumps({"number": bound, "after": last, "why": why}).encode()
            outs.append(Out(_TELL, "", address, SWEEP, said))
            break
        seen, last = seen + 1, name
        entry = decode_deferred(data)
        if entry.turn <= bound:
            size += len(name) + len(body)
            outs += _end(notes, name, entry, body, bound)
    return Ended([change for change in notes.changes() if change.value is None], outs)


def _end(notes: _Notes, name: str, entry: Deferred, body: bytes, bound: int) -> list[Out]:
    """Forget a call that nobody will answer. Who waits for the same outcome has no token, so all of those go,
    also who has asked in the next life; of a tell the outcome is kept, and asks may be tried again."""
    notes.forget(CALLS, name)
    outs = [] if entry.gone else [_error(name, body)]
    keyed = notes.get(KEYED, entry.outcome) if entry.outcome else None
    if keyed is None or name not in (call := decode_pending(keyed)).calls:
        return outs
    notes.forget(KEYED, entry.outcome)
    for other in call.calls:
        data = notes.get(CALLS, other) if other not in (TOLD, name) else None
        if data is not None and (joined := decode_deferred(data)).turn > bound:
            notes.forget(CALLS, other)
            outs += [] if joined.gone else [_error(other, body)]
    return [*outs, later_out(entry.outcome, call.digest, body, True)] if TOLD in call.calls else outs


def _error(name: str, body: bytes) -> Out:
    id, reply_to = read_call(name)
    return Out(_ERROR, id, reply_to, "", body)
