"""Subscribers that fetch: what is there for a cursor, and those who wait until something is."""

from __future__ import annotations

from itertools import islice
from typing import Any, Protocol

from plexstream.coordination.channels.fanout import SIZE, TOPIC, Entry, shown
from plexstream.coordination.channels.said import MAX_READ, Answer, matches
from plexstream.coordination.common.agenda import AT_ONCE, Agenda
from plexstream.coordination.common.line import Line
from plexstream.coordination.common.line import Row as Waiter
from plexstream.coordination.common.room import Room
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

Cursor = list[Any]
"""A subscriber that fetches: pattern, and the position up to which it has all."""


class Fetched(Protocol):
    """The actor that is fetched from.

    Attributes:
        log: messages by position, from `first` to `last`.
        woken, wake_to: numbers of those who wait that are to be looked at; 0: nobody is.
        wake_again: all are to be looked at again after that.
    """

    log: StateMap[int, Entry]
    first: int
    last: int
    cursors: StateMap[str, Cursor]
    fetchers: StateMap[int, Waiter]
    fetchers_waiting: int
    arrivals: int
    woken: int
    wake_to: int
    wake_again: bool
    agenda: StateMap[tuple[int, str], int]
    armed: int


class Fetching:
    """Answers those who fetch, as many as go into one turn."""

    def __init__(self, owner: Fetched) -> None:
        self._of = owner

    def look(self, cursor: Cursor, limit: int) -> tuple[list[tuple[int, Entry]], int]:
        """What is there for a cursor, and up to which position all that is for it was found."""
        of, (pattern, at) = self._of, cursor
        found: list[tuple[int, Entry]] = []
        answer, left, ends = Answer(), MAX_READ, max(at, of.first - 1)
        for position, entry in islice(of.log.range(ends + 1), AT_ONCE):
            if matches(pattern, entry[TOPIC]):
                if not answer.takes(entry[SIZE] + len(entry[TOPIC])):
                    break
                found.append((position, entry))
            ends = position
            left -= entry[SIZE]
            if len(found) == limit or left < 0:
                break
        return found, ends

    def answer(self, cursor: Cursor, found: list[tuple[int, Entry]], ends: int) -> dict[str, Any]:
        """What a caller hears of it."""
        missed = max(0, self._of.first - 1 - cursor[1])
        return {"messages": [shown(*one) for one in found], "position": ends, "missed": missed}

    def wait(self, row: Waiter, cursor: Cursor, ends: int) -> None:
        """One more waits, for whom nothing was found up to a position."""
        of = self._of
        self._pass_over(row[2], cursor, ends)
        Line(of, "fetchers", "r").join(row)
        if ends < of.last:
            self._wake(of.arrivals)
            Agenda(of).put(host.now(), "g")

    def give_up(self, row: Waiter) -> None:
        """The time of one who waited is over."""
        cursor = self._of.cursors.get(row[2])
        at = self._of.last if cursor is None else cursor[1]
        host.reply(row[0], {"messages": [], "position": at, "missed": 0})

    def wake(self) -> None:
        """Look again at all who wait."""
        self._wake(0)

    def _wake(self, start: int) -> None:
        of = self._of
        if of.wake_to:
            of.wake_again = True
        else:
            of.woken, of.wake_to = start, of.arrivals

    def serve(self, room: Room) -> bool:
        """Answer those who wait and are to be looked at. Whether this is too much for one turn."""
        of, line = self._of, Line(self._of, "fetchers", "r")
        while of.wake_to:
            for number, row in of.fetchers.range(of.woken, of.wake_to + 1):
                if not room:
                    return True
                of.woken = number
                token, until, name, limit = row
                if not host.awaited(token):
                    room.takes(0)
                    line.leave(number, row)
                    host.reply(token)  # in vain: it is gone
                    continue
                cursor = of.cursors.get(name)
                if cursor is None:
                    line.leave(number, row)
                    host.reject(token, f"{name!r} is unsubscribed: subscribe again")
                    continue
                found, ends = self.look(cursor, limit)
                looked = 1 + max(0, ends - max(cursor[1], of.first - 1))
                if not room.takes(sum(entry[SIZE] for _, entry in found), looked):
                    return True
                if found or (until < 0 and ends >= of.last):
                    line.leave(number, row)
                    host.reply(token, self.answer(cursor, found, ends))
                    continue
                self._pass_over(name, cursor, ends)
                if ends < of.last:
                    return True
                of.woken = number + 1
            of.woken = of.wake_to = 0
            if of.wake_again:
                of.wake_again, of.wake_to = False, of.arrivals
        return False

    def _pass_over(self, name: str, cursor: Cursor, ends: int) -> None:
        """What is not for it need not be looked at again."""
        if ends > cursor[1]:
            self._of.cursors[name] = [cursor[0], ends]
