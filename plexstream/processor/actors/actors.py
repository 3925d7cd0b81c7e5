"""Actors in memory: loaded on the first message, evicted when idle."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plexstream.model.errors import BadAddress
from plexstream.model.host import ActorHost, Result, RetryInfo
from plexstream.model.journal.attempt import FIELD, Attempt, decode_attempt, encode_attempt
from plexstream.model.journal.journal import Change, Out, Step, Turn
from plexstream.model.journal.life import START, Life
from plexstream.model.messages.address import Address, parse, partition_of
from plexstream.model.messages.message import Envelope
from plexstream.model.messages.text import said
from plexstream.processor.actors.actor import Actor, Refusal
from plexstream.processor.actors.lives.lives import Lives, life_change
from plexstream.processor.actors.readers import EntryReader, PastReader
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.records import Group

LOOKS = 16
LOOK_AFTER_MS = 10_000
"""Who is idle is looked for so often in the shortest idle timeout, and at the latest after so long."""
_UNTRIED = Change(FIELD, None, None)
RAW = "$raw"
"""Field of an actor that has had turns, none of which has run its init hook. No class can declare it."""


class Actors:
    """The actors of one partition that are in memory."""

    def __init__(self, host: ActorHost, ledger: Ledger, partitions: int) -> None:
        self._host = host
        self._ledger = ledger
        self._pieces = ledger.pieces
        self._partition = ledger.partition
        self._partitions = partitions
        self.lives = Lives(ledger.pieces, self.number)
        self.active: dict[str, Actor] = {}
        self.busy: dict[str, Actor] = {}
        self._by_type: dict[str, int] = {}
        self._fields_of = self._fields  # one for all actors
        self.on_load: Callable[[Actor], None] = lambda _: None
        self.to_save: list[str] = []  # whose type wants a snapshot now
        self._looked_at = 0  # for who is idle
        self._look_after = LOOK_AFTER_MS
        self._saves_by_turns = False  # whether any type that was loaded does, after so many turns

    def load(self, address: str, now: int) -> Actor | Refusal:
        """Load the actor at `address`; a refusal where it cannot be."""
        parts = self._placed(address)
        if type(parts) is Refusal:
            return parts
        assert type(parts) is Address
        info = self._host.type_info(parts.type)
        assert info is not None
        core = self._pieces.core(address)
        reader = EntryReader(self._pieces, address, self._fields_of)
        try:
            instance = self._host.activate(parts.type, address, core.fields, reader)
        except Exception as error:  # the user's hook, or state that the code no longer accepts
            return Refusal("failed", f"{parts.short} cannot be loaded: {said(error)}")
        count = self._by_type[parts.type] = self._by_type.get(parts.type, 0) + 1
        if count > info.max_active:
            # Before the new one is among them: evicted at once, its first turn would be forgotten.
            self._make_room(parts.type, info.max_active)
        actor = self.active[address] = Actor(
            address, info, instance, reader, core.seq, core.time, now, self.lives.of(address, core)
        )  # fmt: skip
        self._saves_by_turns = self._saves_by_turns or bool(info.snapshot_turns)
        self._look_after = min(self._look_after, info.idle_timeout // LOOKS)
        actor.marked = RAW in core.fields
        actor.raw = info.init and (core.seq == 0 or actor.marked)
        self.on_load(actor)
        actor.tried = tried = decode_attempt(core.fields.get(FIELD))
        if tried is not None and tried.next > now and actor.holder is None:
            # The tell is about to be read again: it and all behind it wait for its time.
            actor.queue = deque()
            actor.retry_at = tried.next
            self.busy[address] = actor
        return actor

    def number(self, address: str) -> int:
        """That of an actor's latest turn, acknowledged or not; 0: it had none."""
        actor = self.active.get(address)
        return self._pieces.core(address).seq if actor is None else actor.seq

    def append(self, actor: Actor | None, record: Turn | Step, seen: bool = True) -> None:
        """A record of an actor is on its way; it may be out of memory: then nothing newer of it is.

        `seen`: as of `Ledger.append`.
        """
        if actor is not None:
            actor.group = self._ledger.number
        self._ledger.append(record, seen)

    def applied(self, group: Group) -> None:
        """The log has a group: whose type wants a snapshot after so many turns gets one."""
        for record in group.records if self._saves_by_turns else ():
            if type(record) is Turn or type(record) is Step:
                actor = self.active.get(record.actor)
                every = actor.info.snapshot_turns if actor is not None else 0
                if every and record.seq % every == 0:
                    self.to_save.append(record.actor)

    def _placed(self, address: str) -> Address | Refusal:
        """The parts of `address`; where no actor can be at it here: why."""
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
        return parts

    def twin(self, actor: Actor) -> None:
        """Give an actor an instance as of its latest turn, where a waiting handler has the one it had."""
        if actor.instance is None and actor.holder is not None and actor.holder.instance is not None:
            actor.instance = self._host.twin(actor.holder.instance)
        elif actor.instance is None:
            fields = self._pieces.core(actor.address).fields
            actor.reader = EntryReader(self._pieces, actor.address, self._fields_of)
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
        actor.reader = EntryReader(self._pieces, actor.address, self._fields_of)
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
        here = type(self._placed(e.target)) is Address
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
        acknowledged = self._ledger.acknowledged_number
        spare = sorted(
            (a for a in self.active.values() if a.info.name == type and _free(a, acknowledged)),
            key=lambda a: a.last,
        )
        # A tenth more than needed, so that the sort is paid once in many loads.
        for actor in spare[: self._by_type[type] - keep + keep // 10]:
            self.evict(actor)

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
            if now - actor.last >= actor.info.idle_timeout and _free(actor, self._ledger.acknowledged_number):
                self.evict(actor)

    def look_for_idle(self, now: int) -> None:
        """The same, a part of the shortest timeout later at most: with many actors looking costs, too."""
        if now >= self._looked_at + self._look_after:
            self._looked_at = now
            self.evict_idle(now)

    def next_retry(self) -> int | None:
        """When the next busy actor is tried again, in ms since the epoch."""
        return min((a.retry_at for a in self.busy.values()), default=None)


def _cause(e: Envelope) -> str:
    """What tells a message of an actor from its others."""
    return f"{e.id}/{e.origin_seq}"


def _free(actor: Actor, acknowledged: int) -> bool:
    return actor.queue is None and actor.group <= acknowledged and actor.holder is None and not actor.shared
