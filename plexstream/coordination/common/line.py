"""Callers that wait, in order of arrival."""

from __future__ import annotations

from typing import Any

from plexstream.coordination.common.agenda import Agenda
from plexstream.sdk.running.collections.maps import StateMap

Row = list[Any]
"""Of one who waits: token, until when (0: for ever, -1: not for a message), and what is wanted."""


class Line:
    """A line of an actor with an agenda, of a letter of its own there.

    The actor has a ``state_map()`` of rows by number, named as the line is, and beside it ``<name>_waiting``,
    how many there are, so that nobody has to look; and ``arrivals``, the last number that was given.
    """

    __slots__ = ("_agenda", "_letter", "_name", "_owner", "_rows")

    def __init__(self, owner: Any, name: str, letter: str) -> None:
        self._owner = owner
        self._rows: StateMap[int, Row] = getattr(owner, name)
        self._name = f"{name}_waiting"
        self._letter = letter
        self._agenda = Agenda(owner)

    def __len__(self) -> int:
        waiting: int = getattr(self._owner, self._name)
        return waiting

    def join(self, row: Row) -> None:
        """One more, at the end."""
        owner = self._owner
        owner.arrivals += 1
        self._rows[owner.arrivals] = row
        self._change(1)
        if row[1] > 0:
            self._agenda.put(row[1], f"{self._letter}{owner.arrivals}")

    def first(self) -> tuple[int, Row]:
        """Who is next, where somebody is."""
        found = self._rows.first()
        assert found is not None
        return found

    def leave(self, number: int, row: Row) -> None:
        """One less."""
        del self._rows[number]
        self._change(-1)
        if row[1] > 0:
            self._agenda.drop(row[1], f"{self._letter}{number}")

    def timed_out(self, number: int) -> Row | None:
        """Who waits no more since the agenda says so; None: nobody does."""
        row = self._rows.pop(number, None)
        if row is not None:
            self._change(-1)
        return row

    def _change(self, by: int) -> None:
        setattr(self._owner, self._name, len(self) + by)
