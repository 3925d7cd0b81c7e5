"""Running handlers that have waited, or wait, again over what is recorded of them."""

from __future__ import annotations

from typing import Any

import msgspec

from plexstream.hosts.native import NativeHost
from plexstream.inspection.replay.compared import end_differs
from plexstream.model.host import Again, Outcome, Result, Suspended
from plexstream.model.journal.journal import WAITING, Begin, OutKind, Step
from plexstream.model.messages import idempotency
from plexstream.model.messages.address import type_of
from plexstream.processor.actors.readers import EntryReader, PastReader
from plexstream.processor.state.histories.history import effective, is_note, start_of
from plexstream.processor.state.pieces import Pieces
from plexstream.processor.waiting.invocation.invocation import Invocation

_ERROR, _DEAD = OutKind.ERROR.value, OutKind.DEADLETTER.value
_FROM_OUTSIDE = frozenset(("killed", "poisoned", "stopped", "non_deterministic", "deadlock"))
"""Codes of handlers that were ended, whatever their code did."""


class Waited:
    """Runs the handlers of one partition again from their start.

    A handler that has ended is run to its end, with its last record; one that waits, to where it is.
    """

    def __init__(self, host: NativeHost) -> None:
        self._host = host

    def ended(self, step: Step, pieces: Pieces) -> list[str] | None:
        """Each difference of a handler that ends with `step`; None where no code of it has run."""
        pending = pieces.histories.pending.get(step.actor, {}).get(step.invocation)
        recorded = pieces.histories.read(step.actor, step.invocation) if pending is not None else []
        begin = step.begin if pending is None or (step.begin is not None and not step.next) else pending.begin
        if begin is None:
            return None
        inv = Invocation(step.actor, step.invocation, begin, len(recorded))
        inv.restore(recorded)
        code = _code_of(step)
        if code in _FROM_OUTSIDE or (code == "cancelled" and not inv.begun):
            return self.waits(step.actor, step.invocation, pieces) if inv.begun else None
        key = "" if inv.begun else begin.idempotency_key
        if key and pieces.outcome(step.actor, idempotency.name(begin.handler, key), step.time) is not None:
            return None  # it has got the answer of another call
        history = effective([*recorded, step._replace(begin=None) if inv.begun else step])
        outcome = self._run(step.actor, step.invocation, history, begin, pieces, step.time)
        if type(outcome) is Suspended:
            self._host.drop(outcome.task)
            return ["the handler waits now, and had ended then"]
        if type(outcome) is Again:
            same = step.next and step.begin is not None and step.begin.payload == outcome.payload
            return [] if same else [f"it goes on as new now, with {outcome.payload.decode(errors='replace')}"]
        assert type(outcome) is Result
        if step.next:
            return ["it has gone on as new then, and ends now"]
        if outcome.code == "non_deterministic":
            return [outcome.detail]
        return end_differs(step, outcome, begin.id)

    def waits(self, address: str, number: int, pieces: Pieces) -> list[str] | None:
        """Each difference of a handler that waits; None where it has not begun."""
        history = effective(pieces.histories.read(address, number))
        begin = pieces.histories.pending[address][number].begin
        if all(is_note(step) for step in history):
            return None
        outcome = self._run(address, number, history, begin, pieces, history[-1].time)
        if type(outcome) is Suspended:
            self._host.drop(outcome.task)
        elif type(outcome) is Result and outcome.code == "non_deterministic":
            return [outcome.detail]
        return []

    def _run(
        self, address: str, number: int, history: list[Step], begin: Begin, pieces: Pieces, now: int
    ) -> Outcome:
        begin = start_of(history, begin)
        reader: Any = EntryReader(pieces, address)
        if begin.base is not None:
            fields = {c.field: c.value for c in begin.base if c.key is None and c.value is not None}
            reader = PastReader(begin.base)
        else:
            fields = dict(pieces.core(address).fields)
        try:
            instance = self._host.activate(type_of(address), address, fields, reader)
        except Exception as error:  # the user's hook, or state that the code no longer accepts
            what = f"the actor cannot be loaded: {type(error).__name__}: {error}"
            return Result("non_deterministic", b"", [], [], False, what)
        return self._host.replay(instance, begin, number, history, now)


def _code_of(step: Step) -> str:
    """With which error a handler has ended, if it has."""
    if step.status == WAITING or not step.status:
        return ""
    for out in step.outs:
        if out.kind == _ERROR:
            return str(msgspec.json.decode(out.payload).get("code", ""))
        if out.kind == _DEAD:
            return out.key
    return "killed"  # of a tell that nobody hears of
