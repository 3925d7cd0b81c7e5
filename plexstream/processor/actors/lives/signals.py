"""What signals say, and what comes of one: plain data."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from plexstream.model.journal.journal import Change, Out, OutKind
from plexstream.model.journal.life import (
    DOWN,
    EXIT,
    EXITED,
    KILL,
    LINK,
    MONITOR,
    NOBODY,
    NORMAL,
    START,
    STOP,
    Life,
)
from plexstream.model.messages.message import Envelope

_TELL = OutKind.TELL.value
MAX_REASON = 500


class Ruling(NamedTuple):
    """What comes of a message that is a signal, or that is for an actor with a life.

    Attributes:
        life: afterwards, if the turn takes effect.
        changes: of links and monitors.
        outs: notices.
        handler: of the actor's class, to be run with `payload`; empty: none.
        fresh: the actor's state is dropped first.
        code: of a CallError, where the message is refused, with `detail`.
    """

    life: Life | None
    changes: list[Change]
    outs: list[Out]
    handler: str = ""
    payload: bytes = b""
    fresh: bool = False
    code: str = ""
    detail: str = ""


def said_by(payload: bytes) -> dict[str, Any] | None:
    """What a signal says, with a ref, a reason and args of the right types; None where it is malformed."""
    try:
        said = json.loads(payload or b"{}")
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    said = {"ref": "", "life": "", "reason": "", "args": {}, **said}
    if type(said["args"]) is not dict or any(type(said[k]) is not str for k in ("ref", "life", "reason")):
        return None
    said["reason"] = said["reason"][:MAX_REASON]
    return said


def exited(parent: str, ref: str, reason: str, ignored: bool) -> Out:
    """What a parent hears of its child's end."""
    how = {"ignored": True} if ignored else {}
    return notice(parent, EXITED, ref=ref, reason=reason, **how)


def undelivered(e: Envelope, said: dict[str, Any], reason: str, ignored: bool = False) -> list[Out]:
    """What the sender of a signal hears where that has reached nobody."""
    ref, outs = said["ref"], []
    if not e.sender:
        return []
    if e.handler in (STOP, KILL) and said["life"]:
        outs.append(notice(e.sender, EXITED, ref=said["life"], reason=NOBODY))
    elif e.handler == START:
        if said.get("parent") is True:
            outs.append(exited(e.sender, ref, reason, ignored))
        if said.get("link") is True:
            outs.append(notice(e.sender, EXIT, reason=NORMAL if ignored else reason))
    elif e.handler == LINK:
        outs.append(notice(e.sender, EXIT, reason=NOBODY))
    elif e.handler == MONITOR:
        outs.append(notice(e.sender, DOWN, ref=ref, reason=NOBODY))
    return outs


def notice(to: str, signal: str, **said: Any) -> Out:
    """A signal to another actor."""
    return Out(_TELL, "", to, signal, json.dumps(said).encode())


def to_run(life: Life, handler: str, changes: list[Change] | None = None, **payload: Any) -> Ruling:
    """A handler of the actor's class is to run."""
    return Ruling(life, changes or [], [], handler, json.dumps(payload).encode())


def refused(life: Life | None, code: str, detail: str) -> Ruling:
    """The message is refused."""
    return Ruling(life, [], [], code=code, detail=detail)
