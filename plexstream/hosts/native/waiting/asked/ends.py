"""What ends a handler's run without its own doing, and how its steps are named to people."""

from __future__ import annotations

from plexstream.model.errors import CallError
from plexstream.model.journal.journal import Command, CommandKind

_SLEEP, _AWAKEABLE, _VALUE = (k.value for k in (CommandKind.SLEEP, CommandKind.AWAKEABLE, CommandKind.VALUE))
_KINDS = {k.value: k.name.lower() for k in CommandKind}


class NeedsGreenlet(BaseException):
    """A plain ``def`` handler waits for the first time: it runs again in a greenlet, as ever after."""


class Unchanged(BaseException):
    """Ends a handler's run without its own doing: `continue_as_new`, or a non-determinism error."""

    def __init__(self, error: CallError | None, payload: bytes = b"") -> None:
        super().__init__()
        self.error = error
        self.payload = payload


def describe(command: Command) -> str:
    """A command, for people."""
    kind = _KINDS.get(command.kind, str(command.kind))
    if command.kind in (_SLEEP, _AWAKEABLE):
        return kind
    if command.kind == _VALUE:
        return command.name
    return f"{kind} {command.name!r}"
