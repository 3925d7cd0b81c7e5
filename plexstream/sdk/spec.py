"""What a decorated class declares, as plain data for the actor hosts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

FieldKind = Literal["plain", "map", "list"]
Invocation = Literal["call", "cast"]
Behaviour = Literal["actor", "gen_server", "gen_fsm", "gen_event", "event_sourced"]
Role = Literal["", "run", "signal", "query"]
Kind = Literal["object", "service", "workflow"]
OnStuck = Literal["wait", "fail", "kill"]

_MOST: Final = 2**31 - 1
MAX_SECONDS: Final = 10 * 365 * 86400
"""Ten years: what any wait is at most."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How a tell whose handler raised is tried again. After the last attempt it goes to ``deadletter``.

    Parameters:
        attempts: how often it is tried in all, at most 2**31 - 1.
        interval: seconds before the second attempt.
        factor: by which the wait grows from attempt to attempt.
        max_interval: seconds that a wait does not exceed, at most ten years.
        jitter: share by which a wait is made shorter at random, from 0 to 1.
        max_duration: seconds after which it is not tried again; 0: no limit.
    """

    attempts: int = 5
    interval: float = 0.1
    factor: float = 2.0
    max_interval: float = 10.0
    jitter: float = 0.0
    max_duration: float = 0.0

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts > _MOST:
            raise ValueError(f"{self}: attempts is a whole number up to {_MOST}, which is for ever")
        for name in ("interval", "factor", "max_interval", "jitter", "max_duration"):
            value: object = getattr(self, name)
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{self}: {name} is a finite number, of seconds where it is a time")
        if self.max_interval > MAX_SECONDS:
            raise ValueError(f"{self}: max_interval is at most {MAX_SECONDS} seconds")
        if self.attempts < 1 or self.interval < 0 or self.factor < 1 or self.max_interval < 0:
            raise ValueError(f"{self}: attempts and factor are at least 1, intervals are not negative")
        if not 0 <= self.jitter <= 1 or self.max_duration < 0:
            raise ValueError(f"{self}: jitter is from 0 to 1, max_duration not negative")

    def delay(self, attempt: int) -> float:
        """Seconds to wait after the failed attempt number `attempt` (from 1)."""
        try:
            return min(self.interval * self.factor ** (attempt - 1), self.max_interval)
        except OverflowError:  # after a thousand attempts
            return self.max_interval


def check_retry(where: str, retry: object) -> None:
    """Raises TypeError where `retry` is no Retry."""
    if not isinstance(retry, Retry):
        raise TypeError(f"{where}: retry={retry!r} is no policy: write retry=Retry(attempts=…)")


@dataclass(frozen=True, slots=True)
class Snapshots:
    """When an actor's state is copied to the snapshot topic, which bounds what a rebuild must replay.

    Parameters:
        turns: at the latest after so many turns of the actor; 0: not by turns.
        seconds: at the latest after so much time; 0: not by time; None: as configured (60 by default).
        on_deactivation: whenever the actor is evicted from memory.
    """

    turns: int = 0
    seconds: float | None = None
    on_deactivation: bool = False


@dataclass(frozen=True, slots=True)
class EventLog:
    """How an event-sourced actor keeps its events.

    Parameters:
        fold: version of the folds. An actor with another one is folded anew, by its next turn.
        keep: how many of the last events stay; 0: all. Without the first ones nothing is folded anew.
    """

    fold: int = 1
    keep: int = 0

    def __post_init__(self) -> None:
        if self.fold < 1 or self.keep < 0:
            raise ValueError(f"{self}: fold is at least 1, keep is not negative")
        if self.fold > 1 and self.keep:
            raise ValueError(f"{self}: to fold anew takes every event: write keep=0, or leave fold as it was")


@dataclass(frozen=True, slots=True)
class Field:
    """One declared piece of durable state."""

    name: str
    kind: FieldKind
    annotation: Any
    default: Any = None
    factory: Callable[[], Any] | None = None
    was: str | None = None  # the name under which older code stored it
    key: Any = str  # the type of a map's keys

    def initial(self) -> Any:
        """The value of a plain field in a new actor."""
        return self.factory() if self.factory else self.default


@dataclass(frozen=True, slots=True)
class Handler:
    """One message name that an actor answers to."""

    name: str
    function: Callable[..., Any]
    read_only: bool
    invocation: Invocation = "call"  # a cast has no result
    role: Role = ""  # in a workflow
    retry: Retry | None = None  # None: as its actor type
    shared: bool = False  # it runs while others wait


@dataclass(frozen=True, slots=True)
class Subscription:
    """An existing topic whose records become messages."""

    topic: str
    key: str | Callable[[Any], str] | None
    handler: str
    into: str | None


@dataclass(slots=True)
class ActorType:
    """One actor type, as its class declares it.

    `kind`: an object runs its handlers one by one; a service is stateless and runs all of them at the same
    time; a workflow runs once for each id, and takes signals and queries meanwhile.
    """

    name: str
    cls: type
    fields: dict[str, Field]
    handlers: dict[str, Handler]
    init: Callable[..., Any] | None = None
    activate: Callable[..., Any] | None = None
    deactivate: Callable[..., Any] | None = None
    migrate: Callable[..., Any] | None = None
    crash: Callable[..., Any] | None = None
    started: Callable[[Any], None] | None = None  # of a behaviour: after a start has run the init hook
    subscriptions: list[Subscription] = field(default_factory=list)
    idle_timeout: float = 300.0
    max_active: int = 100_000
    state_ttl: float = 0.0
    retry: Retry = Retry()
    snapshots: Snapshots = Snapshots()
    max_state: int = 1_048_576
    events: EventLog = EventLog()
    behaviour: Behaviour = "actor"
    facets: tuple[str, ...] = ()
    kind: Kind = "object"
    on_stuck: OnStuck = "wait"
    hints: list[tuple[str, Any]] = field(default_factory=list)  # what else is read back, and where it stands
