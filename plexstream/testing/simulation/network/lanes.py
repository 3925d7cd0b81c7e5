"""The lanes of a simulated process, without their threads: transactions whose outcome may be known late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from plexstream.log.base import Log
from plexstream.model.errors import LogError
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.lanes import Lane, Way
from plexstream.node.lanes.leaving.leaving import Saved
from plexstream.testing.simulation.network.network import Network


class Lanes:
    """All lanes of one process in one life after the other.

    Parameters:
        node: says which life the process is in.
    """

    def __init__(
        self, network: Network, log: Log, topics: Topics, random: Random, node: Callable[[], str],
        hits: Counter[str], note: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._network = network
        self._log = log
        self._topics = topics
        self._random = random
        self._node = node
        self._hits = hits
        self._note = note
        self._lanes: list[Lane] = []
        self._unanswered: dict[Way, list[Saved]] = {}

    def process_ended(self) -> None:
        """Nobody has a lane any more."""
        self._lanes, self._unanswered = [], {}

    @property
    def busy(self) -> bool:
        """Whether something has yet to leave, or to be known to have left."""
        return bool(self._unanswered) or any(lane.work() for lane in self._lanes)

    def open(self, partition: int) -> Lane:
        lane = Lane(partition, self._log, self._topics)
        self._lanes.append(lane)
        return lane

    def close(self, lane: Lane) -> None:
        lane.closed = True

    def _step_lane(self, lane: Lane) -> None:
        if lane.closed:
            self._lanes.remove(lane)
            for way in lane.ways:
                self._unanswered.pop(way, None)
            lane.close()
            return
        for way in lane.ways:
            self._step_way(lane, way)

    def _step_way(self, lane: Lane, way: Way) -> None:
        if way in self._unanswered:
            if self._network.apart.random() < 0.2:
                lane.done.extend(self._unanswered.pop(way))
        elif way.work():
            before = len(lane.done)
            try:
                lane.step(way)
            except LogError as error:
                self._hits["lane failed"] += 1
                self._note(f"{self._node()} lane {lane.partition}: {error}")
            if len(lane.done) > before and self._network.apart.random() < self._network.odds_late_answer:
                # Everybody sees what is committed, and the lane's thread still waits for the answer.
                self._hits["commit answered late"] += 1
                self._unanswered[way] = [lane.done.pop() for _ in range(len(lane.done) - before)][::-1]
            if lane.fenced:
                self._hits["lane fenced"] += 1
                self._note(f"{self._node()} lane {lane.partition} is fenced")

    def step(self) -> None:
        for lane in list(self._lanes):
            if self._random.random() < 0.7:
                self._step_lane(lane)
