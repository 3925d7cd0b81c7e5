"""Taking back a part of a turn."""

from __future__ import annotations

import copy
from typing import Any

from plexstream.sdk.collections import StateList, StateMap
from plexstream.sdk.current import current


class Savepoint:
    """The durable fields of an actor, and what its turn has sent, as they are now.

    It copies the plain fields, and of the collections what the turn has touched.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._fields: dict[str, Any] = {}
        for name in type(actor).__plexstream__.fields:
            value = actor.__dict__[name]
            collection = isinstance(value, StateMap | StateList)
            self._fields[name] = value._cells.save() if collection else copy.deepcopy(value)
        self._sent = current.turn.sent() if current.turn is not None else 0

    def restore(self) -> None:
        """Make them that again. May be called once."""
        for name, saved in self._fields.items():
            value = self._actor.__dict__[name]
            if isinstance(value, StateMap | StateList):
                value._cells.restore(saved)
            else:
                self._actor.__dict__[name] = saved
        if current.turn is not None:
            current.turn.take_back(self._sent)
