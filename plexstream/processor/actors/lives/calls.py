"""Calls that a later turn answers: who still waits is an entry of the actor's state, `CALLS`.

That of a call with an idempotency key names its outcome, whose entry in `KEYED` says who else waits for it.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from plexstream.model.journal.journal import Change, Out, OutKind
from plexstream.model.journal.life import CALLS, KEYED, SAME, call_name, read_call
from plexstream.model.journal.snapshot import Piece
from plexstream.model.messages import idempotency
from plexstream.model.messages.message import ASK
from plexstream.processor.journal.records import error_body, error_of
from plexstream.processor.state.histories.kept import is_kept, later_out
from plexstream.processor.state.pieces import Pieces

_ENTRY = Piece.ENTRY.value
_REPLY, _ERROR, _LATER = OutKind.REPLY.value, OutKind.ERROR.value, OutKind.LATER.value
OUTS = frozenset((_REPLY, _ERROR, _LATER))
"""Kinds of outs of a handler that `take` is for."""
_SET = b"true"
TOLD = ""


class Taken(NamedTuple):
    """What becomes of a handler's outs: those that leave, what its actor keeps, whether it answers later."""

    outs: list[Out]
    changes: list[Change]
    later: bool


class Pending(NamedTuple):
    """A call with an idempotency key that is answered later: its handler, the digest of its arguments, and
    the names of all calls that get its answer; `TOLD` among them, where tells were as well."""

    handler: str
    digest: str
    calls: list[str]

    def joined(self, outcome: str, call: str) -> list[Change]:
        """What an actor keeps where another call waits for the same outcome, by the outcome's name."""
        return _waits(self._replace(calls=list(dict.fromkeys([*self.calls, call]))), outcome, call)


    def told(self, outcome: str) -> list[Change]:
        """What an actor keeps where a tell came to the same: its sender may look for the outcome."""
        if TOLD in self.calls:
            return []
        return [Change(KEYED, outcome, json.dumps(self._replace(calls=[*self.calls, TOLD])).encode())]


def pending(pieces: Pieces, address: str, outcome: str) -> Pending | None:
    """The call that is answered later and has an outcome of this name, if there is one."""
    data = pieces.entry((_ENTRY, address, KEYED, outcome))
    return None if data is None else Pending(*json.loads(data))


def _waits(call: Pending, outcome: str, name: str) -> list[Change]:
    return [
        Change(CALLS, name, json.dumps(outcome).encode()), Change(KEYED, outcome, json.dumps(call).encode())
    ]  # fmt: skip


def take(
    pieces: Pieces, address: str, outs: list[Out], handler: str = "", mark: str = "", all: bool = False
) -> Taken:
    """Note the calls that a handler leaves to a later turn, and forget those that it answers.

    An answer to one that nobody waits for any more does not leave; with `all` it does, and nobody hears it:
    what a waiting handler sends is compared when it runs again. What a call with an idempotency key comes to
    is kept, and told to all who wait for it.

    Parameters:
        handler: what was called.
        mark: of the call's idempotency key; empty where it has none.
    """
    changes: dict[tuple[str, str], Change] = {}
    kept: list[Out] = []
    later = False

    def known(field: str, key: str) -> bytes | None:
        here = changes.get((field, key))
        return pieces.entry((_ENTRY, address, field, key)) if here is None else here.value

    def forget(field: str, key: str) -> None:
        changes.pop((field, key), None)
        if pieces.entry((_ENTRY, address, field, key)) is not None:
            changes[field, key] = Change(field, key, None)

    for out in outs:
        if out.kind == _LATER:
            later = True
            noted = [Change(CALLS, out.id, _SET)]
            if mark:
                call = Pending(handler, idempotency.digest_of(mark), [out.id])
                noted = _waits(call, idempotency.name(handler, mark), out.id)
            changes.update({(c.field, c.key or ""): c for c in noted})
            continue
        if out.kind != _REPLY and out.kind != _ERROR:
            kept.append(out)
            continue
        name = call_name(out.id, out.target)
        value = known(CALLS, name)
        if value is not None or all:
            kept.append(out)
        if value is None:
            continue
        forget(CALLS, name)
        outcome = "" if value == _SET else json.loads(value)
        data = known(KEYED, outcome) if outcome else None
        if data is None:
            continue
        forget(KEYED, outcome)
        call = Pending(*json.loads(data))
        for other in call.calls:
            if other != name and known(CALLS, other) is not None:
                forget(CALLS, other)
                id, reply_to = read_call(other)
                kept.append(out._replace(id=id, target=reply_to, note=SAME))
        if TOLD in call.calls or is_kept(ASK, "" if out.kind == _REPLY else error_of(out.payload)[0]):
            kept.append(later_out(outcome, call.digest, out.payload, out.kind == _ERROR))
    return Taken(kept, list(changes.values()), later)


def unanswered_outcome(outcome: str, data: bytes, why: str) -> list[Out]:
    """What a tell comes to that found a call which nobody will answer any more."""
    call = Pending(*json.loads(data))
    if TOLD not in call.calls:
        return []  # asks may be tried again
    return [later_out(outcome, call.digest, error_body("stopped", why, None), True)]


def unanswered(name: str, why: str) -> Out:
    """What a caller hears whose call nobody will answer any more."""
    id, reply_to = read_call(name)
    return Out(_ERROR, id, reply_to, "", error_body("stopped", why, None))
