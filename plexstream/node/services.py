"""What a worker lends to the partitions that it drives."""

from __future__ import annotations

from typing import Protocol

from plexstream.log.base import Appender, Log, Reader
from plexstream.model.host import ActorHost
from plexstream.model.topics import Topics
from plexstream.node.lanes import Lane
from plexstream.processor import EffectCall, Settings, Store


class WipeableStore(Store, Protocol):
    """A store that can begin anew."""

    def wipe(self) -> None: ...
    def close(self) -> None: ...


class Services(Protocol):
    """The log's clients, shared by the partitions of a worker, and what else they need."""

    log: Log
    topics: Topics
    partitions: int
    node: str
    host: ActorHost
    settings: Settings
    appender: Appender
    mailbox: Reader
    journal: Reader
    snapshots: Reader

    def open_store(self, partition: int) -> WipeableStore: ...
    def open_lane(self, partition: int) -> Lane: ...
    def close_lane(self, lane: Lane) -> None: ...
    def kick_lanes(self) -> None: ...
    def run_effect(self, driver: object, call: EffectCall) -> None: ...
    def now(self) -> int: ...
    def elapsed(self) -> float: ...
