"""The end of an invocation reaches down to what it waits for."""

from __future__ import annotations

import json
from collections.abc import Sequence

from plexstream.model.journal.attempt import Undone
from plexstream.model.journal.deferred import WITHDRAW
from plexstream.model.journal.journal import CommandKind, Out, OutKind
from plexstream.model.messages.text import taken_apart
from plexstream.processor.waiting.invocation.invocation import Invocation

_ASK, _SLEEP = CommandKind.ASK.value, CommandKind.SLEEP.value
_TELL, _CANCEL_TIMER = OutKind.TELL.value, OutKind.CANCEL.value
EVERYTHING = Undone(0)
CANCEL, END = "$cancel", "$end"
REACHES = frozenset((CANCEL, END))
DETACHED = 1
"""The `due` of an ASK that goes on when who asked is cancelled or killed."""


def sleeps_back(inv: Invocation, undone: Undone = EVERYTHING) -> list[Out]:
    """Its sleeps end with it, or those of them that are undone."""
    return [
        Out(_CANCEL_TIMER, inv.timer(command.number), "", "", b"")
        for command in inv.outstanding.values()
        if command.kind == _SLEEP and command not in inv.unrecorded and undone.has(command.number)
    ]


def reach_down(inv: Invocation, what: str) -> list[Out]:
    """Tells whom it has asked that the answer is not wanted any more: ``$cancel`` or ``$end``.

    The message goes the way that the ask has gone, and comes after it.
    """
    return [
        Out(_TELL, "", taken_apart(command.name)[0], what, json.dumps({"ask": question(inv, n)}).encode())
        for n, command in sorted(inv.outstanding.items())
        if command.kind == _ASK and command.due != DETACHED
    ]


def withdrawals(inv: Invocation, undone: Undone = EVERYTHING, told: Sequence[Out] = ()) -> list[Out]:
    """Tells whom it has asked that it waits for the answer no more: it may be left to a later turn there.

    What was asked for goes on. The message goes the way that the ask has gone, and comes after it.

    Parameters:
        undone: which of its asks are meant.
        told: what leaves besides; whom that tells needs nothing more.
    """
    known = {out.payload for out in told if out.handler in REACHES}
    outs = [
        Out(
            _TELL, "", taken_apart(command.name)[0], WITHDRAW,
            json.dumps({"ask": question(inv, n)}).encode(),
        )
        for n, command in sorted(inv.outstanding.items())
        if command.kind == _ASK and command not in inv.unrecorded and undone.has(n)
    ]  # fmt: skip
    return [out for out in outs if out.payload not in known]


def question(inv: Invocation, number: int) -> str:
    """The id under which the ask was sent."""
    after = inv.asked.get(number, 0)
    reference = f"{inv.reference()}.{number}"
    return f"{reference}.{after}" if after else reference
