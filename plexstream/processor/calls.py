"""Calls that a later turn answers: who still waits is an entry of the actor's state, `CALLS`."""

from __future__ import annotations

from typing import NamedTuple

from plexstream.model.journal import Change, Out, OutKind
from plexstream.model.life import CALLS, call_name, read_call
from plexstream.model.snapshot import Piece
from plexstream.processor.pieces import Pieces
from plexstream.processor.records import error_body

_ENTRY = Piece.ENTRY.value
_REPLY, _ERROR, _LATER = OutKind.REPLY.value, OutKind.ERROR.value, OutKind.LATER.value
OUTS = frozenset((_REPLY, _ERROR, _LATER))
"""Kinds of outs of a handler that `take` is for."""
_SET = b"true"


class Taken(NamedTuple):
    """What becomes of a handler's outs: those that leave, what its actor keeps, whether it answers later."""

    outs: list[Out]
    changes: list[Change]
    later: bool


def take(pieces: Pieces, address: str, outs: list[Out], all: bool = False) -> Taken:
    """Note the calls that a handler leaves to a later turn, and forget those that it answers.

    An answer to one that nobody waits for any more does not leave; with `all` it does, and nobody hears it:
    what a waiting handler sends is compared when it runs again.
    """
    changes: dict[str, Change] = {}
    kept: list[Out] = []
    later = False
    for out in outs:
        if out.kind == _LATER:
            later = True
            changes[out.id] = Change(CALLS, out.id, _SET)
            continue
        if out.kind == _REPLY or out.kind == _ERROR:
            name = call_name(out.id, out.target)
            known = pieces.entry((_ENTRY, address, CALLS, name)) is not None
            here = changes.pop(name, None)
            if known:
                changes[name] = Change(CALLS, name, None)
            waits = known if here is None else here.value is not None
            if not (waits or all):
                continue
        kept.append(out)
    return Taken(kept, list(changes.values()), later)


def unanswered(name: str, why: str) -> Out:
    """What a caller hears whose call nobody will answer any more."""
    id, reply_to = read_call(name)
    return Out(_ERROR, id, reply_to, "", error_body("stopped", why, None))
