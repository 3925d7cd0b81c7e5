"""What is kept for idempotency keys, worked out anew from the turns that count."""

from __future__ import annotations

import json

from plexstream.model.journal.journal import Out, OutKind, Step, Turn
from plexstream.model.messages import idempotency
from plexstream.model.messages.message import ASK, ERROR, REPLY, Envelope
from plexstream.testing.simulation.errors import Violation

_ANSWER = {int(OutKind.REPLY): REPLY, int(OutKind.ERROR): ERROR}
_Key = tuple[str, str]  # actor, and the name of the outcome


class Keyed:
    """The outcomes that one partition keeps, each once: of this turn's message, or of an earlier one's."""

    def __init__(self) -> None:
        self._kept: dict[_Key, tuple[int, bytes, str]] = {}

    def of(self, e: Envelope) -> tuple[int, bytes] | None:
        """What a message with a key is answered, where its outcome is kept."""
        if not e.idempotency_key:
            return None
        found = self._kept.get(_place(e.target, e.handler, e.idempotency_key))
        if found is None or found[2] != idempotency.digest(e.payload):
            return None
        return found[:2]

    def conflicts(self, e: Envelope) -> bool:
        """Whether the key of a message was used with other arguments."""
        found = self._kept.get(_place(e.target, e.handler, e.idempotency_key))
        return found is not None and found[2] != idempotency.digest(e.payload)

    def without(self, t: Turn | Step) -> tuple[Turn | Step, Out | None]:
        """A turn without what it keeps and tells nobody, and that, where it is of its own message."""
        kept = [out for out in t.outs if out.kind == OutKind.KEPT]
        own = [out for out in kept if not out.id]
        _claim_that(len(own) <= (1 if t.idempotency_key else 0), f"it keeps {kept}")
        for out in kept:
            if out.id:  # of a call that an earlier turn has left
                _claim_that((t.actor, out.id) not in self._kept, "a key takes effect twice")
                self._kept[t.actor, out.id] = (ERROR if out.key else REPLY, out.payload, out.target)
        t = t._replace(outs=[o for o in t.outs if o not in kept]) if kept else t
        return t, own[0] if own else None

    def keep(self, t: Turn | Step, kept: Out | None, e: Envelope | None) -> None:
        """Note what a turn with a key came to; `e`: its message, where that is known."""
        key, _, digest = t.idempotency_key.rpartition("\0")
        place = _place(t.actor, t.handler, key)
        _claim_that(place not in self._kept, "a key takes effect twice")
        if e is not None:
            mark = f"{e.idempotency_key}\0{idempotency.digest(e.payload)}"
            _claim_that(t.idempotency_key == mark, f"another idempotency key than {mark!r}")
        dead = [out.key for out in t.outs if out.kind == OutKind.DEADLETTER]
        if kept is not None and kept.key:
            _claim_that(dead in ([], [json.loads(kept.payload)["code"]]), f"it keeps another failure, {kept}")
        said = [(kind, o.payload) for o in t.outs if (kind := _ANSWER.get(o.kind))]
        if kept is not None:
            said = [(ERROR if kept.key else REPLY, kept.payload)]
        _claim_that(bool(said) or not dead, "a failure is not kept")
        self._kept[place] = (*(said[-1] if said else (REPLY, b"null")), digest)

    def state(self) -> dict[str, tuple[int, bytes]]:
        """What a store must hold of it."""
        return {
            f"{actor} {name}": (kind, digest.encode() + b"\0" + payload)
            for (actor, name), (kind, payload, digest) in sorted(self._kept.items())
        }


def _place(actor: str, handler: str, key: str) -> _Key:
    return actor, idempotency.name(handler, key)


def result_of(kept: Out | None) -> object:
    """What a tell has kept as its result."""
    return None if kept is None else json.loads(kept.payload)


def is_keyed_tell(t: Turn | Step, e: Envelope) -> bool:
    """Whether what a turn came to is told to nobody, and kept."""
    return bool(t.idempotency_key) and e.kind != ASK


def _claim_that(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Violation(otherwise)
