"""What is in a space: its tuples with their leases and their index, and what is told of each change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Protocol

from plexstream.coordination.common.agenda import Agenda
from plexstream.coordination.space.patterns import checked
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.coordination.kept.tuples.values import key
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

TOPIC: Final = "tuplespace"
"""The output that has all changes of all spaces."""
NEVER: Final = 0
_POSITIONS: Final = 64

Tuple = list[Any]
Row = list[Any]
"""A tuple, when its lease ends in ms (`NEVER`), and the bytes of its JSON."""
Answer = dict[str, Any]


class Entry(NamedTuple):
    """A tuple that is in the space.

    Attributes:
        id: of its lease; it rises with each that is written.
        due: when its lease ends, in ms since the epoch; `NEVER`.
        bytes: of its JSON.
    """

    id: int
    tuple: Tuple
    due: int
    bytes: int

    def answer(self) -> Answer:
        """What callers get of it."""
        return {"id": self.id, "tuple": self.tuple, "due": self.due}


class Kept(Protocol):
    """The state of a space's actor that is its content.

    Attributes:
        tuples: by how many fields they have and their ids.
        index: of values of fields: `slot`, `key` of the value, id; with the end of the lease.
        fields: the positions that the index has.
        sizes: how many tuples there are, by how many fields they have.
        latest: the id that was given last.
        events: how many changes there were.
    """

    tuples: StateMap[tuple[int, int], Row]
    index: StateMap[tuple[int, str, int], int]
    agenda: StateMap[tuple[int, str], int]
    armed: int
    fields: list[int]
    sizes: dict[str, int]
    latest: int
    events: int


def slot(size: int, position: int) -> int:
    """Of the tuples of `size` fields, the one at `position`, as a number for the index."""
    return size * _POSITIONS + position


class Content:
    """The tuples of a space. What it is told to do is done, and published as an event."""

    def __init__(self, owner: Kept) -> None:
        self._owner = owner

    def announce(self, tuple: Tuple, due: int, by: str) -> Entry:
        """A tuple is written: it has an id from now on. It is not kept yet. Raises Reject: it is none."""
        text = checked("a tuple", tuple)
        owner = self._owner
        owner.latest += 1
        size = len(text) if text.isascii() else len(text.encode(errors="replace"))
        entry = Entry(owner.latest, tuple, due, size)
        self._publish("out", entry, by, "")
        return entry

    def keep(self, entry: Entry) -> None:
        """Keep what was announced."""
        owner, size = self._owner, len(entry.tuple)
        owner.tuples[(size, entry.id)] = [entry.tuple, entry.due, entry.bytes]
        for place in self._places(entry):
            owner.index[place] = entry.due
        owner.sizes[str(size)] = owner.sizes.get(str(size), 0) + 1
        if entry.due:
            Agenda(owner).put(entry.due, _named(size, entry.id))

    def get(self, size: int, id: int) -> Entry | None:
        """The tuple of that many fields and that id; None: it is not there, or its lease has ended."""
        row = self._owner.tuples.get((size, id))
        if row is None or (row[1] and row[1] <= host.now()):
            return None
        return Entry(id, *row)

    def find(self, id: int) -> Entry:
        """The tuple by its id alone. Raises Reject: it is not there."""
        for size in self._owner.sizes:
            entry = self.get(int(size), id)
            if entry is not None:
                return entry
        raise Reject(
            f"no tuple with the id {id} is in this space: its lease has ended, or it was taken; write it "
            "again"
        )

    def take(self, entry: Entry, by: str, whose: str) -> None:
        """One that is kept leaves the space, by an operation of `by`, to `whose`."""
        self._forget(entry)
        if entry.due:
            Agenda(self._owner).drop(entry.due, _named(len(entry.tuple), entry.id))
        self.taken(entry, by, whose)

    def taken(self, entry: Entry, by: str, whose: str) -> None:
        """One that was not kept goes on at once."""
        self._publish("in", entry, by, whose)

    def renew(self, entry: Entry, due: int) -> None:
        """Its lease ends at another time."""
        owner, size = self._owner, len(entry.tuple)
        owner.tuples[(size, entry.id)] = [entry.tuple, due, entry.bytes]
        for place in self._places(entry):
            owner.index[place] = due
        Agenda(owner).move(entry.due, due, _named(size, entry.id))
        self._publish("renew", entry._replace(due=due), host.sender(), "")

    def expire(self, size: int, id: int) -> int:
        """Its lease may have ended: then it leaves the space. The bytes of what did; 0: nothing."""
        row = self._owner.tuples.get((size, id))
        if row is None or not row[1] or row[1] > host.now():
            return 0
        entry = Entry(id, *row)
        self._forget(entry)
        self._publish("expire", entry, "", "")
        return entry.bytes

    def count(self) -> int:
        """How many tuples there are, without those whose lease has ended, though the alarm is late."""
        gone = self._owner.agenda.range(None, (host.now() + 1,))
        return sum(self._owner.sizes.values()) - sum(what[0] == "e" for (_, what), _ in gone)

    def _places(self, entry: Entry) -> Iterator[tuple[int, str, int]]:
        values, size = entry.tuple, len(entry.tuple)
        for position in self._owner.fields:
            if position < size:
                yield slot(size, position), key(values[position]), entry.id

    def _forget(self, entry: Entry) -> None:
        owner, size = self._owner, len(entry.tuple)
        owner.tuples.discard((size, entry.id))
        for place in self._places(entry):
            owner.index.discard(place)
        left = owner.sizes[str(size)] - 1
        if left:
            owner.sizes[str(size)] = left
        else:
            del owner.sizes[str(size)]

    def _publish(self, what: str, entry: Entry, by: str, whose: str) -> None:
        """Tell of a change. Whoever hears all of them, in the order of their numbers, has the content.

        A number 1 begins a life of the space, in which nothing is.
        """
        owner = self._owner
        owner.events += 1
        host.emit(
            TOPIC,
            {
                "number": owner.events,
                "op": what,
                "entry": entry.id,
                "tuple": entry.tuple,
                "due": entry.due,
                "by": by,
                "for": whose,
            },
        )


def _named(size: int, id: int) -> str:
    """A tuple in the agenda."""
    return f"e{size}.{id}"


def read_name(what: str) -> tuple[int, int]:
    """What `_named` has made, behind its letter."""
    size, _, id = what.partition(".")
    return int(size), int(id)


