"""Stops and resumes the reading of a partition's mailbox, so that memory stays bounded."""

from __future__ import annotations

from plexstream.log.base import Place
from plexstream.node.lanes.lanes import Lane
from plexstream.node.partition.incoming.arrived import Arrived
from plexstream.node.partition.outgoing.appends import Appends
from plexstream.node.partition.outgoing.relay import Relay
from plexstream.node.partition.upkeep.upkeep import Upkeep
from plexstream.node.shared.services import Services
from plexstream.processor import Processor

MAX_BACKLOG = 50_000
"""Turns whose outputs have not left, before reading stops: bounds memory when a topic is slow."""
MAX_BACKLOG_BYTES = 64_000_000
"""And what they weigh."""
MAX_UNFLUSHED = 4
"""Times `flush_bytes` that may wait in memory for a store that takes nothing, before reading stops."""
MAX_LAG = 4
"""Times `snapshot_lag` that the snapshot topic may be behind, before reading stops until it is not."""


class Flow:
    """Weighs all that one partition holds in memory.

    Attributes:
        paused: reading has stopped.
    """

    def __init__(
        self,
        services: Services,
        mailbox: Place,
        processor: Processor,
        lane: Lane,
        relay: Relay,
        upkeep: Upkeep,
        arrived: Arrived,
        appends: Appends,
    ) -> None:
        self.s = services
        self._mailbox = mailbox
        self._processor = processor
        self._lane = lane
        self._relay = relay
        self._upkeep = upkeep
        self._arrived = arrived
        self._appends = appends
        self.paused = False

    def adjust(self) -> None:
        """Once in each round."""
        p = self._processor
        p.held = self._behind(1)
        if not self.paused:
            if p.held or self._full(1):
                self.s.mailbox.pause(self._mailbox)
                self.paused = True
        elif not (self._behind(2) or self._full(2)):
            self.s.mailbox.resume(self._mailbox)
            self.paused = False

    # One comparison after the other, without a sum that nobody needs: this is asked in each round.

    def _behind(self, times: int) -> bool:
        """Whether what is still to leave, `times` as much of it, is more than may be."""
        s, p, lane = self.s.settings, self._processor, self._lane
        return (
            times * lane.backlog >= MAX_BACKLOG
            or times * lane.backlog_bytes >= MAX_BACKLOG_BYTES
            or times * self._relay.load >= 1
            or times * p.pieces.dirty_bytes >= MAX_UNFLUSHED * s.flush_bytes
            or times * self._upkeep.lag >= MAX_LAG * s.snapshot_lag
        )

    def _full(self, times: int) -> bool:
        """The same of what has come in."""
        s, p = self.s.settings, self._processor
        inbox = p.inbox
        return (
            times * p.running_ahead >= s.max_in_flight
            or times * len(inbox.waiting) >= s.max_waiting
            or times * self._arrived.load >= 1
            or times * inbox.waiting_bytes >= s.max_waiting_bytes
            or times * self._appends.load >= 1
        )
