"""What calls came to, kept for their idempotency keys: as a turn on its way to the log, then as a piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from plexstream.model.journal.journal import MEANWHILE, Out, OutKind, Step, Turn
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.model.messages.idempotency import CONFLICT, digest_of, name
from plexstream.model.messages.message import ASK, ERROR, REPLY, TELL
from plexstream.processor.state.ports import PieceKey

_PIECE = Piece.REPLY.value
_REPLY, _ERROR, _KEPT = OutKind.REPLY.value, OutKind.ERROR.value, OutKind.KEPT.value


class Kept(NamedTuple):
    """An outcome: REPLY with a result's JSON, or ERROR with an ErrorBody; the digest of the arguments."""

    kind: int
    payload: bytes
    digest: str


OVERLOADED = "overloaded"


def is_kept(kind: int, code: str) -> bool:
    """Whether what a call came to is kept: not where an ask may be tried again, nor over that of another."""
    return code not in (CONFLICT, OVERLOADED) and (kind == TELL or code in ("", "rejected"))


def kept_out(payload: bytes, failed: bool) -> Out:
    """Carries what a tell came to into the journal: its result, or an ErrorBody where it has `failed`."""
    return Out(_KEPT, "", "", "", payload, "error" if failed else "")


def later_out(name: str, digest: str, payload: bytes, failed: bool) -> Out:
    """The same of a call that an earlier turn has left, by the name of its outcome."""
    return Out(_KEPT, name, digest, "", payload, "error" if failed else "")


def of_later(out: Out) -> Kept:
    """The inverse."""
    return Kept(ERROR if out.key else REPLY, out.payload, out.target)


def of_others(out: Out) -> bool:
    """Whether an out carries what another turn's call came to."""
    return out.kind == _KEPT and out.id != ""


def result_out(kind: int, key: str, value: bytes, beside: Sequence[Out] = ()) -> list[Out]:
    """The same for a result, which need not be said where it is null and nothing `beside` it is an answer."""
    if not key or kind != TELL:
        return []
    said = value != b"null" or any(out.kind == _REPLY or out.kind == _ERROR for out in beside)
    return [kept_out(value, False)] if said else []


def answer_out(outcome: Kept, kind: int, id: str, reply_to: str) -> list[Out]:
    """What an outcome says to another call of its kind; nothing, to one that is no ask."""
    if kind != ASK:
        return []
    return [Out(_REPLY if outcome.kind == REPLY else _ERROR, id, reply_to, "", outcome.payload)]


def outcome_of(turn: Turn | Step) -> Kept:
    """What a turn or a last step came to: null where it says nothing.

    The last step of a handler may also answer the message that let it go on, which is not its reply.
    """
    digest = digest_of(turn.idempotency_key)
    if type(turn) is Turn:
        return outcome_among(turn.outs, ASK, turn.message_id, digest)
    other = None
    if turn.status != MEANWHILE:
        begun_by = None if turn.begin is None else turn.begin.id  # type: ignore[union-attr]
        other = turn.message_id if turn.message_id != begun_by else None
    return _said([out for out in turn.outs if out.kind == _KEPT or out.id != other], digest)


def outcome_among(outs: Sequence[Out], kind: int, id: str, digest: str = "") -> Kept:
    """The same, among what leaves with the end of a message of this kind and id."""
    own = [out for out in outs if out.kind == _KEPT or (kind == ASK and out.id == id)]
    return _said(own, digest)


def _said(outs: list[Out], digest: str) -> Kept:
    kind, payload = REPLY, b"null"
    for out in outs:  # the last answer: before it, those that the handler has given to earlier calls
        if out.kind == _KEPT and not out.id:
            return Kept(ERROR if out.key else REPLY, out.payload, digest)
        if out.kind == _REPLY or out.kind == _ERROR:
            kind, payload = (REPLY if out.kind == _REPLY else ERROR), out.payload
    return Kept(kind, payload, digest)


def piece_data(outcome: Kept) -> bytes:
    """An outcome as the data of a piece, whose `seq` is its kind."""
    return b"%b\0%b" % (outcome.digest.encode(), outcome.payload)


def of_piece(piece: Snapshot) -> Kept:
    """The inverse."""
    digest, _, payload = piece.data.partition(b"\0")
    return Kept(piece.seq, payload, digest.decode())


def reply_key(turn: Turn | Step) -> PieceKey:
    """The key of what a turn came to."""
    return (_PIECE, turn.actor, name(turn.handler, turn.idempotency_key), None)
