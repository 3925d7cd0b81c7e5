"""The messages of a queue: where each of them is, and by what receipt it is held."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Protocol

from plexstream.coordination.channels.said import Answer
from plexstream.coordination.common.agenda import AT_ONCE, Agenda
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

Row = list[int]
"""Bytes, deliveries, deliveries before it was redriven, when it was sent, and until when it is where it is:
delayed, or held; of a dead letter since when. Times are in ms since the epoch."""
SIZE, TRIES, FORGIVEN, SENT, WHEN = range(5)
_RECEIPT = re.compile(r"([1-9][0-9]{0,17})-([1-9][0-9]{0,17})")


class Keeper(Protocol):
    """The actor whose messages they are: each is in one of four maps, and its value beside.

    Attributes:
        last: number of the newest message.
        size: how many are ready, delayed or held.
        head: no message before this number is ready.
        purged: those up to this number are gone, but for dead letters; 0: none is to be swept away any more.
    """

    values: StateMap[int, Any]
    ready: StateMap[int, Row]
    delayed: StateMap[int, Row]
    held: StateMap[int, Row]
    dead: StateMap[int, Row]
    agenda: StateMap[tuple[int, str], int]
    armed: int
    last: int
    head: int
    size: int
    delayed_count: int
    held_count: int
    dead_count: int
    purged: int
    attempts: int
    out: str


class Messages:
    """The messages of a queue, moved between its maps. A value is written once, however often it moves."""

    __slots__ = ("_agenda", "_of")

    def __init__(self, owner: Keeper) -> None:
        self._of = owner
        self._agenda = Agenda(owner)

    @property
    def ready(self) -> int:
        """How many may be received now."""
        return self._of.size - self._of.delayed_count - self._of.held_count

    def numbers(self, count: int) -> list[int]:
        """What the next messages will be called."""
        return list(range(self._of.last + 1, self._of.last + 1 + count))

    def take_in(self, values: list[Any], sizes: list[int], delay: int) -> None:
        """New messages, under the next numbers."""
        of, now = self._of, host.now()
        for number, (value, size) in enumerate(zip(values, sizes, strict=True), of.last + 1):
            of.values[number] = value
            if delay:
                self._put_off(number, [size, 0, 0, now, now + delay])
            else:
                of.ready[number] = [size, 0, 0, now, 0]
            if of.out:
                host.emit(of.out, value)
        of.last += len(values)
        of.size += len(values)

    def pick(self, limit: int) -> list[tuple[int, Row]]:
        """The first that are ready: as many as go into one answer, but one at least."""
        picked: list[tuple[int, Row]] = []
        answer = Answer()
        for number, row in self._first(limit):
            if not answer.takes(row[SIZE]):
                break
            picked.append((number, row))
        return picked

    def _first(self, limit: int) -> Iterator[tuple[int, Row]]:
        """Those that are ready, from the first on. Most often one is behind the other: nothing is scanned."""
        ready, number, end = self._of.ready, self._of.head, self._of.head + limit
        while number < end:
            row = ready.get(number)
            if row is None:
                yield from ready.range(number, limit=end - number)
                return
            yield number, row
            number += 1

    def shown(self, picked: list[tuple[int, Row]], visibility: int) -> list[dict[str, Any]]:
        """The same as their receiver sees them."""
        due = host.now() + visibility
        return [
            {
                "id": number, "receipt": f"{number}-{row[TRIES] + 1}", "value": self._of.values[number],
                "attempt": row[TRIES] + 1 - row[FORGIVEN], "due": due,
            }
            for number, row in picked
        ]  # fmt: skip

    def lend(self, picked: list[tuple[int, Row]], visibility: int) -> None:
        """They have a receiver, for so many ms."""
        of, due = self._of, host.now() + visibility
        for number, row in picked:
            del of.ready[number]
            of.held[number] = [row[SIZE], row[TRIES] + 1, row[FORGIVEN], row[SENT], due]
            self._agenda.put(due, f"h{number}")
        of.head = picked[-1][0] + 1
        of.held_count += len(picked)

    def by_receipt(self, receipts: list[str]) -> list[tuple[int, Row]]:
        """The messages that these receipts hold, all of them. Raises Reject: it is none, or holds no more."""
        found: dict[int, Row] = {}
        for receipt in receipts:
            match = _RECEIPT.fullmatch(receipt)
            if match is None:
                raise Reject(f"{receipt[:80]!r} is no receipt: give one as `receive` answered it")
            number, tries = int(match[1]), int(match[2])
            row = self._of.held.get(number)
            held = row is not None and row[TRIES] == tries and row[WHEN] > host.now()
            if row is None or not held or number <= self._of.purged or number in found:
                why = self._why(number, row, number in found)
                raise Reject(f"the receipt {receipt!r} holds no message: {why}", {"receipt": receipt})
            found[number] = row
        return list(found.items())

    def _why(self, number: int, row: Row | None, twice: bool) -> str:
        if twice:
            return f"message {number} is named twice: name it once"
        if number > self._of.last:
            return f"there was never a message {number} here: look at the name of the queue"
        if number in self._of.dead:
            return f"message {number} is a dead letter: redrive it, or drop it"
        if number <= self._of.purged or number not in self._of.values:
            return f"message {number} was acknowledged, dropped or purged before: nothing is left to do"
        elsewhere = row is not None and row[WHEN] > host.now()
        where = "another receiver has it" if elsewhere else "it is there for all"
        return f"the time of message {number} is over, {where}: receive with a longer one, or extend it"

    def extend(self, number: int, row: Row, visibility: int) -> int:
        """It is held for so many ms from now on. Until when."""
        due = host.now() + visibility
        self._agenda.move(row[WHEN], due, f"h{number}")
        self._of.held[number] = [*row[:WHEN], due]
        return due

    def finish(self, number: int, row: Row) -> None:
        """It is done, and gone."""
        self._let_go(number, row)
        self._forget(number)
        self._of.size -= 1

    def give_back(self, number: int, row: Row, delay: int) -> None:
        """It was not done: it takes its old place, be it later, or is a dead letter by now."""
        self._let_go(number, row)
        self._place(number, row, delay)

    def come_due(self, what: str, number: int) -> None:
        """Its time in the agenda has come: ``d``, its delay is over, ``h``, or nobody holds it any more."""
        of = self._of
        if number <= of.purged:
            return  # it is swept away
        if what == "d":
            row = of.delayed.pop(number)
            of.delayed_count -= 1
            self._make_ready(number, [*row[:WHEN], 0])
        else:
            row = of.held.pop(number)
            of.held_count -= 1
            self._place(number, row, 0)

    def bury(self, values: list[Any], sizes: list[int]) -> None:
        """Messages that came while there was no place for them, and nobody waits to hear of it."""
        of, now = self._of, host.now()
        for number, (value, size) in enumerate(zip(values, sizes, strict=True), of.last + 1):
            of.values[number] = value
            of.dead[number] = [size, 0, 0, now, now]
        of.last += len(values)
        of.dead_count += len(values)

    def dead(self, after: int, limit: int) -> Iterator[tuple[int, Row, Any]]:
        """Dead letters behind a number, as many as go into one answer."""
        answer = Answer()
        for number, row in self._of.dead.range(after + 1, limit=limit):
            if not answer.takes(row[SIZE]):
                return
            yield number, row, self._of.values[number]

    def take_dead(self, numbers: list[int]) -> list[tuple[int, Row]]:
        """Dead letters that are to be none any more, all of them. Raises Reject: one is none."""
        found = {number: self._of.dead.get(number) for number in numbers}
        for number, row in found.items():
            if row is None:
                raise Reject(f"there is no dead letter {number}: look at the list of `dead`", {"id": number})
        for number in found:
            del self._of.dead[number]
        self._of.dead_count -= len(found)
        return [(number, row) for number, row in found.items() if row is not None]

    def revive(self, number: int, row: Row) -> None:
        """What was a dead letter takes its old place, with all its attempts before it."""
        self._make_ready(number, [row[SIZE], row[TRIES], row[TRIES], row[SENT], 0])
        self._of.size += 1

    def drop(self, number: int) -> None:
        """What was a dead letter is nothing any more."""
        self._forget(number)

    def purge(self) -> int:
        """All are gone but the dead letters. How many: they are swept away by and by."""
        of, gone = self._of, self._of.size
        if gone:
            of.purged, of.head = of.last, of.last + 1
        of.size = of.delayed_count = of.held_count = 0
        return gone

    def sweep(self) -> bool:
        """Sweep away what was purged, as much as goes into one turn. Whether something is left."""
        of, left = self._of, AT_ONCE
        if not of.purged:
            return False
        for letter, rows in (("", of.ready), ("d", of.delayed), ("h", of.held)):
            for number, row in rows.range(None, of.purged + 1, limit=left):
                left -= 1
                del rows[number]
                self._forget(number)
                if letter:
                    self._agenda.drop(row[WHEN], f"{letter}{number}")
        if left:
            of.purged = 0
        return not left

    def _place(self, number: int, row: Row, delay: int) -> None:
        of = self._of
        if row[TRIES] - row[FORGIVEN] >= of.attempts:
            of.dead[number] = [*row[:WHEN], host.now()]
            of.dead_count += 1
            of.size -= 1
        elif delay:
            self._put_off(number, [*row[:WHEN], host.now() + delay])
        else:
            self._make_ready(number, [*row[:WHEN], 0])

    def _make_ready(self, number: int, row: Row) -> None:
        """It takes its old place, be it before all others."""
        self._of.ready[number] = row
        self._of.head = min(number, self._of.head)

    def _put_off(self, number: int, row: Row) -> None:
        self._of.delayed[number] = row
        self._of.delayed_count += 1
        self._agenda.put(row[WHEN], f"d{number}")

    def _let_go(self, number: int, row: Row) -> None:
        del self._of.held[number]
        self._of.held_count -= 1
        self._agenda.drop(row[WHEN], f"h{number}")

    def _forget(self, number: int) -> None:
        self._of.values[number] = None  # a deletion reads what it deletes: not what may be large
        del self._of.values[number]
