"""Taking back a part of a turn."""

from __future__ import annotations

import copy
from typing import Any

from plexstream.sdk.running.collections.lists import StateList
from plexstream.sdk.running.collections.maps import StateMap
from plexstream.sdk.running.current import current


class Savepoint:
    """The durable state of an actor, and what its turn has sent, as they are now.

    It copies the plain fields, and of the collections what the turn has touched: declared ones, and those in
    which `host.set` and promises are.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._fields: dict[str, Any] = {}
        declared = type(actor).__plexstream__.fields
        for name, value in actor.__dict__.items():
            if isinstance(value, StateMap | StateList):
                self._fields[name] = value._cells.save()
            elif name in declared:
                self._fields[name] = copy.deepcopy(value)
        self._sent = current.turn.sent() if current.turn is not None else 0

    def restore(self) -> None:
        """Make them that again. May be called once."""
        for name, value in list(self._actor.__dict__.items()):
            if isinstance(value, StateMap | StateList):
                if name in self._fields:
                    value._cells.restore(self._fields[name])
                else:
                    value._cells.roll_back()  # nobody had looked into it before
            elif name in self._fields:
                self._actor.__dict__[name] = self._fields[name]
        if current.turn is not None:
            current.turn.take_back(self._sent)
