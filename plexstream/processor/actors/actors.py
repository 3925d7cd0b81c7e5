"""Actors in memory: loaded on the first message, queued while busy, evicted when idle."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from plexstream.model.address import parse, partition_of
from plexstream.model.attempt import FIELD, Attempt, decode_attempt, encode_attempt
from plexstream.model.errors import BadAddress
from plexstream.model.host import ActorHost, Result, RetryInfo, TypeInfo
from plexstream.model.journal import Change, Out
from plexstream.model.life import START, Life
from plexstream.model.message import Envelope
from plexstream.model.snapshot import Piece, Snapshot
from plexstream.model.text import said
from plexstream.model.workflow import PROMISES
from plexstream.processor.actors.lives import Lives, life_change
from plexstream.processor.state.pieces import Pieces

if TYPE_CHECKING:
    from plexstream.processor.waiting.invocation import Invocation

_ENTRY = Piece.ENTRY.value
_UNTRIED = Change(FIELD, None, None)
RAW = "$raw"
"""Field of an actor that has had turns, none of which has run its init hook. No class can declare it."""


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
        self.holder: Invocation | None = None
        self.shared: dict[int, Invocation] = {}  # handlers that wait and keep nobody from running
        self.raw = False  # its init hook is still to run
        self.marked = False  # and the journal says so
        self.evicted = False
        self.ticks: dict[str, Out] = {}  # timers in memory, by name
        self.armed = not info.crons  # whether the timers that its type declares are set


class Refusal(NamedTuple):
    """Why an actor cannot be loaded, as a CallError's code and text."""

    code: str
    detail: str


class EntryReader:
    """How a host reads an actor's collections and timers.

    `hidden`: they have expired, and no turn has said so yet.

    Parameters:
        fields: finds the plain fields of an actor, be they acknowledged or not; None: all are.
    """

    __slots__ = ("_address", "_fields", "_pieces", "hidden")

    def __init__(
        self, pieces: Pieces, address: str, fields: Callable[[str], Mapping[str, bytes]] | None = None
    ) -> None:
        self._pieces = pieces
        self._address = address
        self._fields = fields
        self.hidden = False

    def get(self, field: str, key: str) -> bytes | None:
        return None if self.hidden else self._pieces.entry((_ENTRY, self._address, field, key))

    def scan(self, field: str) -> Iterator[tuple[str, bytes]]:
        if self.hidden:
            return iter(())
        return ((key, value) for _, key, value in self._pieces.entries(self._address, field))

    def fields(self) -> Mapping[str, bytes]:
        if self.hidden:
            return {}
        if self._fields is not None:
            return self._fields(self._address)
        return self._pieces.core(self._address).fields

    def timer(self, id: str) -> Snapshot | None:
        return self._pieces.newest_timer(self._address, id)

    def timers(self) -> Iterator[Snapshot]:
        return self._pieces.timers_of(self._address)

    def apply(self, patch: Sequence[Change]) -> None:
        """Nothing: the pieces know."""


class PastReader:
    """How a host reads collections while a handler runs again from a state of before; then `now` is asked.

    Promises are read as they are: what the handler has seen of them before is recorded, look by look, and
    others may have settled them who do not show in its records.

    Parameters:
        base: the state of before.
        present: None: promises are read as they were.
    """

    __slots__ = ("_entries", "_present", "now")

    def __init__(self, base: Sequence[Change], present: EntryReader | None = None) -> None:
        self._entries = {(c.field, c.key): c.value for c in base if c.key is not None and c.value is not None}
        self._present = present
        self.now: EntryReader | None = None

    def fields(self) -> Mapping[str, bytes]:
        return {} if self.now is None else self.now.fields()

    def timer(self, id: str) -> Snapshot | None:
        return None if self.now is None else self.now.timer(id)

    def timers(self) -> Iterator[Snapshot]:
        return iter(()) if self.now is None else self.now.timers()

    def get(self, field: str, key: str) -> bytes | None:
        reader = self._present if self.now is None and field == PROMISES else self.now
        return self._entries.get((field, key)) if reader is None else reader.get(field, key)

    def scan(self, field: str) -> Iterator[tuple[str, bytes]]:
        if self.now is not None:
            return self.now.scan(field)
        return iter([(k, v) for (f, k), v in sorted(self._entries.items()) if f == field])

    def apply(self, patch: Sequence[Change]) -> None:
        for field, key, value in patch:
            if key is not None and value is None:
                self._entries.pop((field, key), None)
            elif key is not None and value is not None:
                self._entries[field, key] = value


