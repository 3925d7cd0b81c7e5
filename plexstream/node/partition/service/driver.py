"""One partition in a worker: taken over, in service, let go or lost. On the worker's thread, never blocks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum

from plexstream.log.base import Ack, Record
from plexstream.model.errors import Fenced, LogError
from plexstream.model.host import EffectResult
from plexstream.model.journal.journal import Mark
from plexstream.node.lanes.lanes import Lane
from plexstream.node.lanes.records.encode import journal_items
from plexstream.node.partition.service.service import Service
from plexstream.node.partition.takeover.ground import Phase
from plexstream.node.partition.takeover.takeover import Takeover
from plexstream.node.partition.watch import Watch
from plexstream.node.shared.flying import Flight
from plexstream.node.shared.services import Services
from plexstream.processor import EffectCall, Processor

_log = logging.getLogger("plexstream.node")

CALM_S = 0.005
"""How often a partition to which nothing has come is looked after: what other threads do is seen so late."""
RECLAIM_S = 0.5
"""How soon a lost partition that is still assigned is claimed again."""


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
        service: the partition in service; None before, and after the end.
    """

    def __init__(self, services: Services, partition: int) -> None:
        self.s = services
        self.partition = partition
        self.state = State.TAKEOVER
        self.why = ""
        self.again_s = RECLAIM_S
        self.takeover = Takeover(services, partition, self)
        self.service: Service | None = None
        self._journal = self.takeover.journal
        self._came = True  # something, since the last `pump`
        self._pumped_at = 0.0
        self._wake: int | None = None
        self._wake_known = False
        self._watch = Watch(services, self._journal, self, self._folds_up_to)

    @property
    def phase(self) -> str:
        """Where it is, for people."""
        return self.takeover.phase.value if self.state is State.TAKEOVER else self.state.value

    @property
    def processor(self) -> Processor | None:
        """The partition's state machine, while it is in service."""
        return self.service.processor if self.service is not None else None

    # Into service

    def load(self, records: list[Record]) -> None:
        """Records of the snapshot topic."""
        if self.state is State.TAKEOVER:
            self.takeover.load(records)

    def replay(self, records: list[Record]) -> None:
        """Records of the journal: for the takeover, for a gap, or to catch up."""
        self._came = True
        if self.service is not None:
            self.service.replay(records)
        elif self.state is State.TAKEOVER:
            self.takeover.replay(records)
            if self.takeover.phase is Phase.DONE:
                self._activate()

    def _activate(self) -> None:
        self.service = Service(self.s, self.takeover, self)
        self.state = State.ACTIVE
        self.service.start()

    def _folds_up_to(self) -> int | None:
        return self.takeover.claim if self.takeover.phase is Phase.RESTORING else None

    # Service

    def receive(self, records: list[Record]) -> None:
        """Records of the mailbox."""
        self._came = True
        if self.service is not None:
            self.service.receive(records)

    def acknowledged(self, kind: str, ack: Ack, batch: object) -> None:
        """An append of this driver's is on the log, or has failed."""
        self._came = True
        if self.state in (State.LOST, State.CLOSED):
            return
        service = self.service
        if kind == "mail":
            assert type(batch) is Flight
            assert service is not None
            service.mails_acknowledged(ack, batch)
        elif ack.error is not None:
            self.lose(f"appending failed: {ack.error}")
        elif kind == "journal":
            assert type(batch) is int
            assert service is not None
            service.acknowledged(ack, batch)
        elif kind == "claim":
            self.takeover.claimed(ack.offset)
        elif kind == "fill":
            self.takeover.filled(ack.offset)
        elif kind == "reset":
            self.takeover.mailbox.reset()

    def appender_failed(self, error: Exception) -> None:
        """The worker's appender takes nothing more: of what is with it, nobody knows what becomes."""
        self._came = True
        service = self.service
        if self.takeover.appending or (service is not None and service.processor.in_flight):
            self.lose(f"appending failed: {error}")
        elif service is not None:
            service.relay.appender_failed(error)

    def answered(self, then: Callable[[object], None], result: object) -> None:
        """The log has answered a question of this driver, who may have lost the partition meanwhile."""
        self._came = True
        if self.state not in (State.LOST, State.CLOSED):
            then(result)

    def effects_done(self, done: Sequence[tuple[EffectCall, EffectResult]]) -> None:
        """Side effects of handlers have come to their ends."""
        self._came = True
        if self.service is not None:
            self.service.effects_done(done)

    def pump(self) -> None:
        """Hand over what has been made, and let time pass."""
        self._came = self._wake_known = False
        self._pumped_at = self.s.elapsed()
        if self.service is not None:
            self.service.pump()
        elif self.state is State.TAKEOVER:
            self.takeover.go_on()
            if self.takeover.lane is not None:
                self._watch_lane(self.takeover.lane)
            self._watch.look(self.takeover.awaited())

    def calm(self) -> bool:
        """Whether `pump` would find nothing to do, as far as is known without it."""
        service = self.service
        if self._came or service is None or self.state is not State.ACTIVE or service.stirs():
            return False
        wake = self.next_wake()
        if wake is not None and wake <= self.s.now():
            return False
        return self.s.elapsed() - self._pumped_at < CALM_S

    def _watch_lane(self, lane: Lane) -> None:
        """While the takeover goes on, its lane commits nothing but the sentinel."""
        while lane.done:
            self.takeover.saved(lane.done.popleft().batch)
        if lane.fenced:
            raise Fenced(f"partition {self.partition}: a newer owner has opened its lane")

    # How it is

    def awaited(self) -> tuple[str, int] | None:
        """Which record of journal or snapshots must come next."""
        if self.service is not None:
            return self.service.reading.awaited()
        return self.takeover.awaited() if self.state is State.TAKEOVER else None

    @property
    def reads_journal(self) -> bool:
        """Whether records of the journal are due, in service."""
        return self.service is not None and self.service.reading.due

    @property
    def turns(self) -> int:
        """Handed to the journal so far."""
        return self.service.appends.turns if self.service is not None else 0

    @property
    def owed(self) -> int:
        """Turns that are not acknowledged, or whose mails or outputs are on their way."""
        return self.service.owed if self.service is not None else 0

    @property
    def has_arrived(self) -> bool:
        """Whether records wait to be handled, and can be."""
        return self.service is not None and bool(self.service.arrived)

    def busy(self) -> bool:
        """Whether acknowledgements are due."""
        if self.state is State.TAKEOVER:
            return self.takeover.phase in (Phase.CLAIMING, Phase.FILLING)
        return self.service is not None and self.service.busy()

    def next_wake(self) -> int | None:
        """When it has something to do by time alone, in ms since the epoch; None: never."""
        if self.service is None:
            return None
        if self._came or not self._wake_known:
            self._wake, self._wake_known = self.service.processor.next_wake(), True
        return self._wake

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
        if self.state is State.ACTIVE and self.service is not None:
            self.service.release()
            self.state = State.RELEASING
        elif self.state is not State.RELEASING:
            self._end(State.CLOSED)

    def released(self) -> bool:
        """Whether nothing is owed any more and the last record is on the log."""
        if self.state is not State.RELEASING or self.service is None:
            return True
        if not self.service.released():
            return False
        self._end(State.CLOSED)
        return True

    def _end(self, state: State) -> None:
        """Let go of everything. Handlers of errors call it, too: whatever fails in here, the rest is done."""
        self.state = state
        lane, service, self.service = self.takeover.lane, self.service, None
        self._quietly(lambda: self.s.mailbox.release((self.s.topics.mailbox, self.partition)))
        self._quietly(lambda: self.s.journal.release(self._journal))
        self._quietly(lambda: self.s.snapshots.release(self.takeover.snapshots))
        if lane is not None:
            self._quietly(lambda: self.s.close_lane(lane))
        if self.takeover.claim >= 0:
            self._quietly(lambda: self.s.close_store(self.partition))
        if service is not None:
            self._quietly(service.processor.actors.abandon)

    def _quietly(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception:
            _log.exception("partition %d: a part of letting go failed", self.partition)
