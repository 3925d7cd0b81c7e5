"""Several operations of one space, all or none: one turn does them, or is taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from plexstream.coordination.common.checks import milliseconds
from plexstream.coordination.space.content import NEVER, Answer, Content, Entry
from plexstream.coordination.space.offers import Offering, Offers
from plexstream.coordination.space.patterns import MAX_BYTES, pattern_of
from plexstream.coordination.space.search import UNITS, Budget, Search
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host

MOST: Final = 1_000
"""Operations of a transaction, and tuples of an answer."""
_UNITS = 4 * UNITS
_WHAT = '{"op": "take", "pattern": […]}'

Told = dict[str, Any]


def lease(ttl: float | None) -> int:
    """When a lease ends that begins now, in ms; `NEVER`. Raises Reject."""
    return NEVER if ttl is None else host.now() + milliseconds("ttl", ttl)


class Transaction:
    """Operations that see what those before them did."""

    def __init__(self, owner: Offering) -> None:
        self._owner = owner
        self._content = Content(owner)
        self._budget = Budget(_UNITS)
        self._by = host.sender()
        self._bytes = self._sent = 0
        self._written: list[Entry] = []

    def run(self, operations: list[Told]) -> list[Any]:
        """Do them all; what each came to. Raises Reject, with the index of the one that cannot be done."""
        if not 0 < len(operations) <= MOST:
            raise Reject(f"a transaction of {len(operations)} operations: give 1 to {MOST}")
        answers = []
        for index, told in enumerate(operations):
            try:
                answers.append(self._do(told))
            except Reject as error:
                raise Reject(f"operation {index}: {error.reason}", {"index": index}) from None
        offers = Offers(self._owner, Budget(UNITS - (self._bytes + self._sent) // 1_000))
        for entry in self._written:
            if self._content.get(len(entry.tuple), entry.id) is not None:
                offers.offer(entry)
        return answers

    def _do(self, told: Told) -> Any:
        name = told.get("op")
        run, takes = _OPERATIONS.get(name, (None, ())) if isinstance(name, str) else (None, ())
        if run is None:
            raise Reject(f"op is {name!r:.80}: give one of {', '.join(_OPERATIONS)}, as in {_WHAT}")
        unknown = [key for key in told if key not in takes and key != "op"]
        if unknown:
            raise Reject(f"{name} has no {unknown[0]!r:.80}: it has {', '.join(takes)}")
        return run(self, told)

    def _take(self, told: Told) -> Answer:
        entry = self._found(told)
        self._content.take(entry, self._by, self._by)
        return entry.answer()

    def _read(self, told: Told) -> Answer:
        return self._found(told).answer()

    def _write(self, told: Told) -> Answer:
        entry = self._content.announce(_fields("tuple", told), lease(_seconds(told)), self._by)
        self._content.keep(entry)
        self._written.append(entry)
        self._sent += entry.bytes
        return {"id": entry.id, "due": entry.due}

    def _swap(self, told: Told) -> Answer:
        found = self._take(told)
        self._write(told)
        return found

    def _absent(self, told: Told) -> None:
        entry = self._search(told)
        if entry is not None:
            raise Reject(f"the tuple {entry.id} matches, which is to be absent")

    def _found(self, told: Told) -> Entry:
        entry = self._search(told)
        if entry is None:
            raise Reject("no tuple matches")
        self._bytes += entry.bytes
        if self._bytes > MAX_BYTES:
            raise Reject(f"what it finds is more than {MAX_BYTES} bytes in all: make several transactions")
        return entry

    def _search(self, told: Told) -> Entry | None:
        pattern = pattern_of(_fields("pattern", told))
        search = Search(self._owner, pattern, self._budget)
        entry = next(iter(search), None)
        if entry is None and search.after is not None:
            raise Reject(
                f"nothing found among the {_UNITS} tuples that a transaction looks at: give the value of an "
                "indexed field"
            )
        return entry


def _fields(name: str, told: Told) -> list[Any]:
    given = told.get(name)
    if not isinstance(given, list):
        raise Reject(f"{name} is {given!r:.80}: give a list")
    return given


def _seconds(told: Told) -> float | None:
    given = told.get("ttl")
    if given is not None and type(given) not in (int, float):
        raise Reject(f"ttl is {given!r:.80}: give seconds, or null")
    return given


_OPERATIONS: Final[dict[str, tuple[Callable[[Transaction, Told], Any], tuple[str, ...]]]] = {
    "take": (Transaction._take, ("pattern",)),
    "read": (Transaction._read, ("pattern",)),
    "write": (Transaction._write, ("tuple", "ttl")),
    "swap": (Transaction._swap, ("pattern", "tuple", "ttl")),
    "absent": (Transaction._absent, ("pattern",)),
}
