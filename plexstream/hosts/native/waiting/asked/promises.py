"""The promises of its actor, as a handler that waits sees them."""

from __future__ import annotations

from typing import Any

import msgspec

from plexstream.hosts.native.actor.instance import Instance
from plexstream.hosts.native.waiting.asked.commands import NOW, PROMISE, VALUE, Commands
from plexstream.model.errors import AlreadyDone, call_error
from plexstream.model.journal.workflow import PROMISES as PROMISES
from plexstream.sdk.host.waiting import Handle, Waitable

NO_ENTRY: Any = object()
_decode = msgspec.json.Decoder().decode


class Promises:
    """Waits for them, settles them, looks at them: each by a command, so that it sees the same again.

    Parameters:
        where: the handler, for people.
    """

    def __init__(self, instance: Instance, commands: Commands, where: str) -> None:
        self._instance = instance
        self._commands = commands
        self._where = where

    def handle(self, name: str) -> Handle[Any]:
        """To wait for one."""
        handle = self._commands.ask(PROMISE, checked(name))
        if self._commands.place == NOW:
            self._look_at(handle)
        return handle

    def _look_at(self, handle: Handle[Any]) -> bool:
        """Settle a promise that is not recorded, and has its value."""
        if handle.order >= 0 or handle.index in self._commands.plan.recorded:
            return False
        entry = self._entry(handle.name)
        if entry is not NO_ENTRY:
            self._commands.know(handle, entry)
        return entry is not NO_ENTRY

    def catch_up(self, waiting: Waitable[Any] | None) -> bool:
        """Look at those that the handler came to while it was behind.

        Returns whether what it is `waiting` for is done now.
        """
        waits = [h for _, h in sorted(self._commands.open.items()) if h.kind == PROMISE]
        return any(self._look_at(h) and waiting is not None and waiting.done() for h in waits)

    def _entry(self, name: str) -> Any:
        """What a promise has come to: by this handler itself, or by others meanwhile."""
        cells = self._instance.hidden(PROMISES)._cells
        if name in cells.changed:
            return cells.values[name]
        data = self._instance.reader.get(PROMISES, name)
        return NO_ENTRY if data is None else _decode(data)

    def settle(self, name: str, value: Any, error: str | None) -> None:
        """Give one its value, or its `error`. Raises AlreadyDone."""
        handle = self._commands.ask(VALUE, f"settle {checked(name)}")
        promises = self._instance.hidden(PROMISES)
        if handle.order < 0:
            self._commands.know(handle, ["v", self._entry(name) is NO_ENTRY])
        if not handle.result():
            raise AlreadyDone(f"{self._where}: the promise {name!r} has its value already, and keeps it")
        promises[name] = ["v", value] if error is None else ["e", {"code": "rejected", "detail": error}]

    def peek(self, name: str) -> tuple[bool, Any]:
        """Whether it has its value, and which. Raises its error."""
        handle = self._commands.ask(VALUE, f"peek {checked(name)}")
        if handle.order < 0:
            entry = self._entry(name)
            self._commands.know(handle, ["v", None if entry is NO_ENTRY else entry])
        entry = handle.result()
        if entry is None:
            return False, None
        if entry[0] == "e":
            raise call_error(entry[1]["code"], entry[1]["detail"], entry[1].get("data"))
        return True, entry[1]


def checked(name: object) -> str:
    """A name of a promise. Raises ValueError where it is none."""
    if not isinstance(name, str) or not name or len(name) > 256:
        raise ValueError(f"host.promise: {name!r} is no name: give a text of 1 to 256 characters")
    return name
