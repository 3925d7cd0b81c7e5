"""What a worker has, and lends to the partitions that it drives."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from plexstream.log.base import Appender, Log, Reader
from plexstream.log.installation import Control
from plexstream.model.errors import LogError
from plexstream.model.host import ActorHost
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.lanes import Lane, Lanes
from plexstream.node.partition.outgoing.effects import Effects
from plexstream.node.shared.clocks import Clocks
from plexstream.node.shared.desk import Desk
from plexstream.node.shared.flying import Flying
from plexstream.node.shared.services import Opened, Wiped
from plexstream.node.shared.stores import Stores
from plexstream.processor import EffectCall, Settings

T = TypeVar("T")

EFFECT_THREADS = 64
"""Plain functions of one type that may block at the same time; ``async def`` ones are not limited."""


class Equipment:
    """Clients of the log, state stores, lanes, threads for what may wait, a clock: the `Services` of drivers.

    Parameters:
        log: an open log; this makes its own clients of it.
        state_dir: where the state stores are.
        node: the name in claims.
        control: what the installation says of itself; by default it is asked now.
        clock: seconds since the epoch.

    Attributes:
        announced: whether acknowledgements end the wait for records.
    """

    def __init__(
        self,
        log: Log,
        topics: Topics,
        partitions: int,
        host: ActorHost,
        settings: Settings,
        state_dir: Path,
        node: str,
        control: Control | None,
        clock: Callable[[], float],
    ) -> None:
        self.log = log
        self.topics = topics
        self.partitions = partitions
        self.host = host
        self.settings = settings
        self.node = node
        self.process = uuid.uuid4().hex
        self._clock = clock
        self._now = round(clock() * 1000)
        self.mailbox: Reader = log.reader()
        self._equip()
        self.journal: Reader = log.reader()
        self.snapshots: Reader = log.reader(committed=True)
        self.flying = Flying()
        self.clocks = Clocks(node)
        self.stores = Stores(state_dir, settings.store_memory, self.mailbox.wake)
        self.lanes = Lanes(log, topics, self.mailbox.wake)
        self.effects = Effects(EFFECT_THREADS, self.mailbox.wake)
        self.control = control or Control(log, topics)
        if control is None:
            with suppress(LogError):  # asked again by who needs it
                self.control.read()
        self.desk = Desk(self.mailbox.wake)

    # What drivers use

    def now(self) -> int:
        """Milliseconds since the epoch, as of the last `look_at_the_clock`."""
        return self._now

    def elapsed(self) -> float:
        """Seconds of a clock that only goes forward."""
        return time.monotonic()

    def open_store(self, owner: object, partition: int, then: Callable[[Opened], None]) -> None:
        self.stores.open(owner, partition, then)

    def wipe_store(self, owner: object, partition: int, then: Callable[[Wiped], None]) -> None:
        self.stores.wipe(owner, partition, then)

    def close_store(self, partition: int, wipe: bool = False) -> None:
        self.stores.close(partition, wipe)

    def open_lane(self, partition: int) -> Lane:
        return self.lanes.open(partition)

    def close_lane(self, lane: Lane) -> None:
        self.lanes.close_lane(lane)

    def kick_lanes(self) -> None:
        self.lanes.kick()

    def run_effect(self, driver: object, call: EffectCall) -> None:
        self.effects.run(driver, call)

    def ask(
        self, owner: object, partition: int, question: Callable[[], T], then: Callable[[T | LogError], None]
    ) -> None:
        self.desk.ask(owner, partition, question, then)

    # What the worker uses

    def look_at_the_clock(self) -> int:
        """Take the time for what comes now. Returns how many ms have passed; below 0 if it was set back."""
        before, self._now = self._now, round(self._clock() * 1000)
        return self._now - before

    def replace_appender(self) -> None:
        """The one that there is takes nothing more. Raises whatever keeps another one from being made."""
        self.flying = Flying()
        self.appender.close()
        self._equip()

    def _equip(self) -> None:
        self.appender: Appender = self.log.appender()
        self.announced = self.appender.announce(self.mailbox.wake)

    def close(self) -> None:
        """Release the log's clients."""
        self.lanes.close()
        self.effects.close()
        self.desk.close()
        self.stores.end()
        for client in (self.mailbox, self.journal, self.snapshots, self.appender):
            client.close()
