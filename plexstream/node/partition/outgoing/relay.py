"""Moves messages and replies of acknowledged turns to where they go, in order at each place.

Each place has a way of its own: one that takes nothing (no leader, below min.insync.replicas) holds up no
other. Of what it is owed only so much is kept in memory. The rest stands in the journal, where all of it
comes from: once there is room, it is read again from there. So is what an append that failed has left
open: whoever gets something twice knows it by its origin and number.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence

from plexstream.log.base import Item, Place, Record
from plexstream.log.limits.limits import RecordTooLarge
from plexstream.model.errors import Fenced, LogError, Malformed
from plexstream.model.journal.journal import Step, Turn
from plexstream.node.lanes.records.encode import answer_items, in_its_place, mails
from plexstream.node.lanes.records.mailing import all_mails
from plexstream.node.shared.flying import Flight, size_of, windows
from plexstream.node.shared.services import Services
from plexstream.processor import Processor
from plexstream.schema.codec import decode_journal

_log = logging.getLogger("plexstream.node")

KEPT = 4 << 20
"""Bytes of one partition that wait here for one place. What is beyond is read from the journal later."""
MAX_ANSWERS = 16 << 20
"""Bytes of answers without a turn that wait for one place: no journal has them. Replies to edges beyond that
are dropped, whose callers repeat their reads; for those to actors reading stops."""
AGAIN_S = 0.5
"""How soon a place is tried again where an append to it has failed."""
STUCK_S = 1.0
"""A place that has acknowledged nothing for so long is not waited for by who lets go of the partition."""


class _Way:
    """What one partition owes to one place, in the order of its turns: flying, then waiting, then behind."""

    __slots__ = (
        "again_at", "answers", "answers_bytes", "behind", "dropped", "flying", "full", "waiting",
        "waiting_bytes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.flying: deque[Flight] = deque()
        self.waiting: deque[tuple[int, list[Item], int]] = deque()  # journal offset, items, bytes
        self.waiting_bytes = 0
        self.behind = -1  # what turns from this offset on owe is in the journal only; -1: nothing
        self.full = False  # what is behind was looked at, and found no room
        self.answers: deque[tuple[list[Item], int]] = deque()
        self.answers_bytes = 0
        self.again_at = 0.0
        self.dropped = 0

    def first(self) -> int:
        """The journal offset of the first turn that is not known to have arrived; -1: all have."""
        for flight in self.flying:
            if flight.first >= 0:
                return flight.first
        return self.waiting[0][0] if self.waiting else self.behind

    def empty(self) -> bool:
        return not (self.flying or self.waiting or self.answers) and self.behind < 0


class Relay:
    """The relay of one partition under one claim. Runs on the worker's thread, never blocks.

    Parameters:
        owner: the driver, which gets acknowledgements as ``(owner, "mail", flight)``.
        origin: of all messages: this life of the journal.
        unseen: what turns from this offset on owe was not looked at; -1: all was.
    """

    def __init__(self, services: Services, partition: int, owner: object, origin: str, unseen: int) -> None:
        self.s = services
        self.partition = partition
        self._owner = owner
        self.origin = origin
        self._ways: dict[Place, _Way] = {}  # those that have something
        self._waiting: dict[Place, None] = {}  # those with something that could be handed over
        self.unseen = unseen
        self._last = -1  # the last turn that was looked at for what it owes
        self._moved = False
        self._moved_at = services.elapsed()
        self.reading = -1  # the journal offset that is read next, for what is behind; -1: nothing is read

    # What is owed

    def take(self, p: Processor, now: int) -> None:
        """Take what acknowledged turns owe, hand over what has room, tell how far all has arrived."""
        self._take_turns(p)
        if p.answers:
            answers = list(p.answers)
            p.answers.clear()
            for place, items in answer_items(self.s.topics, self.s.partitions, answers, now).items():
                self._answer(place, items)
        if self._waiting:
            self._hand_over()
        if self._moved:
            self._tell(p)

    def _take_turns(self, p: Processor) -> None:
        queue = p.outbox.mails.queue
        if not queue:
            return
        first, self._last = queue[0][0], queue[-1][0]
        into = all_mails(self.s.topics, self.s.partitions, self.origin, list(queue))
        queue.clear()
        for place, items in into.items():
            self._owe(place, first, items)
        self._moved = True

    def _way(self, place: Place) -> _Way:
        way = self._ways.get(place)
        if way is None:
            way = self._ways[place] = _Way()
            way.behind = self.unseen  # what is new comes after that
        return way

    def _owe(self, place: Place, first: int, items: list[Item]) -> None:
        way = self._way(place)
        for some, size in windows(items, size_of(items)):
            if way.behind >= 0:
                return  # it is read in its turn
            if not way.waiting and self._room(place, way):
                self._send(place, way, first, some, size)
            elif way.waiting_bytes + size <= KEPT:
                self._wait(place, way, first, some, size)
            else:
                way.behind = first

    def _answer(self, place: Place, items: list[Item]) -> None:
        way = self._way(place)
        size = size_of(items)
        self._keep_answer(place, way, items, size)
        while way.answers_bytes > MAX_ANSWERS and place[0] == self.s.topics.reply and len(way.answers) > 1:
            way.answers_bytes -= way.answers.popleft()[1]
            if not way.dropped:
                _log.warning(
                    "partition %d: %s[%d] takes nothing: answers to reads are dropped", self.partition, *place
                )
            way.dropped += 1

    def _keep_answer(self, place: Place, way: _Way, items: list[Item], size: int) -> None:
        way.answers.append((items, size))
        way.answers_bytes += size
        self._waiting[place] = None

    def _wait(self, place: Place, way: _Way, offset: int, items: list[Item], size: int) -> None:
        way.waiting.append((offset, items, size))
        way.waiting_bytes += size
        self._waiting[place] = None

    # On its way

    def _room(self, place: Place, way: _Way) -> bool:
        return self.s.flying.has_room(place) and (not way.again_at or self.s.elapsed() >= way.again_at)

    def _hand_over(self) -> None:
        for place in list(self._waiting):
            way = self._ways[place]
            while (way.answers or way.waiting) and self._room(place, way):
                if way.answers:
                    items, size = way.answers.popleft()
                    way.answers_bytes -= size
                    self._send(place, way, -1, items, size)
                else:
                    offset, items, size = way.waiting.popleft()
                    way.waiting_bytes -= size
                    self._send(place, way, offset, items, size)
            if not way.answers and not way.waiting:
                del self._waiting[place]

    def _send(self, place: Place, way: _Way, first: int, items: list[Item], size: int) -> None:
        flight = Flight(place, first, items if first < 0 else (), size, self.s.elapsed())
        way.flying.append(flight)
        self.s.flying.left(flight)
        token = self._owner, "mail", flight
        try:
            try:
                self.s.appender.append(place, items, token, urgent=False)
            except RecordTooLarge as error:
                # One that never goes would hold up all that goes there.
                why = error.records
                items = [in_its_place(item, why[i]) if i in why else item for i, item in enumerate(items)]
                _log.warning("partition %d: refused as too_large: %s", self.partition, error)
                self.s.appender.append(place, items, token, urgent=False)
        except LogError as error:
            self.s.flying.landed(flight)
            self.failed(flight, error)

    def landed(self, flight: Flight) -> None:
        """A group has arrived."""
        way = self._ways.get(flight.place)
        if way is None or flight not in way.flying:
            return  # given up meanwhile
        way.flying.remove(flight)
        way.again_at = 0.0
        self._moved = True
        self._moved_at = self.s.elapsed()
        if way.empty():
            del self._ways[flight.place]

    def failed(self, flight: Flight, error: Exception) -> None:
        """An append has failed: what became of it, and of those behind it, is unknown. It is done again."""
        place = flight.place
        way = self._ways.get(place)
        if way is None or flight not in way.flying:
            return
        _log.warning(
            "partition %d: what goes to %s[%d] is sent again in %.1f s: %s",
            self.partition, *place, AGAIN_S, error,
        )  # fmt: skip
        way.behind = way.first()
        for other in way.flying:
            if other.first < 0:
                self._keep_answer(place, way, list(other.items), other.size)
        way.flying.clear()
        way.waiting.clear()
        way.waiting_bytes = 0
        way.full = False
        way.again_at = self.s.elapsed() + AGAIN_S
        if self.reading >= 0:  # from too far on, for this one
            self.s.journal.release((self.s.topics.journal, self.partition))
            self.reading = -1

    def appender_failed(self, error: Exception) -> None:
        """The worker has another appender: what was with the old one is done again."""
        for way in list(self._ways.values()):
            if way.flying:
                self.failed(way.flying[0], error)

    # What is behind

    def wants_journal(self) -> bool:
        """Whether something is owed that is in the journal only, and there is room for it."""
        found = self.unseen >= 0
        for place, way in self._ways.items():
            if way.behind >= 0:
                if way.full and way.waiting_bytes <= KEPT // 2:
                    way.full = False
                found = found or (not way.full and not way.waiting and self._room(place, way))
        return found

    def start_reading(self) -> None:
        """Read the journal for it, from the first turn that may owe it."""
        firsts = [way.behind for way in self._ways.values() if not way.full]
        self.reading = min([first for first in (self.unseen, *firsts) if first >= 0])
        self.s.journal.assign((self.s.topics.journal, self.partition), self.reading)

    def stop_reading(self) -> None:
        """The journal is read for something else now; it may be read again at any time."""
        self.reading = -1

    def read(self, p: Processor, records: Sequence[Record]) -> None:
        """Records of the journal."""
        self._take_turns(p)  # those that it will not be behind with any more, once it has caught up
        journal = (self.s.topics.journal, self.partition)
        for record in records:
            if record.offset < self.reading:
                continue
            if record.offset > self.reading:
                raise Fenced(f"{journal[0]}[{journal[1]}] was trimmed beyond {self.reading} by a newer owner")
            if record.offset >= p.fold.next:
                break
            self._read_turn(p, record)
            self.reading = record.offset + 1
        caught_up = self.reading >= p.fold.next
        if self.unseen >= 0:
            self.unseen = -1 if caught_up else max(self.unseen, self.reading)
            self._last = max(self._last, self.reading - 1)
        open = self.unseen >= 0
        for way in self._ways.values():
            if way.behind >= 0 and not way.full:
                way.behind = -1 if caught_up else max(way.behind, self.reading)
                open = open or not caught_up
        for place in [place for place, way in self._ways.items() if way.empty()]:
            del self._ways[place]
        if not open:
            self.s.journal.release(journal)
            self.reading = -1
        self._moved = True

    def _read_turn(self, p: Processor, record: Record) -> None:
        offset = record.offset
        try:
            turn = decode_journal(record.value or b"")
        except Malformed:
            return
        if not isinstance(turn, Turn | Step) or not turn.outs or not p.fold.counted(offset, turn):
            return
        into: dict[Place, list[Item]] = {}
        mails(self.s.topics, self.s.partitions, self.origin, offset, turn, into)
        for place, items in into.items():
            way = self._way(place) if 0 <= self.unseen <= offset else self._ways.get(place)
            if way is None or way.full or way.behind < 0 or offset < way.behind:
                continue
            size = size_of(items)
            if way.waiting and way.waiting_bytes + size > KEPT:
                way.full = True
                way.behind = offset
            else:
                self._wait(place, way, offset, items, size)
                way.behind = offset + 1

    # How far it is

    def _tell(self, p: Processor) -> None:
        self._moved = False
        firsts = [first for first in (self.unseen, *(w.first() for w in self._ways.values())) if first >= 0]
        below = min(firsts) if firsts else self._last + 1
        if below > 0:
            p.relayed(below - 1)

    @property
    def owed(self) -> int:
        """Groups that have not arrived, and turns that may owe more."""
        return sum(
            len(way.flying) + len(way.waiting) + len(way.answers) + (way.behind >= 0)
            for way in self._ways.values()
        ) + (self.unseen >= 0)  # fmt: skip

    @property
    def waits(self) -> bool:
        """Whether something waits here for room."""
        return bool(self._waiting)

    @property
    def awaits_acks(self) -> bool:
        """Whether something is on its way whose acknowledgement should come soon."""
        stuck = self.s.elapsed() - STUCK_S
        return any(way.flying and way.flying[0].left_at > stuck for way in self._ways.values())

    @property
    def load(self) -> float:
        """How full the memory is for what cannot be read again; from 1 on no more should be made."""
        ways = self._ways
        return max([way.answers_bytes for way in ways.values()]) / MAX_ANSWERS if ways else 0.0

    def lets_go(self) -> bool:
        """Whether nothing is owed but to places that take nothing: the next owner sends that again."""
        return not (self._ways or self.unseen >= 0) or self.s.elapsed() - self._moved_at > STUCK_S
