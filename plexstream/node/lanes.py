"""The way out by transactions: output records, dead letters and snapshots, beside the worker's thread.

Each partition has a transactional id of its own, so that a newer owner fences an older one there, whatever
worker either runs in. The position that a commit carries says up to which turn outputs have left; it is
read back when the transaction is opened, so that nothing leaves twice.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from plexstream.log.base import Log, Transaction
from plexstream.model.errors import Fenced, LogError, LogUnavailable
from plexstream.model.journal import Step, Turn
from plexstream.model.topics import Topics
from plexstream.node.encode import Output, outputs
from plexstream.node.topology import output
from plexstream.schema.codec import decode_dead_letter, is_claim

_log = logging.getLogger("plexstream.node")

MAX_TURNS = 5_000
"""Turns in one transaction: about 0.3 s of work at full speed, 1 MB of records."""
RETRY_S = 0.2
PACE_S = 0.01
"""Pause between two commits of a lane: what comes meanwhile shares the next one."""
BUSY_TURNS = 100
"""After a commit with so many turns the pause is `BUSY_PACE_S`: each costs 1.3 ms of CPU here, and as much at
the broker, however little is in it."""
BUSY_PACE_S = 0.05
MAX_TOLD = 5
"""Dead letters of one transaction that the log names."""
CLOSE_S = 15.0
READ_S = 5.0


class Saved(NamedTuple):
    """A commit is acknowledged: what it held, by name. -1: nothing of that kind."""

    emitted: int  # all outputs of turns up to this offset have left
    batch: int  # the newest batch of snapshots that it held, by the number that `Lane.save` gave


class Lane:
    """The transactions of one partition. Filled by the worker's thread, emptied by the lane's own."""

    def __init__(self, partition: int, log: Log, topics: Topics) -> None:
        self.partition = partition
        self._log = log
        self._topics = topics
        self._place = (topics.journal, partition)
        self._id = f"{topics.prefix}lane.{partition}"
        self._transaction: Transaction | None = None
        self._position = 0
        self.turns: deque[tuple[int, Turn | Step]] = deque()
        self._batches: deque[tuple[int, list[Output]]] = deque()
        self._numbers = itertools.count()
        self.done: deque[Saved] = deque()
        self.fenced = False
        self.closed = False
        self.life = ""  # of the journal: positions of another one are none of this lane's
        self.known = 0  # the owner knows the journal below this offset; set by the worker's thread
        self.wake = threading.Event()
        self._topics_known: set[str] = set()
        self.backlog = 0  # turns queued or in a transaction

    def submit(self, turns: list[tuple[int, Turn | Step]]) -> None:
        """Queue turns, in the order of their offsets."""
        self.backlog += len(turns)
        self.turns.extend(turns)

    def save(self, records: list[Output]) -> int:
        """Queue records for the snapshot topic, to be committed together. Returns the number of the batch.

        Only a `Saved` with this number or a later one says that they are on the log: that a reader sees
        them does not, since the answers to other commits may still be on their way.
        """
        number = next(self._numbers)
        self._batches.append((number, records))
        return number

    def work(self) -> bool:
        """Whether `step` has something to do."""
        return not (self.closed or self.fenced) and bool(self.turns or self._batches)

    def step(self) -> int:
        """One transaction; returns how many turns it had.

        Raises:
            LogError: nothing was taken from the queues, try again.
        """
        if self._transaction is None:
            self._transaction = self._open()
            if self._transaction is None:
                self._give_up()
                return 0
        count = min(len(self.turns), MAX_TURNS)
        turns = [self.turns[i] for i in range(count)]
        batches = len(self._batches)
        records: list[Output] = []
        for offset, turn in turns:
            if offset >= self._position:
                records.extend(outputs(self._topics, self.partition, offset, turn))
        for i in range(batches):
            records.extend(self._batches[i][1])
        self._make_topics({topic for topic, _, _, _ in records})
        last = turns[-1][0] if turns else -1
        try:
            if records:
                positions = {self._place: last + 1} if last >= self._position else {}
                self._transaction.commit(records, positions)
        except Fenced:
            self._give_up()
            return 0
        except LogError:
            # The outcome is unknown: the position tells, once a new transaction has fenced this one.
            self._drop()
            raise
        self._tell_of_dead_letters(records)
        self._position = max(self._position, last + 1)
        for _ in range(count):
            self.turns.popleft()
        batch = self._batches[batches - 1][0] if batches else -1
        for _ in range(batches):
            self._batches.popleft()
        self.backlog -= count
        self.done.append(Saved(last, batch))
        return count

    def _open(self) -> Transaction | None:
        """Open the transaction; None where the partition is another's.

        To open one fences the lane that was there. A claim that stood before that is seen here, and this
        lane commits nothing; whoever claims afterwards opens a transaction later, and fences this one. So
        nobody's snapshots can come behind those of a newer owner.
        """
        if self._claimed():
            return None  # without fencing the owner
        transaction = self._log.transaction(self._id, self.life)
        try:
            if not self._claimed():
                self._position = self._stored(transaction)
                return transaction
        except LogError:
            transaction.close()
            raise
        transaction.close()
        return None

    def _stored(self, transaction: Transaction) -> int:
        """Up to where outputs have left, in this life of the journal."""
        position = transaction.position(self._place) or 0
        _, end = self._log.range(self._place)
        if position <= end:
            return position
        _log.error(
            "partition %d: outputs have left up to journal offset %d, and the journal ends at %d: it has "
            "lost records. What comes now is new", self.partition, position, end,
        )  # fmt: skip
        return 0

    def _claimed(self) -> bool:
        """Whether somebody has claimed the partition since the journal's offset `known`."""
        at = self.known
        start, end = self._log.range(self._place)
        if start > at:
            return True  # only a newer owner trims what this one has not read
        if at >= end:
            return False
        reader = self._log.reader()
        try:
            reader.assign(self._place, at)
            while at < end:
                records = reader.read(MAX_TURNS, READ_S)
                if not records:
                    raise LogUnavailable(f"{self._place} ends at {end}, but its record {at} does not come")
                if any(is_claim(record.value or b"") for record in records):
                    return True
                at = records[-1].offset + 1
        finally:
            reader.close()
        return False

    def _give_up(self) -> None:
        self.fenced = True
        self.close()

    def _make_topics(self, topics: set[str]) -> None:
        for topic in topics - self._topics_known:
            if self._log.partitions(topic) is None:
                self._log.create([output(topic, self._log.partitions(self._topics.mailbox) or 1)])
            self._topics_known.add(topic)

    def _tell_of_dead_letters(self, records: list[Output]) -> None:
        """Nobody waits for the answer to a tell: the log says that it came to nothing."""
        letters = [value for topic, _, _, value in records if topic == self._topics.deadletter]
        for value in letters[:MAX_TOLD]:
            letter = decode_dead_letter(value or b"")
            what = (
                f"{letter.target}.{letter.handler}"
                if letter.target
                else f"a record of partition {self.partition}"
            )
            _log.warning("put aside: %s: %s: %s", what, letter.reason, letter.detail)
        if len(letters) > MAX_TOLD:
            _log.warning("put aside: %d more of partition %d", len(letters) - MAX_TOLD, self.partition)

    def _drop(self) -> None:
        if self._transaction is not None:
            transaction, self._transaction = self._transaction, None
            transaction.close()

    def close(self) -> None:
        """No more transactions. A commit that runs ends first."""
        self.closed = True
        self._drop()


