"""The ways out by transactions, beside the worker: one for outputs, one for snapshots and dead letters.

Each has a transactional id of its own, so that a newer owner fences an older one there, whatever worker
either runs in, and so that outputs that cannot leave hold up nothing else. The position that a commit carries
says up to which turn all has left; it is read back when a channel is opened, so that nothing leaves twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from plexstream.log.base import Log
from plexstream.model.errors import Fenced, LogError
from plexstream.model.journal.journal import Step, Turn
from plexstream.model.process.threads import Lasting
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.channel import Channel
from plexstream.node.lanes.keeping import Keeping
from plexstream.node.lanes.leaving.leaving import Saved
from plexstream.node.lanes.outputs import Outputs
from plexstream.node.lanes.records.encode import Output

_log = logging.getLogger("plexstream.node")

RETRY_S = 0.2
PACE_S = 0.01
"""Pause between two commits of a way: what comes meanwhile shares the next one."""
BUSY_TURNS = 100
"""After a commit with so many turns the pause is `BUSY_PACE_S`: each costs 1.3 ms of CPU here, and as much at
the broker, however little is in it."""
BUSY_PACE_S = 0.05
CLOSE_S = 2.0

Way = Keeping | Outputs


class Lane:
    """The ways out of one partition. Filled by the worker's thread, each emptied by a thread of its own."""

    def __init__(self, partition: int, log: Log, topics: Topics) -> None:
        self.partition = partition
        journal = topics.journal, partition
        id = f"{topics.prefix}lane.{partition}"
        witness = topics.control, 0
        self.done: deque[Saved] = deque()
        self.keeping = Keeping(Channel(log, journal, id, witness), log, topics, partition, self.done)
        self.outputs = Outputs(
            Channel(log, journal, f"{id}.out", witness), log, topics, partition, self.done, self.keeping
        )
        self.ways: tuple[Keeping, Outputs] = self.keeping, self.outputs
        self.wakes = {way: threading.Event() for way in self.ways}
        self.closed = False

    @property
    def known(self) -> int:
        """The owner knows the journal below this offset."""
        return self.keeping.channel.known

    @known.setter
    def known(self, offset: int) -> None:
        for way in self.ways:
            way.channel.known = offset

    @property
    def life(self) -> str:
        """Of the journal: positions in another one are none of this lane's."""
        return self.keeping.channel.life

    @life.setter
    def life(self, life: str) -> None:
        for way in self.ways:
            way.channel.life = life

    @property
    def fenced(self) -> bool:
        """Whether a newer owner was found."""
        return self.keeping.fenced or self.outputs.fenced

    @property
    def blocked(self) -> bool:
        """Whether something cannot leave for now."""
        return any(way.blocked for way in self.ways)

    @property
    def backlog(self) -> int:
        """Turns queued or in a transaction."""
        return self.keeping.turns.count + self.outputs.turns.count

    @property
    def backlog_bytes(self) -> int:
        """About how much memory these take."""
        return self.keeping.turns.bytes + self.outputs.turns.bytes

    @property
    def snapshots(self) -> Sequence[object]:
        """Batches of snapshots queued or in a transaction."""
        return self.keeping.batches

    def submit(self, turns: list[tuple[int, Turn | Step]]) -> None:
        """Queue the outputs of turns, in the order of their offsets."""
        self.keeping.asked = self.keeping.asked or bool(turns)
        self.outputs.turns.add(turns)

    def put_aside(self, turns: list[tuple[int, Turn | Step]]) -> None:
        """Queue the dead letters of turns, in the order of their offsets."""
        self.keeping.turns.add(turns)

    def save(self, records: list[Output]) -> int:
        """Queue records for the snapshot topic, to be committed together. Returns the number of the batch.

        Only a `Saved` with this number or a later one says that they are on the log: that a reader sees
        them does not, since the answers to other commits may still be on their way.
        """
        return self.keeping.save(records)

    def work(self) -> bool:
        """Whether any of the ways has something to do."""
        return not self.closed and any(way.work() for way in self.ways)

    def step(self, way: Way) -> int:
        """One transaction; returns how many turns it had.

        Raises:
            LogError: nothing was taken from the queues, try again.
        """
        try:
            turns = way.step()
        except Fenced:
            way.fenced = True
            way.close()
            return 0
        except LogError:
            way.blocked = True
            raise
        way.blocked = False
        return turns

    def close(self) -> None:
        """No more transactions."""
        self.closed = True
        for way in self.ways:
            way.close()


class Lanes:
    """The lanes of a worker, each way on a thread of its own: one that waits for a broker holds up no other.

    Parameters:
        wake: called when something is done, on a way's thread.
    """

    def __init__(self, log: Log, topics: Topics, wake: Callable[[], None]) -> None:
        self._log = log
        self._topics = topics
        self._wake = wake
        self._lanes: list[Lane] = []
        self._threads: list[Lasting] = []

    def open(self, partition: int) -> Lane:
        """A lane for a partition that has been claimed."""
        lane = Lane(partition, self._log, self._topics)
        self._lanes.append(lane)
        self._threads = [t for t in self._threads if t.is_alive()]
        for way in lane.ways:
            thread = Lasting(way.kind, partial(self._run, lane, way), partial(_is_closed, lane), partition)
            self._threads.append(thread)
            thread.start()
        return lane

    def threads(self) -> list[Lasting]:
        """Those of the lanes that are open."""
        return list(self._threads)

    def kick(self) -> None:
        """There is work."""
        for lane in self._lanes:
            for way in lane.ways:
                if way.work():
                    lane.wakes[way].set()

    def close_lane(self, lane: Lane) -> None:
        """The partition is gone. What was not committed is the next owner's."""
        lane.closed = True
        self._lanes = [other for other in self._lanes if other is not lane]
        for wake in lane.wakes.values():
            wake.set()

    def close(self) -> None:
        """End every lane; one whose commit hangs is left behind."""
        for lane in list(self._lanes):
            self.close_lane(lane)
        end = time.monotonic() + CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _run(self, lane: Lane, way: Way) -> None:
        wake = lane.wakes[way]
        while not lane.closed:
            wake.clear()
            if not way.work():
                wake.wait(1.0)
                continue
            try:
                turns = lane.step(way)
            except LogError as error:
                _log.warning("partition %d: its %s wait: %s", lane.partition, way.name, error)
                time.sleep(RETRY_S)
            except Exception:
                _log.exception("partition %d: its %s cannot be committed", lane.partition, way.name)
                time.sleep(RETRY_S)
            else:
                self._wake()
                for other in lane.wakes.values():  # outputs wait until the other way is open
                    other.set()
                time.sleep(PACE_S if turns < BUSY_TURNS else BUSY_PACE_S)
        way.close()


def _is_closed(lane: Lane) -> bool:
    return lane.closed
