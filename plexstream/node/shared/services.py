"""What a worker lends to the partitions that it drives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from plexstream.log.base import Appender, Log, Reader
from plexstream.log.installation import Control
from plexstream.model.errors import LogError, StoreUnavailable
from plexstream.model.host import ActorHost
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.lanes import Lane
from plexstream.node.shared.clocks import Clocks
from plexstream.node.shared.flying import Flying
from plexstream.processor import EffectCall, Settings, Store

T = TypeVar("T")


class WipeableStore(Store, Protocol):
    """A store that can begin anew."""

    def wipe(self) -> None: ...
    def close(self) -> None: ...


Opened = WipeableStore | StoreUnavailable | LogError
"""A store, or why there is none for now."""
Wiped = StoreUnavailable | LogError | None
"""None, or why a store is not empty."""


class Services(Protocol):
    """The log's clients, shared by the partitions of a worker, and what else they need."""

    log: Log
    control: Control
    topics: Topics
    partitions: int
    node: str
    process: str  # another one each time that the worker's process is started
    host: ActorHost
    settings: Settings
    appender: Appender
    mailbox: Reader
    journal: Reader
    snapshots: Reader
    flying: Flying
    clocks: Clocks

    def open_store(self, owner: object, partition: int, then: Callable[[Opened], None]) -> None:
        """Have it opened on another thread; the owner gets it as from `ask`, and has to close it anyway."""

    def wipe_store(self, owner: object, partition: int, then: Callable[[Wiped], None]) -> None:
        """Have the open one emptied; it must not be used until the owner is told."""

    def close_store(self, partition: int, wipe: bool = False) -> None:
        """Have it closed, whether it is open or about to be. It must not be used any more."""

    def open_lane(self, partition: int) -> Lane: ...
    def close_lane(self, lane: Lane) -> None: ...
    def kick_lanes(self) -> None: ...
    def run_effect(self, driver: object, call: EffectCall) -> None: ...
    def ask(
        self, owner: object, partition: int, question: Callable[[], T], then: Callable[[T | LogError], None]
    ) -> None:
        """Have `question` asked of the log on another thread: it may wait for a broker.

        It must touch nothing else. Some time later the owner, a driver, gets what it returned or the LogError
        that it raised, by ``answered(then, …)``.
        """

    def now(self) -> int: ...
    def elapsed(self) -> float: ...
