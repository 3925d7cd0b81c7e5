"""One actor in memory, and what waits for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar

from plexstream.model.host import TypeInfo
from plexstream.model.journal.attempt import Attempt
from plexstream.model.journal.journal import Out
from plexstream.model.journal.life import Life
from plexstream.model.messages.message import Envelope
from plexstream.processor.actors.readers import EntryReader

K = TypeVar("K")
V = TypeVar("V")

_NONE: Mapping[Any, Any] = MappingProxyType({})
"""What nearly all actors have of something, and nobody can add to."""


class Holder(Protocol):
    """A handler that waits, as its actor knows it.

    Attributes:
        number: of the invocation.
        begun: whether a record has it that its handler began.
        task: the host's own; None where it is not in memory.
        instance: the actor's, as the handler sees it.
    """

    number: int
    begun: bool
    task: Any
    instance: Any

    def reference(self) -> str: ...


class Waiting(NamedTuple):
    """A message that waits for its actor."""

    topic: str
    offset: int
    envelope: Envelope
    parked: int = 0  # the invocation that stands for it in the journal, if it does


class Actor:
    """One actor that is loaded."""

    __slots__ = (
        "address", "armed", "evicted", "group", "holder", "info", "instance", "last", "life", "marked",
        "queue", "raw", "reader", "retry_at", "seq", "shared", "ticks", "time", "tried",
    )  # fmt: skip

    def __init__(
        self, address: str, info: TypeInfo, instance: Any, reader: EntryReader, seq: int, time: int, now: int,
        life: Life | None,
    ) -> None:  # fmt: skip
        self.address = address
        self.life = life
        self.info = info
        self.instance = instance  # None: it went with a handler that waits
        self.reader = reader
        self.seq = seq  # of its latest turn, acknowledged or not
        self.time = time  # of that turn
        self.last = now  # when it last got a message
        self.group = 0  # number of the append that carries its latest turn
        self.queue: deque[Waiting] | None = None  # not None: busy, its head is tried again at `retry_at`
        self.retry_at = 0
        self.tried: Attempt | None = None  # the latest of a tell that is to be tried again
        # The handler that waits; others wait for it, if they are not shared.
        self.holder: Holder | None = None
        self.shared: Mapping[int, Holder] = _NONE  # handlers that wait and keep nobody from running
        self.raw = False  # its init hook is still to run
        self.marked = False  # and the journal says so
        self.evicted = False
        self.ticks: Mapping[str, Out] = _NONE  # timers in memory, by name
        self.armed = not info.crons  # whether the timers that its type declares are set

    def share(self, holder: Holder) -> None:
        """A handler waits, and keeps nobody from running."""
        self.shared = _with(self.shared, holder.number, holder)

    def unshare(self, number: int) -> None:
        """It waits no more, if it did."""
        self.shared = _without(self.shared, number)

    def tick(self, timer: Out) -> None:
        """A timer in memory is set."""
        self.ticks = _with(self.ticks, timer.id, timer)

    def untick(self, name: str) -> None:
        """It is not any more, if it was."""
        self.ticks = _without(self.ticks, name)


def _with(items: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    found = items if isinstance(items, dict) else {}
    found[key] = value
    return found


def _without(items: Mapping[K, V], key: K) -> Mapping[K, V]:
    if isinstance(items, dict):
        items.pop(key, None)
    return items or _NONE


class Refusal(NamedTuple):
    """Why an actor cannot be loaded, as a CallError's code and text."""

    code: str
    detail: str
