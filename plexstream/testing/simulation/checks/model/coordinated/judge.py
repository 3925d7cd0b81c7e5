"""Reads the turns of one partition's system actors, in the order of the journal."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Protocol

from plexstream.model.journal.deferred import WITHDRAW, call_name
from plexstream.model.journal.journal import DONE, REJECTED, OutKind, Step, Turn
from plexstream.model.messages import idempotency
from plexstream.model.messages.message import ASK, Envelope
from plexstream.processor.waiting.course.reach import REACHES
from plexstream.testing.simulation.checks.model.coordinated.handled import (
    Answer,
    Handled,
    Line,
    claim_that,
)
from plexstream.testing.simulation.checks.model.coordinated.kv import KeyValue
from plexstream.testing.simulation.checks.model.coordinated.lock import Lock
from plexstream.testing.simulation.checks.model.coordinated.queue import Queue
from plexstream.testing.simulation.checks.model.coordinated.space import Space

_BLAMELESS = ("poisoned", "bad_arguments", idempotency.CONFLICT)
"""Codes of failures that are none of the actor's."""


class Noun(Protocol):
    """A system actor as it ought to be.

    Attributes:
        line: those who wait for it, all of them.
    """

    line: Line

    def take(self, h: Handled) -> None:
        """A turn that ended well. Raises Violation."""

    def refused(self, h: Handled) -> None:
        """One that was rejected, which changes nothing. Raises Violation: it should not be."""


_NOUNS: dict[str, type[Any]] = {
    "plex.kv": KeyValue,
    "plex.lock": Lock,
    "plex.queue": Queue,
    "plex.space": Space,
}


class Judge:
    """Judges each actor by its model.

    Attributes:
        nouns: by address.
        hits: what happened how often.
    """

    def __init__(self) -> None:
        self.nouns: dict[str, Any] = {}
        self.hits: Counter[str] = Counter()
        self._left: dict[tuple[str, str, str], str] = {}  # by actor, handler and key: the call that waits
        self._gone: set[str] = set()  # calls that were withdrawn before they were left

    def noun(self, address: str) -> Any:
        """The model of an actor."""
        found = self.nouns.get(address)
        if found is None:
            found = self.nouns[address] = _NOUNS[kind_of(address)]()
        return found

    def waits(self, e: Envelope) -> bool:
        """Whether a message repeats a call that is still to be answered."""
        return (e.target, e.handler, e.idempotency_key) in self._left

    def saw(self, e: Envelope, view: Any) -> bool:
        """Whether a read could ever tell this."""
        told = Handled(e.handler, json.loads(e.payload), "", e.id, 0, [])
        found: bool = self.noun(e.target).saw(told, view)
        return found

    def alarm(self, t: Turn | Step) -> None:
        """A turn of its alarm. Raises Violation."""
        if t.status == DONE:
            self._take(t, Handled("__alarm__", {}, "", "", t.time, _answers(t)))
            return
        codes = {out.key for out in t.outs if out.kind == OutKind.DEADLETTER}
        claim_that(codes == {"poisoned"}, f"an alarm fails: {codes}")

    def take(self, t: Turn | Step, e: Envelope) -> bool:
        """A turn for a message; whether it took effect. Raises Violation."""
        if e.handler == WITHDRAW or e.handler in REACHES:
            self._withdraw(t.actor, call_name(json.loads(e.payload).get("ask", ""), e.sender))
            return False
        if self.waits(e):
            claim_that(t.status != DONE or not t.outs, f"a repetition is answered: {t.outs}")
            return False
        call = call_name(e.id, e.reply_to) if e.kind == ASK else ""
        if t.status not in (DONE, REJECTED):
            codes = {json.loads(o.payload)["code"] for o in t.outs if o.kind == OutKind.ERROR}
            codes |= {out.key for out in t.outs if out.kind == OutKind.DEADLETTER}
            claim_that(codes <= set(_BLAMELESS), f"a system actor fails: {t.outs}")
            return False
        handled = Handled(e.handler, json.loads(e.payload), call, e.id, t.time, _answers(t))
        if t.status == REJECTED:
            self.noun(t.actor).refused(handled)
            self.hits["a system actor refuses"] += 1
            return False
        self._take(t, handled)
        waiter = self.noun(t.actor).line.find(call) if call else None
        if waiter is not None:
            waiter.gone = call in self._gone
            self.hits["a call waits for its answer"] += 1
            if e.idempotency_key:
                self._left[t.actor, e.handler, e.idempotency_key] = call
        return True

    def _take(self, t: Turn | Step, h: Handled) -> None:
        self.noun(t.actor).take(h)
        answered = {answer.call for answer in h.answers} - {h.call}
        if answered:
            self._left = {key: call for key, call in self._left.items() if call not in answered}
            self.hits["a later turn answers"] += len(answered)

    def _withdraw(self, address: str, call: str) -> None:
        waiter = self.noun(address).line.find(call)
        if waiter is None:
            self._gone.add(call)
        else:
            waiter.gone = True
            self.hits["a call that waits is withdrawn"] += 1


def kind_of(address: str) -> str:
    """The name of an actor's type."""
    return address.split("/")[2]


def is_coordinated(address: str) -> bool:
    """Whether an actor is judged here."""
    return "/plex." in address and kind_of(address) in _NOUNS


def _answers(t: Turn | Step) -> list[Answer]:
    return [
        Answer(call_name(o.id, o.target), o.kind == OutKind.ERROR, json.loads(o.payload))
        for o in t.outs if o.kind in (OutKind.REPLY, OutKind.ERROR)
    ]  # fmt: skip
