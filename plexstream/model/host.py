"""What a processor and an actor host say to each other."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from plexstream.model.journal.attempt import Undone
from plexstream.model.journal.journal import Begin, Change, Command, Completion, Out, Step
from plexstream.model.journal.snapshot import Snapshot


class CronInfo(NamedTuple):
    """A handler that every actor of a type calls by a schedule, as text of a `Schedule`."""

    handler: str
    schedule: str


class RetryInfo(NamedTuple):
    """How often something is tried, and how many milliseconds lie before attempt 2, 3, …; the last repeats.

    `jitter`: the share by which a wait is made shorter, from 0 to 1.
    """

    attempts: int
    delays: tuple[int, ...]
    jitter: float = 0.0

    def delay(self, failed: int, seed: str) -> int:
        """Milliseconds to wait after so many failed attempts. The same `seed` always has the same jitter."""
        delay = self.delays[min(failed, len(self.delays)) - 1]
        if self.jitter:
            delay = round(delay * (1 - self.jitter * zlib.crc32(f"{seed} {failed}".encode()) / 0xFFFFFFFF))
        return delay


class TypeInfo(NamedTuple):
    """What a processor must know of an actor type. Times are in milliseconds."""

    name: str
    version: str  # of its code
    idle_timeout: int
    max_active: int
    state_ttl: int  # 0: kept for ever
    retry: RetryInfo  # of tells
    snapshot_turns: int
    snapshot_interval: int  # 0: not by time; -1: as configured
    snapshot_on_deactivation: bool
    hooks: frozenset[str] = frozenset()  # those of `model.life.HOOKS` that it declares
    crons: tuple[CronInfo, ...] = ()
    shared: frozenset[str] = frozenset()  # handlers that run while another one waits
    concurrent: bool = False  # all of them do: there is no state
    visible: bool = False  # what a handler changes is seen by others at each of its steps
    retried: Mapping[str, RetryInfo] = {}
    run: str = ""  # a workflow's run handler
    init: bool = False  # whether it has an init hook
    crash: bool = False  # whether it has a hook for the failure that ends its life
    on_stuck: str = "wait"  # what becomes of a handler whose code does not fit its history; or fail, kill


class Result(NamedTuple):
    """How a message was handled. After anything but "" as `code` the actor is as it was before.

    `read_only`: nothing was changed and nothing may have been: no turn is needed. `undone`: what the handler
    asks for again if it is tried again: the steps whose failure was its own.
    """

    code: str  # "" or that of a CallError
    value: bytes  # the result as JSON; where `code`: nothing
    patch: list[Change]
    outs: list[Out]
    read_only: bool = False
    detail: str = ""
    data: Any = None
    undone: Undone | None = None


class Effect(Protocol):
    """A side effect, to be run off the processor's thread.

    `where` names its actor and step, for people.
    """

    is_async: bool
    where: str

    def run(self, attempt: int, spent: int) -> EffectResult:
        """Run it, on a thread that may block, as attempt number `attempt` (from 1). Raises nothing.

        The first attempt began `spent` ms ago.
        """

    async def run_async(self, attempt: int, spent: int) -> EffectResult:
        """The same on an event loop."""


class EffectResult(NamedTuple):
    """What a side effect came to. `value` is as in a `Completion`.

    `retry_after` >= 0: it is to be run again after so many milliseconds, `attempts` times in all.
    """

    failed: bool
    value: bytes
    retry_after: int = -1
    attempts: int = 1


class Suspended(NamedTuple):
    """The handler waits. `task` is the host's own: it goes on by `ActorHost.resume`.

    What else there is came about since it began or went on: `commands` that it asked for, `done` those of
    them that are known already, `effects` to run by the number of their command, changes that others see from
    now on, messages that leave with this step.
    """

    task: Any
    commands: list[Command]
    done: list[Completion]
    effects: Mapping[int, Effect]
    patch: list[Change]
    outs: list[Out]
    base: list[Change] | None = None  # plain fields when it began, where others may change them meanwhile
    ran: bool = False  # a replay: it has gone on with what was noted for it, or has begun


class Again(NamedTuple):
    """A workflow's run ends, and the next begins with other arguments."""

    payload: bytes
    patch: list[Change]
    outs: list[Out]
    base: list[Change]  # plain fields as the next run begins


Outcome = Result | Suspended | Again


class Reader(Protocol):
    """How an actor host reads what an actor that is loaded has besides its plain fields."""

    def get(self, field: str, key: str) -> bytes | None: ...
    def entries(
        self, field: str, start: str = "", stop: str | None = None, reverse: bool = False, chunk: int = 8
    ) -> Iterator[tuple[str, bytes]]:
        """Entries of a collection in the order of their keys' UTF-8, from `start` to before `stop`.

        They are read as they are taken, at first `chunk` at once, and each is as it is then. `reverse`: the
        last first.
        """

    def fields(self) -> Mapping[str, bytes]:
        """The plain fields as of the latest turn or step."""

    def apply(self, patch: Sequence[Change]) -> None:
        """What has changed while a handler runs again from a state of before; else nothing is to be done."""

    def timer(self, id: str) -> Snapshot | None: ...
    def timers(self) -> Iterator[Snapshot]: ...


PlainInvoke = Callable[[Any, str, bytes, int, int, str, str, str], Outcome | None]
"""Instance, handler, payload, seq, now, sender, id of the message, who waits: see `ActorHost.plain`."""


class ActorHost(Protocol):
    """Runs handlers. `instance` is its own; the processor only keeps it.

    Attributes:
        plain: does what `invoke` does, faster, for what is plain: a message for an actor that has begun.
            It returns None, and has done nothing, where it is not. None: there is no such thing.
    """

    plain: PlainInvoke | None

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
        chain: str = "",
        fresh: bool | None = None,
        reply_to: str = "",
    ) -> Outcome:
        """Handle one message as turn number `seq` at time `now` (ms).

        With `must_read`, only by a read-only handler. `chain` goes with what it asks of others. `fresh`: the
        actor begins, perhaps anew, so that its init hook runs first; None: as its turn number says.
        `reply_to`: who waits for the answer, which may be another turn's (`OutKind.LATER`).
        """

    def resume(self, task: Any, completion: Completion, now: int) -> Outcome:
        """Tell a waiting handler of a completion; it goes on if that is what it waits for."""

    def replay(
        self, instance: Any, begin: Begin, seq: int, history: Sequence[Step], now: int = 0
    ) -> Outcome:
        """Run a handler again from its start with what is recorded, until it waits for what is not.

        What is noted is fed where the handler went on after that, by the records; or at the end, at `now`.
        Effects of recorded commands that are not completed are given again.
        """

    def drop(self, task: Any) -> None:
        """A waiting handler leaves memory; `replay` brings it back.

        Its instance is as of the actor's latest turn again.
        """

    def twin(self, instance: Any) -> Any:
        """Another instance of the actor as of its latest turn, while a waiting handler has the first."""

    def fields(self, instance: Any) -> list[Change]:
        """The plain fields of an instance as of its latest turn or step."""

    def apply(self, instance: Any, patch: Sequence[Change]) -> None:
        """The processor itself has changed the actor's state."""

    def crashed(self, instance: Any, reason: str, seq: int, now: int) -> list[Out]:
        """A failure ends the actor's life: run its hook for that; returns what leaves. Raises nothing."""

    def deactivate(self, instance: Any) -> None:
        """The actor leaves memory. Nothing of it is kept."""
