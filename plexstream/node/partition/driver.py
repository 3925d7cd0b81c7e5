"""Connects one partition's processor to log, store and lanes. Runs on the worker's thread, never blocks."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from plexstream.log.base import Ack, Place, Record
from plexstream.model.errors import LogError, LogUnavailable, Malformed, StoreCorrupt, StoreUnavailable
from plexstream.model.host import EffectResult
from plexstream.model.journal import JournalRecord, Mark
from plexstream.node.lanes.encode import journal_items
from plexstream.node.lanes.lanes import Lane
from plexstream.node.partition.arrived import Arrived
from plexstream.node.partition.relay import Relay
from plexstream.node.partition.takeover.ground import Phase
from plexstream.node.partition.takeover.takeover import Takeover
from plexstream.node.partition.upkeep import Upkeep
from plexstream.node.shared.flying import Flight
from plexstream.node.shared.services import Services
from plexstream.processor import EffectCall, Fenced, Processor
from plexstream.schema.codec import decode_journal

_log = logging.getLogger("plexstream.node")

MAX_GROUPS = 4
"""Groups in flight to the journal: while they are on their way the next one collects what comes."""
WATCH_S = 1.0
"""How long records of the journal that are there may take to come, before the log is asked for its range."""
MAX_BACKLOG = 50_000
"""Turns whose outputs have not left, before reading stops: bounds memory when a topic is slow."""
MAX_BACKLOG_BYTES = 64_000_000
"""And what they weigh."""

RECLAIM_S = 0.5
"""How soon a lost partition that is still assigned is claimed again."""
SILENCE_S = 30.0
"""How long a record that must be there may take to come: longer than any restart of a broker."""
MAX_UNFLUSHED = 4
"""Times `flush_bytes` that may wait in memory for a store that takes nothing, before reading stops."""
MAX_AHEAD_BYTES = 32 << 20
"""Bytes of turns that are not acknowledged, before no more messages are handled."""
FLUSH_TURNS = 20_000
"""Turns that a restart may have to fold again, about 0.2 s of work, before a busy partition is flushed."""
MAX_LAG = 4
"""Times `snapshot_lag` that the snapshot topic may be behind, before reading stops until it is not."""
FEW_TURNS = 2_000
"""A partition with no more since its last flush is flushed in each interval: that costs little."""


class State(Enum):
    """Where a partition is in this worker."""

    TAKEOVER = "takeover"
    ACTIVE = "active"
    RELEASING = "releasing"
    LOST = "lost"
    CLOSED = "closed"


class Driver:
    """One partition in this worker, from the claim to the end.

    Attributes:
        state: where it is.
        why: it was lost; empty otherwise.
        again_s: after how many seconds it may be claimed again.
        turns: handed to the journal so far.
    """

    def __init__(self, services: Services, partition: int) -> None:
        self.s = services
        self.partition = partition
        self.state = State.TAKEOVER
        self.why = ""
        self.again_s = RECLAIM_S
        self.turns = 0
        self.processor: Processor | None = None
        self.upkeep: Upkeep | None = None
        self.takeover = Takeover(services, partition, self)
        self._mailbox: Place = (services.topics.mailbox, partition)
        self._journal = self.takeover.journal
        self._lane: Lane | None = None
        self._acks: deque[int] = deque()
        self._gap: tuple[int, int] | None = None
        self._gap_records: list[tuple[int, JournalRecord | None]] = []
        self._watch_at = 0.0  # when to ask whether what is read of the journal is there; 0: nothing is read
        self._relay = Relay(services, partition, self)
        self._paused = False
        self._released = False
        self._arrived = Arrived(services, partition, self)
        self._ahead_bytes = 0  # handed to the journal and not acknowledged
        self._awaits: tuple[str, int] | None = None
        self._awaits_since = 0.0

    @property
    def phase(self) -> str:
        """Where it is, for people."""
        return self.takeover.phase.value if self.state is State.TAKEOVER else self.state.value

    # Into service

    def load(self, records: list[Record]) -> None:
        """Records of the snapshot topic."""
        if self.state is State.TAKEOVER:
            self.takeover.load(records)

    def replay(self, records: list[Record]) -> None:
        """Records of the journal: for the takeover, for a gap, or to catch up."""
        if self.state is State.TAKEOVER:
            self.takeover.replay(records)
            if self.takeover.phase is Phase.DONE:
                self._activate()
        elif self._gap is not None:
            self._read_gap(records)
        elif self.upkeep is not None and self.upkeep.catching_up:
            self.upkeep.catch_up(records)
        elif self._relay.reading >= 0 and self.processor is not None:
            self._relay.read(self.processor, records)

    def _activate(self) -> None:
        restore, lane = self.takeover.restore, self.takeover.lane
        assert restore is not None
        assert lane is not None
        s = self.s
        self.processor = Processor(self.partition, s.partitions, s.host, restore, s.settings, s.now())
        self._lane = lane
        self._relay.origin = self.takeover.history.facts.origin
        self._relay.unseen = restore.unseen
        self.upkeep = Upkeep(s, self.takeover, self.processor, lane)
        self.state = State.ACTIVE
        s.mailbox.assign(self._mailbox, self.processor.position)
        self.upkeep.start_catch_up()
        _log.info("partition %d: active from mailbox offset %d", self.partition, self.processor.position)

    # Service

    def receive(self, records: list[Record]) -> None:
        """Records of the mailbox, to be handled in slices: slow handlers leave other partitions time."""
        if self.state is State.ACTIVE:
            self._arrived.add(records)

    def acknowledged(self, kind: str, ack: Ack, batch: object) -> None:
        """An append of this driver's is on the log, or has failed."""
        if self.state in (State.LOST, State.CLOSED):
            return
        if kind == "mail":
            assert type(batch) is Flight
            if ack.error is None:
                self._relay.landed(batch)
            else:
                self._relay.failed(batch, ack.error)
        elif ack.error is not None:
            self.lose(f"appending failed: {ack.error}")
        elif kind == "claim":
            self.takeover.claimed(ack.offset)
        elif kind == "fill":
            self.takeover.filled(ack.offset)
        elif kind == "reset":
            self.takeover.mailbox.reset()
        elif kind == "journal":
            assert type(batch) is int
            self._ahead_bytes -= batch
            self._acks.append(ack.offset)
            self._take_acks()

    def appender_failed(self, error: Exception) -> None:
        """The worker's appender takes nothing more: of what is with it, nobody knows what becomes."""
        p = self.processor
        if self.takeover.appending or (p is not None and p.in_flight):
            self.lose(f"appending failed: {error}")
        else:
            self._relay.appender_failed(error)

    def _take_acks(self) -> None:
        assert self.processor is not None
        try:
            while self._acks and self._gap is None:
                self._gap = self.processor.acknowledged(self._acks[0])
                if self._gap is not None:
                    self._gap_records = []
                    self._relay.stop_reading()
                    self.s.journal.assign(self._journal, self._gap[0])
                    return
                self._acks.popleft()
        except Fenced as error:
            self.lose(str(error))

    def _read_gap(self, records: list[Record]) -> None:
        assert self._gap is not None
        assert self.processor is not None
        for record in records:
            if record.offset > self._gap[1]:
                break
            try:
                self._gap_records.append((record.offset, decode_journal(record.value or b"")))
            except Malformed:
                self._gap_records.append((record.offset, None))
        if not records or records[-1].offset < self._gap[1]:
            return
        self.s.journal.release(self._journal)
        self._gap = None
        try:
            again = self.processor.gap(self._gap_records)
        except Fenced as error:
            self.lose(str(error))
            return
        if again:
            _log.warning(
                "%s[%d] has the records at %s once more: they were appended again, and do not count there",
                *self._journal, ", ".join(map(str, again[:10])) + (", …" if len(again) > 10 else ""),
            )  # fmt: skip
        self._acks.popleft()
        assert self.upkeep is not None
        self.upkeep.start_catch_up()
        self._take_acks()

    def _reads_up_to(self) -> int | None:
        """The journal offset that must be read before this partition goes on."""
        if self._gap is not None:
            return self._gap[1]
        if self.state is State.TAKEOVER:
            return self.takeover.claim if self.takeover.phase is Phase.RESTORING else None
        if self.upkeep is not None and self.upkeep.catching_up:
            return self.upkeep.catches_up_to
        p = self.processor
        return p.fold.next - 1 if p is not None and self._relay.reading >= 0 else None

    def _watch_journal(self) -> None:
        """Only a newer owner trims what this one has to read. With nothing behind it, no record tells."""
        now = self.s.elapsed()
        if self._reads_up_to() is None:
            self._watch_at = 0.0
        elif not self._watch_at:
            self._watch_at = now + WATCH_S
        elif now >= self._watch_at:
            self._watch_at = now + WATCH_S
            log, journal = self.s.log, self._journal
            self.s.ask(self, self.partition, lambda: log.range(journal), self._watched)

    def _watched(self, found: tuple[int, int] | LogError) -> None:
        last = self._reads_up_to()
        if last is not None and not isinstance(found, LogError) and found[0] > last:
            self.lose(
                f"partition {self.partition}: its journal was trimmed up to offset {found[0]} before it was "
                f"read up to {last}: it has a newer owner"
            )

    def answered(self, then: Callable[[object], None], result: object) -> None:
        """The log has answered a question of this driver, who may have lost the partition meanwhile."""
        if self.state not in (State.LOST, State.CLOSED):
            then(result)

    def pump(self) -> None:
        """Hand over what the processor has made, and take care of stores and snapshots."""
        p, lane = self.processor, self._lane
        if self.state is State.TAKEOVER:
            self.takeover.go_on()
            if self.takeover.lane is not None:
                self._watch_lane(self.takeover.lane)
        self._watch_silence()
        self._watch_journal()
        if p is None or lane is None or self.state not in (State.ACTIVE, State.RELEASING):
            return
        lane.known = p.fold.next
        now = self.s.now()
        self._pass_time(p, now)
        self._arrived.handle(p, MAX_AHEAD_BYTES - self._ahead_bytes)
        while len(p.in_flight) < MAX_GROUPS:
            records = p.take()
            if records is None:
                break
            self.turns += len(records)
            items = journal_items(records)
            size = sum([len(value or b"") for _, value in items])
            self._ahead_bytes += size
            self.s.appender.append(self._journal, items, (self, "journal", size))
        effects = p.invocations.effects
        while effects:
            call = effects.popleft()
            if self.state is State.ACTIVE:  # else the next owner's
                self.s.run_effect(self, call)
        self._relay.take(p, now)
        if not self.reads_journal and self._relay.wants_journal():
            self._relay.start_reading()
        self._outputs(p, lane)
        if self.state is State.ACTIVE:
            self._flow(p, lane)
            self._upkeep(p, now)

    def _pass_time(self, p: Processor, now: int) -> None:
        """Timers, retries, marks. None while it lets go: with steady timers that would never end."""
        if self.state is State.ACTIVE:
            p.tick(now)

    def _watch_lane(self, lane: Lane) -> None:
        """While the takeover goes on, its lane commits nothing but the sentinel."""
        while lane.done:
            self.takeover.saved(lane.done.popleft().batch)
        if lane.fenced:
            self.lose(f"partition {self.partition}: a newer owner has opened its lane")

    def _awaited(self) -> tuple[str, int] | None:
        """Which record of journal or snapshots must come next."""
        if self.state is State.TAKEOVER:
            return self.takeover.awaited()
        journal = f"{self._journal[0]}[{self.partition}]"
        if self._gap is not None:
            return journal, self._gap_records[-1][0] + 1 if self._gap_records else self._gap[0]
        if self.upkeep is not None and self.upkeep.catching_up:
            return journal, self.upkeep.catches_up_at
        if self._relay.reading >= 0:
            return journal, self._relay.reading
        return None

    def _watch_silence(self) -> None:
        """Raises LogUnavailable where a record that must be there has not come for long."""
        awaited = self._awaited()
        now = self.s.elapsed()
        if awaited is None or awaited != self._awaits:
            self._awaits, self._awaits_since = awaited, now
        elif now - self._awaits_since > SILENCE_S:
            self._awaits = None
            raise LogUnavailable(
                f"{awaited[0]} was read up to offset {awaited[1]}, and what must come there has not come for "
                f"{SILENCE_S:.0f} s"
            )

    def effect_done(self, call: EffectCall, result: EffectResult) -> None:
        """A side effect of a handler has come to its end."""
        if self.processor is not None and self.state is State.ACTIVE:
            self.processor.effect_done(call, result, self.s.now())

    def _outputs(self, p: Processor, lane: Lane) -> None:
        emits, letters = p.outbox.emits.queue, p.outbox.letters.queue
        if emits or letters:
            lane.submit(list(emits))
            lane.put_aside(list(letters))
            emits.clear()
            letters.clear()
            self.s.kick_lanes()
        while lane.done:
            done = lane.done.popleft()
            if done.emitted >= 0:
                p.emitted(done.emitted)
            if done.put_aside >= 0:
                p.put_away(done.put_aside)
            if done.batch >= 0 and self.upkeep is not None:
                self.upkeep.saved(done.batch)
        if lane.fenced:
            self.lose(f"partition {self.partition}: a newer owner has opened its lane")

    def _flow(self, p: Processor, lane: Lane) -> None:
        """Stop reading while too much is on its way, so that memory stays bounded."""
        s = self.s.settings
        assert self.upkeep is not None
        behind = max(
            lane.backlog / MAX_BACKLOG,
            lane.backlog_bytes / MAX_BACKLOG_BYTES,
            self._relay.load,
            p.pieces.dirty_bytes / (MAX_UNFLUSHED * s.flush_bytes),
            self.upkeep.lag / (MAX_LAG * s.snapshot_lag),
        )
        load = max(
            behind,
            p.running_ahead / s.max_in_flight,
            len(p.inbox.waiting) / s.max_waiting,
            self._arrived.load,
            p.inbox.waiting_bytes / s.max_waiting_bytes,
            self._ahead_bytes / MAX_AHEAD_BYTES,
        )
        p.held = behind >= 1
        if not self._paused and load >= 1:
            self.s.mailbox.pause(self._mailbox)
            self._paused = True
        elif self._paused and load < 0.5:
            self.s.mailbox.resume(self._mailbox)
            self._paused = False

    def _upkeep(self, p: Processor, now: int) -> None:
        upkeep, settings, pieces = self.upkeep, self.s.settings, p.pieces
        assert upkeep is not None
        full = len(pieces.dirty_cores) + len(pieces.dirty) >= settings.flush_pieces
        late = now - upkeep.flushed_at >= settings.flush_interval and (
            # A busy partition is flushed less often: an actor that had many turns is written once.
            not FEW_TURNS < upkeep.behind < FLUSH_TURNS
            or now - upkeep.flushed_at >= 5 * settings.flush_interval
        )
        if full or late or pieces.dirty_bytes >= settings.flush_bytes:
            upkeep.flush(now)
            upkeep.snapshot(now)
            upkeep.expire(now)
            p.actors.evict_idle(now)
            pieces.forget_clean(max(10_000, len(p.actors.active)))

    @property
    def reads_journal(self) -> bool:
        """Whether records of the journal are due."""
        catching_up = self.upkeep is not None and self.upkeep.catching_up
        return self._gap is not None or catching_up or self._relay.reading >= 0

    @property
    def owed(self) -> int:
        """Turns that are not acknowledged, or whose mails or outputs are on their way."""
        p, lane = self.processor, self._lane
        if p is None or lane is None:
            return 0
        queued = sum(len(lane.queue) for lane in p.outbox.lanes)
        return p.running_ahead + self._relay.owed + lane.backlog + queued

    @property
    def has_arrived(self) -> bool:
        """Whether records wait to be handled, and can be."""
        return bool(self._arrived)

    def busy(self) -> bool:
        """Whether acknowledgements are due."""
        p = self.processor
        if self.state is State.TAKEOVER:
            return self.takeover.phase in (Phase.CLAIMING, Phase.FILLING)
        return self._relay.awaits_acks or (p is not None and bool(p.in_flight))

    def next_wake(self) -> int | None:
        """When it has something to do by time alone, in ms since the epoch; None: never."""
        return self.processor.next_wake() if self.processor is not None else None

    # Out of service

    def lose(self, why: str) -> None:
        """Another owns the partition, or nobody knows: forget everything."""
        if self.state not in (State.LOST, State.CLOSED):
            self.why = why
            self._say_that_it_lives()
            self._end(State.LOST)

    def _say_that_it_lives(self) -> None:
        """The reign is over, the process is not: nobody is to take what it was about for what killed it."""
        claim, s = self.takeover.claim, self.s
        if claim < 0:
            return
        alive = journal_items([Mark(claim, s.now(), (), 0, 0, -1, "", False, s.process)])
        with suppress(LogError):  # it is no loss: who claims again is alive, too
            s.appender.append(self._journal, alive, (self, "alive", None))

    def release(self) -> None:
        """Begin to let go in good order; `released` tells when that is done."""
        if self.state is State.ACTIVE:
            self.s.mailbox.release(self._mailbox)
            self._arrived.clear()  # the next owner's
            if self.processor is not None:
                self.processor.let_go()
            self.state = State.RELEASING
        elif self.state is not State.RELEASING:
            self._end(State.CLOSED)

    def released(self) -> bool:
        """Whether nothing is owed any more and the last record is on the log."""
        p, lane = self.processor, self._lane
        if self.state is not State.RELEASING or p is None or lane is None:
            return True
        # What cannot leave for now is left to the next owner.
        outputs = lane.backlog and not lane.blocked
        owed = p.in_flight or outputs or any(out.queue for out in p.outbox.lanes)
        if owed or p.answers or self._gap is not None or not self._relay.lets_go():
            return False
        if not self._released:
            self._released = True
            p.release(self.s.now())
            return False
        assert self.upkeep is not None
        try:
            self.upkeep.flush(self.s.now())
        except (StoreCorrupt, StoreUnavailable) as error:
            _log.warning(
                "partition %d: its store is behind and will be brought up: %s", self.partition, error
            )
        self._end(State.CLOSED)
        return True

    def _end(self, state: State) -> None:
        """Let go of everything. Handlers of errors call it, too: whatever fails in here, the rest is done."""
        self.state = state
        self._arrived.clear()
        lane, p, self.processor = self.takeover.lane, self.processor, None
        self._quietly(lambda: self.s.mailbox.release(self._mailbox))
        self._quietly(lambda: self.s.journal.release(self._journal))
        self._quietly(lambda: self.s.snapshots.release(self.takeover.snapshots))
        if lane is not None:
            self._quietly(lambda: self.s.close_lane(lane))
        if self.takeover.claim >= 0:
            self._quietly(lambda: self.s.close_store(self.partition))
        if p is not None:
            self._quietly(p.actors.abandon)

    def _quietly(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception:
            _log.exception("partition %d: a part of letting go failed", self.partition)