class Lanes:
    """The lanes of a worker, each on a thread of its own: one that waits for a broker holds up no other.

    Parameters:
        wake: called when something is done, on a lane's thread.
    """

    def __init__(self, log: Log, topics: Topics, wake: Callable[[], None]) -> None:
        self._log = log
        self._topics = topics
        self._wake = wake
        self._lanes: list[Lane] = []
        self._threads: list[threading.Thread] = []

    def open(self, partition: int) -> Lane:
        """A lane for a partition that has been claimed."""
        lane = Lane(partition, self._log, self._topics)
        name = f"plexstream-lane-{partition}"
        thread = threading.Thread(target=self._run, args=(lane,), name=name, daemon=True)
        self._lanes.append(lane)
        self._threads = [*(t for t in self._threads if t.is_alive()), thread]
        thread.start()
        return lane

    def kick(self) -> None:
        """There is work."""
        for lane in self._lanes:
            if lane.work():
                lane.wake.set()

    def close_lane(self, lane: Lane) -> None:
        """The partition is gone. What was not committed is the next owner's."""
        lane.closed = True
        self._lanes = [other for other in self._lanes if other is not lane]
        lane.wake.set()

    def close(self) -> None:
        """End every lane; one whose commit hangs is left behind."""
        for lane in list(self._lanes):
            self.close_lane(lane)
        end = time.monotonic() + CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _run(self, lane: Lane) -> None:
        while not lane.closed:
            lane.wake.clear()
            if not lane.work():
                lane.wake.wait(1.0)
                continue
            try:
                turns = lane.step()
            except LogError as error:
                _log.warning("partition %d: outputs wait: %s", lane.partition, error)
                time.sleep(RETRY_S)
            except Exception:
                _log.exception("partition %d: its outputs cannot be committed", lane.partition)
                time.sleep(RETRY_S)
            else:
                self._wake()
                time.sleep(PACE_S if turns < BUSY_TURNS else BUSY_PACE_S)
        lane.close()
