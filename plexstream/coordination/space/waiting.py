"""Who waits for tuples: reads, takes and subscriptions, in order of arrival, and who of them gets one."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from typing import Any, Final, NamedTuple, Protocol

from plexstream.coordination.common.agenda import Agenda
from plexstream.coordination.space.content import Answer, Tuple
from plexstream.coordination.space.patterns import MAX_FIELDS, Pattern, read_pattern
from plexstream.coordination.space.search import Budget
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.coordination.kept.tuples.values import key
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap
from plexstream.sdk.running.current import current

TAKE: Final = 0
READ: Final = 1
NOTIFY: Final = 2
_OPEN = 0
"""The queue of those whose pattern has no one value in a field that is indexed."""

Waiter = list[Any]
"""Token or ``[to, handler]``, pattern as JSON, when it ends in ms, since when it waits, who it is, where it
is queued, by which value there, and of a subscription how often it was told."""


class Expecting(Protocol):
    """The state of a space's actor that is who waits.

    Attributes:
        waiters: reads and takes by their numbers, which rise.
        subscriptions: the same of these.
        queue: all numbers, by kind and field, and the key of the value that is wanted there.
        queued: how many there are, by kind and field.
        arrivals: the number that was given last.
    """

    waiters: StateMap[int, Waiter]
    subscriptions: StateMap[int, Waiter]
    queue: StateMap[tuple[int, str, int], int]
    agenda: StateMap[tuple[int, str], int]
    armed: int
    fields: list[int]
    queued: dict[str, int]
    arrivals: int


class Found(NamedTuple):
    """Somebody who wants a tuple."""

    number: int
    row: Waiter


class Waiting:
    """The queues of a space."""

    def __init__(self, owner: Expecting) -> None:
        self._owner = owner

    def arrive(self) -> int:
        """The number of whoever comes next."""
        self._owner.arrivals += 1
        return self._owner.arrivals

    def add(
        self, number: int, kind: int, whom: Any, pattern: Pattern, due: int, since: int, by: str
    ) -> None:  # fmt: skip
        """Somebody waits from now on."""
        owner = self._owner
        place, wanted = self._place(kind, pattern)
        self._rows(kind)[number] = [whom, pattern.text, due, since, by, place, wanted, 0]
        owner.queue[(place, wanted, number)] = 0
        owner.queued[str(place)] = owner.queued.get(str(place), 0) + 1
        if due:
            Agenda(owner).put(due, _named(kind, number))

    def remove(self, found: Found) -> None:
        """Somebody waits no more."""
        owner, (number, row) = self._owner, found
        due, place, wanted = row[2], row[5], row[6]
        kind = place // _KIND
        self._rows(kind).discard(number)
        owner.queue.discard((place, wanted, number))
        left = owner.queued[str(place)] - 1
        if left:
            owner.queued[str(place)] = left
        else:
            del owner.queued[str(place)]
        if due:
            Agenda(owner).drop(due, _named(kind, number))

    def subscription(self, number: int) -> Found:
        """A subscription. Raises Reject: there is none of that number."""
        row = self._owner.subscriptions.get(number)
        if row is None or (row[2] and row[2] <= host.now()):
            raise Reject(
                f"no subscription {number} is in this space: its lease has ended, or it was cancelled; "
                "subscribe again"
            )
        return Found(number, row)

    def renew(self, found: Found, due: int) -> None:
        """A subscription ends at another time."""
        number, row = found
        Agenda(self._owner).move(row[2], due, _named(NOTIFY, number))
        self._owner.subscriptions[number] = [*row[:2], due, *row[3:]]

    def tell(self, found: Found, tuple: Tuple) -> None:
        """Tell a subscription of a tuple."""
        number, row = found
        told = row[7] + 1
        self._owner.subscriptions[number] = [*row[:7], told]
        to, handler = row[0]
        space = host.self_id()
        host.tell(to, handler, space=space, tuple=tuple, subscription=number, number=told)

    def expire(self, number: int, subscription: bool) -> None:
        """Somebody's time may be over: then it gets its answer."""
        rows = self._owner.subscriptions if subscription else self._owner.waiters
        row = rows.get(number)
        if row is not None and row[2] and row[2] <= host.now():
            self.end(Found(number, row))

    def end(self, found: Found) -> None:
        """Somebody's time is over."""
        self.remove(found)
        if found.row[5] // _KIND != NOTIFY:
            answer(found.row[0], None)

    def wants(self, found: Found, tuple: Tuple) -> bool:
        """Whether a tuple is what somebody waits for. Whose predicate fails hears so, and waits no more."""
        try:
            return read_pattern(found.row[1]).matches(tuple)
        except Reject as error:
            if found.row[5] // _KIND == NOTIFY:
                host.warn(f"subscription {found.number} is not told: {error.reason}")
            else:
                self.remove(found)
                dismiss(found.row[0], error.reason)
            return False

    def count(self, kind: int) -> int:
        """How many of a kind there are."""
        return sum(n for place, n in self._owner.queued.items() if int(place) // _KIND == kind)

    def shown(self, limit: int) -> tuple[list[Answer], list[Answer]]:
        """The first of those who wait, and of the subscriptions, for people."""
        waiters = [
            {"what": "take" if row[5] // _KIND == TAKE else "read", **_shown(row)}
            for _, row in self._owner.waiters.range(limit=limit)
        ]
        subscriptions = [
            {"id": number, "to": row[0][0], "handler": row[0][1], "told": row[7], **_shown(row)}
            for number, row in self._owner.subscriptions.range(limit=limit)
        ]
        return waiters, subscriptions

    def _rows(self, kind: int) -> StateMap[int, Waiter]:
        return self._owner.subscriptions if kind == NOTIFY else self._owner.waiters

    def _place(self, kind: int, pattern: Pattern) -> tuple[int, str]:
        for position in self._owner.fields:
            keys = pattern.exact.get(position, ())
            if len(keys) == 1:
                return _place(kind, pattern.size, position + 1), keys[0]
        return _place(kind, pattern.size, _OPEN), ""


class Walk:
    """Those of a kind who want a tuple, in order of arrival, as long as there is a budget.

    Whose time is over gets its answer on the way.

    Parameters:
        after, last: behind which number, and up to which.

    Attributes:
        after: where it goes on once it was gone through; None: it has seen all.
    """

    def __init__(
        self, owner: Expecting, kind: int, tuple: Tuple, after: int, last: int, budget: Budget
    ) -> None:  # fmt: skip
        self._owner = owner
        self._kind = kind
        self._tuple = tuple
        self._last = last
        self._budget = budget
        self.after: int | None = after

    def __iter__(self) -> Iterator[Found]:
        waiting, budget, now = Waiting(self._owner), self._budget, host.now()
        rows = self._owner.subscriptions if self._kind == NOTIFY else self._owner.waiters
        for number in self._numbers():
            if budget.left <= 0:
                return
            found = Found(number, rows[number])
            self.after = number
            budget.spend()
            if found.row[2] and found.row[2] <= now:
                waiting.end(found)
            elif waiting.wants(found, self._tuple):
                yield found
        self.after = None

    def _numbers(self) -> Iterator[int]:
        owner, kind, size = self._owner, self._kind, len(self._tuple)
        places = [(_place(kind, size, _OPEN), "")]
        places += [
            (_place(kind, size, position + 1), key(self._tuple[position]))
            for position in owner.fields
            if position < size and str(_place(kind, size, position + 1)) in owner.queued
        ]
        after, last = self.after or 0, self._last
        queues = [
            owner.queue.range((*place, after + 1), (*place, last + 1))
            for place in places
            if str(place[0]) in owner.queued
        ]
        found = queues[0] if len(queues) == 1 else merge(*queues, key=_number)
        return (number for (_, _, number), _ in found)


_SIZE = MAX_FIELDS + 1
_KIND = _SIZE * _SIZE


def _place(kind: int, size: int, field: int) -> int:
    return kind * _KIND + size * _SIZE + field


def _number(row: tuple[tuple[int, str, int], int]) -> int:
    return row[0][2]


def _named(kind: int, number: int) -> str:
    return f"{'n' if kind == NOTIFY else 'w'}{number}"


def _shown(row: Waiter) -> Answer:
    return {"pattern": row[1][:1_000], "since": row[3], "until": row[2] or None, "by": row[4]}


def answer(token: str, value: Any) -> bool:
    """Answer who waits; whether somebody did. Who was told that this actor's life has ended waits no more."""
    try:
        return host.reply(token, value)
    except Exception as error:
        if current.turn.of_call(error) is None:
            raise
        return False


def dismiss(token: str, reason: str) -> None:
    """Let who waits have an error."""
    try:
        host.reject(token, reason)
    except Exception as error:
        if current.turn.of_call(error) is None:
            raise


def check_receiver(to: str, handler: str) -> None:
    """Raises Reject where nobody can be told by these."""
    try:
        current.turn.message("tell", to, handler, {})
    except ValueError as error:
        raise Reject(f"notify cannot tell {to!r:.80} by {handler!r:.80}: {error}") from None
    if handler.startswith("_"):
        raise Reject(f"notify by the handler {handler!r:.80}: it is the system's, name one of its own")
