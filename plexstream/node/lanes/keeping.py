"""A partition's snapshots and dead letters on their way to their topics."""

from __future__ import annotations

import itertools
from collections import deque

from plexstream.log.base import Log, Place
from plexstream.model.errors import Fenced, LogError, Refused
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.channel import Channel
from plexstream.node.lanes.leaving.leaving import Saved, TurnQueue
from plexstream.node.lanes.records.encode import Output, dead_letters
from plexstream.node.lanes.records.letters import Letters, Part
from plexstream.node.setup.topology import make_again

MAX_LETTERS = 1_000
MAX_BYTES = 8_000_000
"""Of dead letters in one transaction, and one turn more."""


class Keeping:
    """Writes snapshots and dead letters. Where the one cannot be written, the other is written alone."""

    name = "snapshots and dead letters"
    kind = "keeping"

    def __init__(
        self, channel: Channel, log: Log, topics: Topics, partition: int, done: deque[Saved]
    ) -> None:
        self.channel = channel
        self.turns = TurnQueue()
        self.fenced = self.blocked = False
        self.asked = False  # to open, for outputs' sake
        self.shared_position = 0  # of outputs, too, while they had no way of their own
        self.was_open = False
        self._log = log
        self._topics = topics
        self._partition = partition
        # A place of its own: what stands under that of the journal is of times when outputs shared it.
        self._place: Place = (topics.deadletter, partition)
        self._older: Place = (topics.journal, partition)
        self._done = done
        self.batches: deque[tuple[int, list[Output]]] = deque()
        self._numbers = itertools.count()
        self._letters = Letters(topics, partition)
        self._position = 0
        self._opened = 0
        self._at_once = MAX_LETTERS
        self._apart = False  # the two were tried together, in vain
        self._batch_first = True

    def save(self, records: list[Output]) -> int:
        """See `Lane.save`."""
        number = next(self._numbers)
        self.batches.append((number, records))
        return number

    def work(self) -> bool:
        """Whether `step` has something to do."""
        return not self.fenced and bool(self.turns or self.batches or (self.asked and not self.was_open))

    def step(self) -> int:
        """One transaction; returns how many turns it had. Raises Fenced, LogError."""
        batch, letters = self.batches[0] if self.batches else None, bool(self.turns)
        if self._apart and batch is not None and letters:
            self._batch_first = not self._batch_first
            batch, letters = (batch, False) if self._batch_first else (None, True)
        turns = self.turns.first(self._at_once, MAX_BYTES) if letters else []
        try:
            self._open()
            parts: list[Part] = []
            records: list[Output] = []
            for offset, turn in turns:
                if offset >= self._position:
                    for part, letter in dead_letters(self._partition, offset, turn):
                        parts.append(part)
                        records.append(self._letters.record(part, letter))
            written = list(records)
            last = turns[-1][0] if turns else -1
            positions = {self._place: last + 1} if last >= self._position else {}
            records += batch[1] if batch is not None else []
            if records:
                self.channel.commit(records, positions)
        except Refused as error:
            self._cut(parts, error)
            return 0
        except Fenced:
            raise
        except LogError:
            self._apart = True
            self._at_once = max(1, len(turns) // 2)
            if turns:
                self._make_topic()
            raise
        if turns:
            self._letters.tell(written)
            self._apart = False
            self._at_once = min(MAX_LETTERS, 2 * self._at_once)
            self._position = max(self._position, last + 1)
            self.turns.drop(len(turns))
        if batch is not None:
            self.batches.popleft()
        if not turns and batch is None:
            return 0
        number = -1 if batch is None else batch[0]
        self._done.append(Saved(put_aside=last, batch=number))
        return len(turns)

    def _open(self) -> None:
        channel = self.channel
        if not channel.is_open:
            channel.open()
        if self._opened != channel.opened:
            own = channel.position(self._place)
            self.shared_position = channel.position(self._older) or 0
            self._position = max(own or 0, self.shared_position)
            self._opened = channel.opened
            self.was_open = True

    def _cut(self, parts: list[Part], error: Refused) -> None:
        """Letters that are too large are cut. Raises LogError where that is not it."""
        self._apart = True
        letters = [i for i in error.records if i < len(parts)]
        cut = [self._letters.cut(parts[i], error.records[i]) for i in letters]
        if not any(cut):
            raise error

    def _make_topic(self) -> None:
        """Make the topic of dead letters again, if somebody has deleted it. Raises LogError."""
        if self._topics.deadletter not in self._log.topics():
            make_again(self._log, self._topics, "deadletter")

    def close(self) -> None:
        self.channel.close()
