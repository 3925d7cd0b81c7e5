"""The plain case of a turn, compiled: a message that its actor takes at once, and which changes plain fields.

What is compiled works on the objects of the Python code, which stays the specification: what is not plain it
leaves untouched, for that code. Without a C compiler, and with ``PLEXSTREAM_COMPILED=0``, that does all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from plexstream.model.host import PlainInvoke, Result, Suspended, TypeInfo
from plexstream.model.journal.journal import (
    Begin,
    Change,
    Command,
    CommandKind,
    Completion,
    Out,
    Step,
    Turn,
)
from plexstream.model.messages.message import Envelope
from plexstream.model.process.compiled import WANTED

if TYPE_CHECKING:
    from plexstream.processor.plain._journal import Journal
    from plexstream.processor.plain._mailbox import Mailbox
    from plexstream.processor.plain._restore import Restoring
    from plexstream.processor.plain._steps import Steps
    from plexstream.processor.plain._stretch import Stretch

try:
    if not WANTED:
        raise ImportError
    from plexstream.processor.plain import _journal, _mailbox, _restore, _steps, _stretch
except ImportError:
    COMPILED = False
else:
    COMPILED = True


def journal(core: type, inbox: type, lane: type, mailbox: str) -> Journal | None:
    """What does it for journals, over objects of these classes; None: Python does all."""
    return _journal.Journal(Turn, Change, Out, core, inbox, lane, mailbox) if COMPILED else None


def steps(
    pending: type, core: type, inbox: type, mailbox: str, kind: int, names: list[str]
) -> Steps | None:  # fmt: skip
    """What applies steps over objects of these classes; None: Python does.

    Parameters:
        kind: of the pieces that steps are.
        names: of the first numbers, in the keys of these.
    """
    if not COMPILED:
        return None
    return _steps.Steps(Step, Change, Out, Begin, Completion, pending, core, inbox, mailbox, kind, names)


def stretch(
    opening: type, invocation: type, actor: type, mailbox: str, no_cause: Any
) -> Stretch | None:  # fmt: skip
    """What makes the records of handlers that wait, over objects of these classes; None: Python does.

    `no_cause`: that of what comes about by itself.
    """
    if not COMPILED:
        return None
    classes = (Step, Suspended, Command, Begin, opening, type(no_cause), invocation, actor)
    return _stretch.Stretch(classes, mailbox, no_cause, CommandKind.RUN.value)


def restoring(core: type, inbox: type, prefix: bytes, mailbox: str) -> Restoring | None:
    """What folds turns that begin with `prefix` over objects of these classes; None: Python does."""
    return _restore.Restoring(core, inbox, prefix, mailbox.encode()) if COMPILED else None


def mailbox(
    ledger: Any, inbox: Any, active: dict[str, Any], actor: type, live: dict[str, Any],
    invoke: PlainInvoke | None, load: Callable[[str], bool], came: Callable[..., bool],
    seen: Callable[[Turn], None],
) -> Mailbox | None:  # fmt: skip
    """What handles the plain messages of a partition; None: Python handles all.

    Parameters:
        ledger, inbox: where they go to, and come from.
        active: the actors in memory, of the class `actor`.
        live: handlers that wait, by address.
        invoke: what the host has for it.
        load: loads an actor, if that can be.
        came: goes on with what a handler has come to that is not plain; whether the next message may be.
        seen: lets later turns see the entries of one.
    """
    if not COMPILED or invoke is None:
        return None
    classes = (Envelope, Turn, Change, Out, Result, actor, type(inbox))
    ttl = TypeInfo._fields.index("state_ttl")
    return _mailbox.Mailbox(classes, ttl, inbox.topic, ledger, inbox, active, live, invoke, load, came, seen)
