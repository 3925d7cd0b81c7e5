"""What a processor and an actor host say to each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from plexstream.model.journal import Change, Out
from plexstream.model.snapshot import Snapshot


class CronInfo(NamedTuple):
    """A handler that every actor of a type calls by a schedule, as text of a `Schedule`."""

    handler: str
    schedule: str


class TypeInfo(NamedTuple):
    """What a processor must know of an actor type. Times are in milliseconds."""

    name: str
    version: str  # of its code
    idle_timeout: int
    max_active: int
    state_ttl: int  # 0: kept for ever
    retry_attempts: int
    retry_delays: tuple[int, ...]  # before attempt 2, 3, …; the last one repeats
    snapshot_turns: int
    snapshot_interval: int  # 0: not by time; -1: as configured
    snapshot_on_deactivation: bool
    hooks: frozenset[str] = frozenset()  # those of `model.life.HOOKS` that it declares
    crons: tuple[CronInfo, ...] = ()


class Result(NamedTuple):
    """How a message was handled. After anything but "" as `code` the actor is as it was before.

    `read_only`: nothing was changed and nothing may have been: no turn is needed.
    """

    code: str  # "" or that of a CallError
    value: bytes  # the result as JSON; where `code`: nothing
    patch: list[Change]
    outs: list[Out]
    read_only: bool = False
    detail: str = ""
    data: Any = None


class Reader(Protocol):
    """How an actor host reads what an actor that is loaded has besides its plain fields."""

    def get(self, field: str, key: str) -> bytes | None: ...
    def scan(self, field: str) -> Iterator[tuple[str, bytes]]: ...
    def timer(self, id: str) -> Snapshot | None: ...
    def timers(self) -> Iterator[Snapshot]: ...


class ActorHost(Protocol):
    """Runs handlers. `instance` is its own; the processor only keeps it."""

    def type_info(self, type: str) -> TypeInfo | None:
        """What is known of an actor type; None if there is no such type."""

    def versions(self) -> dict[str, str]:
        """Every type with the version of its code."""

    def activate(self, type: str, address: str, fields: Mapping[str, bytes], reader: Reader) -> Any:
        """Load an actor from its plain fields."""

    def invoke(
        self,
        instance: Any,
        handler: str,
        payload: bytes,
        seq: int,
        now: int,
        sender: str,
        message_id: str,
        must_read: bool,
    ) -> Result:
        """Handle one message as turn number `seq` at time `now` (ms).

        With `must_read`, only by a read-only handler.
        """

    def deactivate(self, instance: Any) -> None:
        """The actor leaves memory. Nothing of it is kept."""
