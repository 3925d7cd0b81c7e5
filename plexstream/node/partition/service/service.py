"""One partition in service: what comes in, what goes out, and in which order. Never blocks."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from plexstream.log.base import Ack, Place, Record
from plexstream.model.errors import Fenced, StoreCorrupt, StoreUnavailable
from plexstream.model.host import EffectResult
from plexstream.node.partition.incoming.arrived import Arrived
from plexstream.node.partition.outgoing.appends import Appends
from plexstream.node.partition.outgoing.relay import Relay
from plexstream.node.partition.service.flow import Flow
from plexstream.node.partition.service.reading import Reading
from plexstream.node.partition.takeover.takeover import Takeover
from plexstream.node.partition.upkeep.upkeep import Upkeep
from plexstream.node.partition.watch import Watch
from plexstream.node.shared.flying import Flight
from plexstream.node.shared.services import Services
from plexstream.processor import EffectCall, Processor

_log = logging.getLogger("plexstream.node")


class Service:
    """Joins one partition's processor, under one claim, to log, store and lanes.

    Whatever raises Fenced, or any other LogError, means that the reign is over.

    Parameters:
        takeover: is done.
        owner: a driver; gets what the log acknowledges and answers.

    Attributes:
        releasing: it lets go in good order: nothing new is begun.
    """

    def __init__(self, services: Services, takeover: Takeover, owner: object) -> None:
        s, partition = services, takeover.partition
        restore, lane = takeover.restore, takeover.lane
        assert restore is not None
        assert lane is not None
        self.s = s
        self.partition = partition
        self.releasing = False
        self.lane = lane
        self.mailbox: Place = (s.topics.mailbox, partition)
        self._owner = owner
        self._said_goodbye = False
        p = self.processor = Processor(partition, s.partitions, s.host, restore, s.settings, s.now())
        self.relay = Relay(s, partition, owner, takeover.history.facts.origin, restore.unseen)
        self.upkeep = Upkeep(s, takeover, p, lane)
        self.arrived = Arrived(s, partition, owner)
        self.appends = Appends(s, takeover.journal, owner, p)
        self.reading = Reading(s, takeover.journal, p, self.appends, self.upkeep, self.relay)
        self.flow = Flow(s, self.mailbox, p, lane, self.relay, self.upkeep, self.arrived, self.appends)
        self._watch = Watch(s, takeover.journal, owner, self.reading.reads_up_to)

    def start(self) -> None:
        """Begin to read."""
        self.s.mailbox.assign(self.mailbox, self.processor.position)
        self.upkeep.start_catch_up()
        _log.info("partition %d: active from mailbox offset %d", self.partition, self.processor.position)

    # What comes in

    def receive(self, records: list[Record]) -> None:
        """Records of the mailbox, to be handled in slices: slow handlers leave other partitions time."""
        if not self.releasing:
            self.arrived.add(records)

    def replay(self, records: list[Record]) -> None:
        """Records of the journal."""
        self.reading.take(records)

    def acknowledged(self, ack: Ack, size: int) -> None:
        """A group of turns, with so many bytes, is on the log."""
        self.reading.acknowledged(ack.offset, size)

    def mails_acknowledged(self, ack: Ack, flight: Flight) -> None:
        """Messages and replies are on the log, or an append of them has failed."""
        if ack.error is None:
            self.relay.landed(flight)
        else:
            self.relay.failed(flight, ack.error)

    def effects_done(self, done: Sequence[tuple[EffectCall, EffectResult]]) -> None:
        """Side effects of handlers have come to their ends."""
        if not self.releasing:
            now = self.s.now()
            for call, result in done:
                self.processor.effect_done(call, result, now)

    # What goes out

    def pump(self) -> None:
        """Let time pass, hand over what the processor has made, take care of store and snapshots."""
        p = self.processor
        self._watch.look(self.reading.awaited())
        self.lane.known = p.fold.next
        now = self.s.now()
        self._pass_time(now)
        self.arrived.handle(p, self.appends.room)
        self.appends.hand_over()
        effects = p.invocations.effects
        while effects:
            call = effects.popleft()
            if not self.releasing:  # else the next owner's
                self.s.run_effect(self._owner, call)
        self.relay.take(p, now)
        self.reading.start()
        self._outputs()
        if not self.releasing:
            self.flow.adjust()
            self.upkeep.go_on(now)

    def _pass_time(self, now: int) -> None:
        """Timers, retries, marks. None while it lets go: with steady timers that would never end."""
        if not self.releasing:
            self.processor.tick(now)

    def _outputs(self) -> None:
        p, lane = self.processor, self.lane
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
            if done.batch >= 0:
                self.upkeep.saved(done.batch)
        if lane.fenced:
            raise Fenced(f"partition {self.partition}: a newer owner has opened its lane")

    # How it is

    @property
    def owed(self) -> int:
        """Turns that are not acknowledged, or whose mails or outputs are on their way."""
        queued = sum(len(lane.queue) for lane in self.processor.outbox.lanes)
        return self.processor.running_ahead + self.relay.owed + self.lane.backlog + queued

    def stirs(self) -> bool:
        """Whether something can go on that waits in here, or has come from a thread of its own."""
        return bool(self.arrived or self.lane.done or self.lane.fenced or self.relay.waits)

    def busy(self) -> bool:
        """Whether acknowledgements are due."""
        return self.relay.awaits_acks or bool(self.processor.in_flight)

    # Out of service

    def release(self) -> None:
        """Begin to let go in good order."""
        self.s.mailbox.release(self.mailbox)
        self.arrived.clear()  # the next owner's
        self.processor.let_go()
        self.releasing = True

    def released(self) -> bool:
        """Whether it has let go: nothing is owed that could leave, the journal says so, the store has all."""
        p, lane = self.processor, self.lane
        # What cannot leave for now is left to the next owner.
        outputs = lane.backlog and not lane.blocked
        owed = p.in_flight or outputs or any(out.queue for out in p.outbox.lanes)
        if owed or p.answers or self.appends.gap is not None or not self.relay.lets_go():
            return False
        if not self._said_goodbye:
            self._said_goodbye = True
            p.release(self.s.now())
            return False
        try:
            self.upkeep.flush(self.s.now())
        except (StoreCorrupt, StoreUnavailable) as error:
            _log.warning(
                "partition %d: its store is behind and will be brought up: %s", self.partition, error
            )
        return True