class Actors:
    """The actors of one partition that are in memory."""

    def __init__(self, host: ActorHost, pieces: Pieces, partition: int, partitions: int) -> None:
        self._host = host
        self._pieces = pieces
        self._partition = partition
        self._partitions = partitions
        self.lives = Lives(pieces)
        self.active: dict[str, Actor] = {}
        self.busy: dict[str, Actor] = {}
        self._by_type: dict[str, int] = {}
        self.on_load: Callable[[Actor], None] = lambda _: None
        self.to_save: list[str] = []  # evicted actors whose type wants a snapshot then

    def load(self, address: str, now: int) -> Actor | Refusal:
        """Load the actor at `address`; a refusal where it cannot be."""
        refusal = self._refusal(address)
        if refusal is not None:
            return refusal
        parts = parse(address)
        info = self._host.type_info(parts.type)
        assert info is not None
        core = self._pieces.core(address)
        reader = EntryReader(self._pieces, address, self._fields)
        try:
            instance = self._host.activate(parts.type, address, core.fields, reader)
        except Exception as error:  # the user's hook, or state that the code no longer accepts
            return Refusal("failed", f"{parts.short} cannot be loaded: {said(error)}")
        count = self._by_type[parts.type] = self._by_type.get(parts.type, 0) + 1
        if count > info.max_active:
            # Before the new one is among them: evicted at once, its first turn would be forgotten.
            self._make_room(parts.type, info.max_active)
        actor = self.active[address] = Actor(
            address, info, instance, reader, core.seq, core.time, now, self.lives.of(address)
        )  # fmt: skip
        actor.marked = RAW in core.fields
        actor.raw = info.init and (core.seq == 0 or actor.marked)
        self.on_load(actor)
        actor.tried = tried = self._kept_attempt(address)
        if tried is not None and tried.next > now and actor.holder is None:
            # The tell is about to be read again: it and all behind it wait for its time.
            actor.queue = deque()
            actor.retry_at = tried.next
            self.busy[address] = actor
        return actor

    def _refusal(self, address: str) -> Refusal | None:
        """Why no actor can be at `address` here; None where one can."""
        try:
            parts = parse(address)
        except BadAddress as error:
            return Refusal("bad_arguments", str(error))
        if str(parts) != address:
            return Refusal("bad_arguments", f"address {address!r} is not in its full form {str(parts)!r}")
        home = partition_of(address, self._partitions)
        if home != self._partition:
            return Refusal(
                "bad_arguments",
                f"{address} belongs to partition {home}, but the message came in partition "
                f"{self._partition}: "
                "key it by the address and partition by murmur2, as Java clients do",
            )
        if self._host.type_info(parts.type) is None:
            known = ", ".join(sorted(self._host.versions())) or "none"
            return Refusal("unknown_type", f"no actor type {parts.type!r} is deployed; known are {known}")
        return None

    def twin(self, actor: Actor) -> None:
        """Give an actor an instance as of its latest turn, where a waiting handler has the one it had."""
        if actor.instance is None and actor.holder is not None and actor.holder.instance is not None:
            actor.instance = self._host.twin(actor.holder.instance)
        elif actor.instance is None:
            fields = self._pieces.core(actor.address).fields
            actor.reader = EntryReader(self._pieces, actor.address, self._fields)
            actor.instance = self._host.activate(actor.info.name, actor.address, fields, actor.reader)

    def _fields(self, address: str) -> Mapping[str, bytes]:
        """The plain fields of an actor as of its latest turn: not all of that is in the pieces yet."""
        actor = self.active.get(address)
        instance = None if actor is None else actor.instance
        if instance is None and actor is not None and actor.holder is not None:
            instance = actor.holder.instance
        if instance is None:
            return self._pieces.core(address).fields
        return {c.field: c.value for c in self._host.fields(instance) if c.value is not None}

    def make(self, actor: Actor, fields: Sequence[Change]) -> Any:
        """An instance with these plain fields."""
        values = {c.field: c.value for c in fields if c.value is not None}
        return self._host.activate(actor.info.name, actor.address, values, actor.reader)

    def mark_raw(self, actor: Actor) -> list[Change]:
        """A record takes a turn number, but the init hook has not run yet, or not with effect."""
        if not actor.raw or actor.marked:
            return []
        actor.marked = True
        return [Change(RAW, None, b"true")]

    def initialised(self, actor: Actor) -> list[Change]:
        """The init hook has run, and what it did takes effect."""
        if not actor.raw:
            return []
        actor.raw, marked, actor.marked = False, actor.marked, False
        return [Change(RAW, None, None)] if marked else []

    def past(self, actor: Actor, base: Sequence[Change]) -> PastReader:
        """Give an actor the instance that it was at an earlier time."""
        fields = {c.field: c.value for c in base if c.key is None and c.value is not None}
        reader = PastReader(base, actor.reader)
        actor.instance = self._host.activate(actor.info.name, actor.address, fields, reader)
        return reader

    def renew(self, actor: Actor) -> None:
        """Make an actor's state that of a new one; its turn numbers go on."""
        actor.reader = EntryReader(self._pieces, actor.address, self._fields)
        actor.reader.hidden = True
        actor.instance = self._host.activate(actor.info.name, actor.address, {}, actor.reader)
        actor.raw, actor.marked = actor.info.init, False

    def tried(self, actor: Actor, e: Envelope) -> Attempt | None:
        """The latest attempt of a message, if it has failed before."""
        tried = actor.tried
        return tried if tried is not None and tried.cause == _cause(e) else None

    def not_before(self, e: Envelope) -> int:
        """When a message may be tried, in ms since the epoch. Its actor is not loaded for that."""
        actor = self.active.get(e.target)
        tried = actor.tried if actor is not None else self._kept_attempt(e.target)
        return tried.next if tried is not None and tried.cause == _cause(e) else 0

    def try_again(self, actor: Actor, e: Envelope, now: int, retry: RetryInfo, why: Result) -> Change:
        """A tell has failed, and is tried again: what notes that down."""
        tried = self.tried(actor, e)
        number, began = (1, now) if tried is None else (tried.number + 1, tried.began)
        actor.retry_at = now + retry.delay(number, e.id)
        actor.tried = Attempt(
            number, retry.attempts, began, actor.retry_at, why.code, why.detail, -1, _cause(e), e.handler
        )
        return Change(FIELD, None, encode_attempt(actor.tried))

    def end_trying(self, actor: Actor, e: Envelope) -> list[Change]:
        """A message is done with: what forgets its attempts, if it has any."""
        if self.tried(actor, e) is None:
            return []
        actor.tried = None
        return [_UNTRIED]

    def _kept_attempt(self, address: str) -> Attempt | None:
        return decode_attempt(self._pieces.core(address).fields.get(FIELD))

    def live_on(self, actor: Actor, life: Life | None) -> list[Change]:
        """A turn has this life as its outcome: the change that this is, if any."""
        if life is None or life == actor.life:
            return []
        actor.life = life
        self.lives.keep(actor.address, life, loaded=True)
        return [life_change(life)]

    def started(self, actor: Actor) -> list[Out]:
        """The start that had to wait is over: its parent is told."""
        return self.lives.started(actor.life)

    def start_failed(self, actor: Actor, code: str, detail: str) -> tuple[list[Change], list[Out]]:
        """The start that had to wait has failed: the life that had begun ends."""
        assert actor.life is not None
        ruling = self.lives.start_failed(actor.address, actor.life, code, detail)
        return [*ruling.changes, *self.live_on(actor, ruling.life)], ruling.outs

    def failed(self, e: Envelope, code: str, detail: str) -> tuple[list[Change], list[Out]]:
        """A message has failed for good: what that changes in its actor's life, and who is told of it.

        The actor need not be in memory, and is not loaded: that may be what killed the process.
        """
        actor = self.active.get(e.target)
        if actor is not None:
            ruling = self.lives.failed(e.target, actor.life, e, code, detail)
            ended = self.end_trying(actor, e)
            last = self._crashed(actor, ruling.life, e, code, detail)
            return [*ended, *ruling.changes, *self.live_on(actor, ruling.life)], [*last, *ruling.outs]
        here = self._refusal(e.target) is None
        life = self.lives.of(e.target) if here else None
        tried = self._kept_attempt(e.target) if here else None
        ended = [_UNTRIED] if tried is not None and tried.cause == _cause(e) else []
        ruling = self.lives.failed(e.target, life, e, code, detail)
        if not here or ruling.life is None:
            return ended, ruling.outs
        self.lives.keep(e.target, ruling.life, loaded=False)
        return [*ended, *ruling.changes, life_change(ruling.life)], ruling.outs

    def _crashed(self, actor: Actor, life: Life | None, e: Envelope, code: str, detail: str) -> list[Out]:
        """What an actor sends whose life a failure ends."""
        ends = life is not None and life != actor.life and (life.stopped or life.failed)
        if not ends or not actor.info.crash or e.handler == START or code == "poisoned":
            return []
        self.twin(actor)
        now = max(actor.last, actor.time)
        return self._host.crashed(actor.instance, f"{code}: {detail}", actor.seq + 1, now)

    def _make_room(self, type: str, keep: int) -> None:
        acknowledged = self.acknowledged_group
        spare = sorted(
            (a for a in self.active.values() if a.info.name == type and _free(a, acknowledged)),
            key=lambda a: a.last,
        )
        # A tenth more than needed, so that the sort is paid once in many loads.
        for actor in spare[: self._by_type[type] - keep + keep // 10]:
            self.evict(actor)

    acknowledged_group = 0
    """Number of the latest append that is acknowledged: only actors without later turns can leave."""

    def evict(self, actor: Actor) -> None:
        """The actor leaves memory; its state is in the journal."""
        if actor.instance is not None:
            self._host.deactivate(actor.instance)
        del self.active[actor.address]
        actor.evicted = True
        self._by_type[actor.info.name] -= 1
        if actor.info.snapshot_on_deactivation:
            self.to_save.append(actor.address)

    def abandon(self) -> None:
        """The partition is gone: all actors leave memory."""
        for actor in self.active.values():
            if actor.instance is not None:
                self._host.deactivate(actor.instance)
        self.active.clear()
        self.busy.clear()

    def evict_idle(self, now: int) -> None:
        """Evict who has had no message for its idle timeout."""
        for actor in list(self.active.values()):
            if now - actor.last >= actor.info.idle_timeout and _free(actor, self.acknowledged_group):
                self.evict(actor)

    def next_retry(self) -> int | None:
        """When the next busy actor is tried again, in ms since the epoch."""
        return min((a.retry_at for a in self.busy.values()), default=None)


def _cause(e: Envelope) -> str:
    """What tells a message of an actor from its others."""
    return f"{e.id}/{e.origin_seq}"


def _free(actor: Actor, acknowledged: int) -> bool:
    return actor.queue is None and actor.group <= acknowledged and actor.holder is None and not actor.shared
