"""A partition's output records on their way to their topics; what a topic does not take is put aside."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence

from plexstream.log.base import Log, Place
from plexstream.model.errors import Fenced, LogError, Malformed, Refused
from plexstream.model.journal.journal import OutKind, Step, Turn
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.channel import Channel
from plexstream.node.lanes.keeping import Keeping
from plexstream.node.lanes.leaving.gathered import outputs
from plexstream.node.lanes.leaving.leaving import Saved, TurnQueue
from plexstream.node.lanes.records.applied import OUTPUT, applied, is_space
from plexstream.node.lanes.records.encode import Output, refused_output
from plexstream.node.lanes.records.letters import Letters
from plexstream.node.setup.topology import make_again, output

_log = logging.getLogger("plexstream.node")

MAX_TURNS = 5_000
"""Turns in one transaction: about 0.3 s of work at full speed, 1 MB of records."""
MAX_BYTES = 8_000_000
"""And so many bytes, and one turn more."""
REFUSED_S = 10.0
"""How long a topic counts as refused before it is tried again: somebody may have given a right meanwhile."""

_EMIT = OutKind.EMIT.value

Part = tuple[int, int]  # the journal offset of a turn, the place of an output among what it sends


class Outputs:
    """Writes what turns emit, each once, in the order of the turns.

    A record that its topic never will take (too large, the topic's name collides, no right to write) is
    written to the dead letters instead, with the reason, in the same transaction.

    Parameters:
        keeping: knows the position that outputs and dead letters shared before they had ways of their own. To
            open it fences an owner that still goes that way.
    """

    name = kind = "outputs"

    def __init__(
        self,
        channel: Channel,
        log: Log,
        topics: Topics,
        partition: int,
        done: deque[Saved],
        keeping: Keeping,
    ) -> None:
        self.channel = channel
        self.turns = TurnQueue()
        self.fenced = self.blocked = False
        self._log = log
        self._topics = topics
        self._partition = partition
        self._place: Place = (topics.journal, partition)
        self._done = done
        self._keeping = keeping
        self._letters = Letters(topics, partition)
        self._position = 0
        self._opened = 0
        self._at_once = MAX_TURNS
        self._known: set[str] = set()  # topics that are there
        self._refused: dict[Part, str] = {}
        self._refused_topics: dict[str, tuple[str, float]] = {}  # why, and until when

    def work(self) -> bool:
        """Whether `step` has something to do."""
        return not self.fenced and self._keeping.was_open and bool(self.turns)

    def step(self) -> int:
        """One transaction; returns how many turns it had. Raises Fenced, LogError."""
        turns = self.turns.first(self._at_once, MAX_BYTES)
        if not turns:
            return 0
        try:
            self._open()
            records = self._records(turns)
            letters = self._refuse_again(turns, records)
            last = turns[-1][0]
            if records:
                self.channel.commit(records, {self._place: last + 1} if last >= self._position else {})
        except Refused as error:
            self._put_aside(turns, self._parts(turns), records, error)
            return 0
        except Fenced:
            raise
        except LogError:
            # Too long for Kafka's time limit, perhaps; and topics may have gone.
            self._at_once = max(1, len(turns) // 2)
            self._known.clear()
            raise
        self._letters.tell(letters)
        self._at_once = min(MAX_TURNS, 2 * self._at_once)
        self._position = max(self._position, last + 1)
        self._refused.clear()
        self.turns.drop(len(turns))
        self._done.append(Saved(emitted=last))
        return len(turns)

    def _open(self) -> None:
        channel = self.channel
        if not channel.is_open:
            channel.open()
        if self._opened != channel.opened:
            position = channel.position(self._place)
            self._position = self._keeping.shared_position if position is None else position
            self._opened = channel.opened

    def _records(self, turns: list[tuple[int, Turn | Step]]) -> list[Output]:
        """The records of turns that have not left, in the order of `_parts`."""
        names: dict[str, str] = {}
        records = outputs(turns, self._position, names, self._topics.out)
        if OUTPUT in names:
            self._tell_what_spaces_applied(turns, records)
            self._make(dict.fromkeys(record[0] for record in records))
        else:
            self._make(names.values())
        return records

    def _tell_what_spaces_applied(self, turns: list[tuple[int, Turn | Step]], records: list[Output]) -> None:
        """Put the records of the spaces' own topic into the places of what spaces emit.

        What is malformed is refused as their topic would: no space may hold up others by what it emits.
        """
        by_offset = dict(turns)
        for at, part in enumerate(self._parts(turns)):
            offset, index = part
            turn = by_offset[offset]
            if turn.outs[index].target != OUTPUT or not is_space(turn.actor):
                continue
            try:
                records[at] = applied(self._topics, self._partition, turn, records[at][3] or b"")
            except Malformed as error:
                records[at] = self._topics.tuplespace, *records[at][1:]
                self._refused[part] = str(error)

    def _parts(self, turns: list[tuple[int, Turn | Step]]) -> list[Part]:
        """What each of the records belongs to."""
        return [
            (offset, index)
            for offset, turn in turns
            if offset >= self._position
            for index, out in enumerate(turn.outs)
            if out.kind == _EMIT
        ]

    def _refuse_again(self, turns: list[tuple[int, Turn | Step]], records: list[Output]) -> list[Output]:
        """Put dead letters into the places of what is known to be refused. Returns these."""
        if not (self._refused or self._refused_topics):
            return []
        by_offset, letters = dict(turns), []
        for at, part in enumerate(self._parts(turns)):
            topic = records[at][0]
            why = self._refused.get(part) or self._refused_topics.get(topic, ("",))[0]
            if why:
                letter = refused_output(self._partition, part[0], by_offset[part[0]], part[1], topic, why)
                records[at] = self._letters.record(part, letter)
                letters.append(records[at])
        return letters

    def _make(self, topics: Iterable[str]) -> None:
        """Make topics that are missing. One that cannot be made is refused for a while."""
        now = time.monotonic()
        self._refused_topics = {t: (w, end) for t, (w, end) in self._refused_topics.items() if end > now}
        unknown = [t for t in topics if t not in self._known and t not in self._refused_topics]
        if not unknown:
            return
        there = self._log.topics()
        for topic in unknown:  # of two names that collide the first one keeps it
            if topic not in there:
                try:
                    if topic == self._topics.tuplespace:
                        make_again(self._log, self._topics, "tuplespace")
                    else:
                        self._log.create([output(topic, there.get(self._topics.mailbox, 1))])
                except Refused as error:
                    self._refuse(topic, str(error))
                    continue
            self._known.add(topic)

    def _refuse(self, topic: str, why: str) -> None:
        _log.error("partition %d: outputs to topic %s are put aside: %s", self._partition, topic, why)
        self._refused_topics[topic] = why, time.monotonic() + REFUSED_S

    def _put_aside(
        self,
        turns: Sequence[tuple[int, Turn | Step]],
        parts: list[Part],
        records: list[Output],
        error: Refused,
    ) -> None:
        """Note which records never will be written as they are.

        The brokers refuse a batch as a whole, whatever is in it: so a record is blamed only where it is
        alone, or the largest that is left of its turn. Raises LogError where nothing can be blamed.
        """
        topics = {t: why for t, why in error.topics.items() if t != self._topics.deadletter}
        for topic, why in topics.items():
            self._refuse(topic, why)
        if topics:
            return
        blamed = [i for i in error.records if records[i][0] != self._topics.deadletter]
        if not blamed:
            for i in error.records:
                if not self._letters.cut(parts[i], error.records[i]):
                    raise LogError(f"a dead letter cannot be written: {error}") from error
            if not error.records and len(turns) > 1:
                self._at_once = max(1, len(turns) // 2)  # until it is known whose topic it is
            elif not error.records:
                raise error
            return
        if not error.exact and len(turns) > 1:
            self._at_once = max(1, len(turns) // 2)
            return
        chosen = blamed if error.exact else [max(blamed, key=lambda i: len(records[i][3] or b""))]
        for i in chosen:
            self._refused[parts[i]] = error.records[i]

    def close(self) -> None:
        self.channel.close()
