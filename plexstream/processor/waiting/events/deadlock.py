"""Actors that wait for each other in a circle, found by messages that follow the asks (edge chasing).

An ask that reaches an actor of its own chain is refused at once. A circle of several chains (A asks B while
B asks A) shows nowhere in one place: so an ask that has waited for a while sends a probe along what its
target's handler waits for, but not where the answer is left to a later turn. A probe that comes back to the
handler that asked has found a circle, and that ask fails; of all asks in a circle that wait in a queue only
that of the handler whose name comes first, so that the others go on. One that is being executed waits in no
queue, and sends no probes.

K. M. Chandy, J. Misra, L. M. Haas: Distributed Deadlock Detection. ACM TOCS 1 (1983). Probes are not
journaled: one that is lost is sent again after the next while.
"""

from __future__ import annotations

import json
from typing import Any

from plexstream.model.journal.deferred import CALLS, call_name
from plexstream.model.journal.journal import CommandKind
from plexstream.model.journal.snapshot import Piece
from plexstream.model.messages.message import ASK, TELL, Envelope
from plexstream.model.messages.text import taken_apart
from plexstream.processor.actors.actor import Actor
from plexstream.processor.actors.refusals import Refusals
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.records import Answer
from plexstream.processor.waiting.course.endings import Endings
from plexstream.processor.waiting.course.reach import question
from plexstream.processor.waiting.course.roster import Roster
from plexstream.processor.waiting.invocation.invocation import PARKED, Cause, holder_of, no_cause

PROBE, FOUND = "$probe", "$deadlock"
_ASK, _ENTRY = CommandKind.ASK.value, Piece.ENTRY.value
_MAX_CHAIN = 64


class Deadlocks:
    """Looks for circles, and breaks them."""

    def __init__(self, ledger: Ledger, refusals: Refusals, roster: Roster, endings: Endings) -> None:
        self._ledger = ledger
        self._refusals = refusals
        self._roster = roster
        self._endings = endings
        roster.on_crowd = self.look

    def look(self, actor: Actor) -> None:
        """Send probes for the asks that wait for an actor's waiting handler."""
        holder = actor.holder
        if holder is None or actor.queue is None:
            return
        targets = _asked(actor)
        if not targets:
            return
        for waiting in actor.queue:
            e = waiting.envelope
            asker = _asker(e)
            if asker:
                passed = [asker, holder.reference()]
                body = {"chain": passed, "victim": actor.address, "ask": e.id}
                for target, asks in targets.items():
                    self._send(actor, target, PROBE, {**body, "asks": asks})

    def probe(self, actor: Actor, cause: Cause, e: Envelope, body: dict[str, Any]) -> None:
        """A probe has come: it ends here, goes on, or has found a circle."""
        self._ledger.inbox.finish(cause.offset)
        chain, holder = body.get("chain"), actor.holder
        if holder is None or not e.sender or not isinstance(chain, list) or not 0 < len(chain) <= _MAX_CHAIN:
            return
        if self._all_deferred(actor, e.sender, body.get("asks")):
            return
        least = str(body.get("least", chain[0]))
        if any(_asker(waiting.envelope) == chain[-1] for waiting in actor.queue or ()):
            least = min(least, str(chain[-1]))
        if holder.reference() in chain:
            if chain[0] == holder.reference() == least:
                self._send(actor, str(body.get("victim")), FOUND, {**body, "chain": [*chain, chain[0]]})
            return
        for target, asks in _asked(actor).items():
            passed = [*chain, holder.reference()]
            self._send(actor, target, PROBE, {**body, "chain": passed, "least": least, "asks": asks})

    def _all_deferred(self, actor: Actor, sender: str, asks: object) -> bool:
        """Whether a later turn is to answer all that is asked: who has the token may end that wait."""
        entry = self._ledger.pieces.entry
        return isinstance(asks, list) and all(
            entry((_ENTRY, actor.address, CALLS, call_name(str(ask), sender))) is not None for ask in asks
        )

    def found(self, actor: Actor, cause: Cause, e: Envelope, body: dict[str, Any]) -> None:
        """An ask that waits here waits for itself: it fails, which lets the others go on."""
        self._ledger.inbox.finish(cause.offset)
        if actor.queue is None or actor.holder is None or not e.sender:
            return
        for waiting in actor.queue:
            if waiting.envelope.id == body.get("ask") and waiting.envelope.kind == ASK:
                actor.queue.remove(waiting)
                chain = " -> ".join(map(str, body.get("chain", ())))
                detail = f"{actor.address} is asked by what it waits for: {chain}"
                if waiting.topic == PARKED:
                    inv = self._roster.live.get(actor.address, {}).get(waiting.parked)
                    if inv is not None:
                        self._endings.kill(inv, no_cause(), [], "deadlock", detail)
                else:
                    self._refusals.refuse(waiting.topic, waiting.offset, waiting.envelope, "deadlock", detail)
                return

    def _send(self, actor: Actor, to: str, handler: str, body: dict[str, Any]) -> None:
        if "/" in to:
            answer = Answer(to, "", TELL, json.dumps(body).encode(), handler, actor.address)
            self._ledger.answers.append(answer)


def _asker(e: Envelope) -> str:
    """The handler that waits for the answer to a message; "" where none does."""
    chain = e.headers.get("chain", "") if e.headers and e.kind == ASK else ""
    return chain.rpartition("\n")[2]


def _asked(actor: Actor) -> dict[str, list[str]]:
    """Whom an actor's waiting handler has asked, each once: else probes would double with every hop.

    With the ids of what it has asked for.
    """
    holder = holder_of(actor)
    assert holder is not None
    asked: dict[str, list[str]] = {}
    for number, command in holder.outstanding.items():
        if command.kind == _ASK:
            asked.setdefault(taken_apart(command.name)[0], []).append(question(holder, number))
    return asked
