"""Barriers of a shard group: who comes waits until all are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from plexstream.coordination.common.agenda import Agenda
from plexstream.coordination.common.checks import count, patience, text
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

MAX_PARTIES = 1_000
"""They are all let go, or refused, by one turn."""
MAX_BARRIERS = 1_000
"""Names at a time that somebody waits at, or that are broken."""
MAX_NAME = 200
"""Bytes of a barrier's name."""
MAX_WORK = 1_000
"""Who wait, of those that one alarm refuses, about."""

Row = list[Any]  # parties, waiting, whether broken, since when in ms, the earliest time limit in ms (0: none)
Waiter = list[Any]  # token, time limit in ms (0: none)
_PARTIES, _WAITING, _BROKEN, _SINCE, _LIMIT = range(5)


class Owner(Protocol):
    """The actor whose barriers they are.

    Attributes:
        barriers: by name, those at which somebody waits, and those that are broken.
        waiters: who waits, by the barrier's name and in order of arrival.
        known: how many `barriers` there are.
        serial: of the latest one to come to any of them.
    """

    barriers: StateMap[str, Row]
    waiters: StateMap[tuple[str, int], Waiter]
    known: int
    serial: int
    agenda: StateMap[tuple[int, str], int]
    armed: int


class Barriers:
    """As Python's `threading.Barrier`, by name, for those that ask.

    The last of the parties to come releases all. Where somebody's time is up before, all that wait are
    refused and the barrier is broken, until it is reset. Who has gone counts no more, neither as one of the
    parties nor by its time limit. A barrier is nothing but those who wait: the next round needs no new name.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def arrive(self, name: str, parties: int, wait: float | None) -> None:
        """Defer the answer of who comes. Raises Reject."""
        text("a barrier's name", name, MAX_NAME)
        count("parties", parties, MAX_PARTIES)
        now, patient = host.now(), patience("wait", wait)
        limit = 0 if patient is None else now + patient
        token = host.defer()
        if not token:  # who does not wait is not there
            return
        row = self._row(name, parties)
        if 0 < row[_LIMIT] <= now:  # the alarm is late
            self._count(name, row)
            if 0 < row[_LIMIT] <= now:
                self._break(name, row)
                row[_BROKEN] = True
        if row[_BROKEN]:
            host.reject(token, _broken(name))
            return
        row = self._entered(name, row, parties)
        row[_WAITING] += 1
        row[_LIMIT] = min((due for due in (row[_LIMIT], limit) if due), default=0)
        owner = self._owner
        owner.serial += 1
        owner.waiters[(name, owner.serial)] = [token, limit]
        if patient:
            Agenda(owner).put(limit, _entry(name, owner.serial))
        if row[_WAITING] >= parties and self._released(name, row):
            return
        if patient == 0:
            self._break(name, row)
        else:
            self._put(name, row)

    def due(self, what: str) -> int:
        """An entry of the agenda has come; how many were refused by that."""
        serial, _, name = what.partition(" ")
        key = (name, int(serial))
        waiter, row = self._owner.waiters.get(key), self._owner.barriers.get(name)
        if waiter is None or row is None:
            return 0
        if host.awaited(waiter[0]):
            return self._break(name, row)
        self._remove(key, waiter)
        row[_WAITING] -= 1
        self._put(name, row)
        return 1

    def reset(self, name: str) -> int:
        """Refuse all that wait; the barrier is as new. How many they were."""
        row = self._owner.barriers.get(name)
        if row is None:
            return 0
        told = self._refuse(name, f"barrier {name!r} was reset: come to it again")
        self._forget(name)
        return sum(told)

    def waited_at(self) -> str | None:
        """The first barrier at which somebody waits yet."""
        waited = (name for name, row in self._owner.barriers.range() if row[_WAITING])
        return next((name for name in waited if any(host.awaited(w[0]) for _, w in self._at(name))), None)

    def _row(self, name: str, parties: int) -> Row:
        row = self._owner.barriers.get(name)
        if row is not None:
            return list(row)
        if self._owner.known >= MAX_BARRIERS:
            raise Reject(f"{MAX_BARRIERS} barriers are waited at or broken: reset some, or use one again")
        return [parties, 0, False, host.now(), 0]

    def _entered(self, name: str, row: Row, parties: int) -> Row:
        """The barrier for one more of so many parties. Raises Reject."""
        if row[_WAITING] and row[_PARTIES] != parties:
            self._count(name, row)
        if not row[_WAITING]:
            return [parties, 0, False, host.now(), 0]
        if row[_PARTIES] != parties:
            raise Reject(
                f"barrier {name!r} has {row[_PARTIES]} parties, of which {row[_WAITING]} wait, not "
                f"{parties}: give the same number, or another name"
            )
        return row

    def _count(self, name: str, row: Row) -> list[tuple[tuple[str, int], Waiter]]:
        """Who waits; the gone are forgotten."""
        there = []
        for key, waiter in self._at(name):
            if host.awaited(waiter[0]):
                there.append((key, waiter))
            else:
                self._remove(key, waiter)
        row[_WAITING] = len(there)
        row[_LIMIT] = min((waiter[1] for _, waiter in there if waiter[1]), default=0)
        return there

    def _released(self, name: str, row: Row) -> bool:
        """Let all go, if they are there."""
        there = self._count(name, row)
        if len(there) < row[_PARTIES]:
            return False
        for index, (key, waiter) in enumerate(there):
            host.reply(waiter[0], index)
            self._remove(key, waiter, told=True)
        self._forget(name)
        return True

    def _break(self, name: str, row: Row) -> int:
        told = self._refuse(name, _broken(name))
        self._put(name, [row[_PARTIES], 0, True, host.now(), 0])
        return len(told)

    def _refuse(self, name: str, why: str) -> list[bool]:
        """Whether each of those at it was there to hear so."""
        told = []
        for key, waiter in self._at(name):
            told.append(host.reject(waiter[0], why))
            self._remove(key, waiter, told=True)
        return told

    def _at(self, name: str) -> Iterator[tuple[tuple[str, int], Waiter]]:
        return iter(list(self._owner.waiters.range((name,), (name, self._owner.serial + 1))))

    def _remove(self, key: tuple[str, int], waiter: Waiter, told: bool = False) -> None:
        if not told:
            host.reply(waiter[0])  # in vain: it is gone
        del self._owner.waiters[key]
        if waiter[1]:
            Agenda(self._owner).drop(waiter[1], _entry(*key))

    def _put(self, name: str, row: Row) -> None:
        if name not in self._owner.barriers:
            self._owner.known += 1
        self._owner.barriers[name] = row

    def _forget(self, name: str) -> None:
        if self._owner.barriers.pop(name, None) is not None:
            self._owner.known -= 1


def _entry(name: str, serial: int) -> str:
    return f"{serial} {name}"


def _broken(name: str) -> str:
    return f"barrier {name!r} is broken, since somebody's time was up before all had come: reset it"
