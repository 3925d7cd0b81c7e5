"""The journal of a partition in service, read again: for a gap, to catch up, or for what is owed."""

from __future__ import annotations

from plexstream.log.base import Place, Record
from plexstream.node.partition.outgoing.appends import Appends
from plexstream.node.partition.outgoing.relay import Relay
from plexstream.node.partition.upkeep.upkeep import Upkeep
from plexstream.node.shared.services import Services
from plexstream.processor import Processor


class Reading:
    """One reader for three that want it. A gap comes first; who is interrupted by it begins again later."""

    def __init__(
        self,
        services: Services,
        journal: Place,
        processor: Processor,
        appends: Appends,
        upkeep: Upkeep,
        relay: Relay,
    ) -> None:
        self.s = services
        self._journal = journal
        self._processor = processor
        self._appends = appends
        self._upkeep = upkeep
        self._relay = relay

    @property
    def due(self) -> bool:
        """Whether records of the journal have to come."""
        return self._appends.gap is not None or self._upkeep.catching_up or self._relay.reading >= 0

    def reads_up_to(self) -> int | None:
        """The last offset that has to be read; None: nothing is read."""
        if self._appends.gap is not None:
            return self._appends.gap[1]
        if self._upkeep.catching_up:
            return self._upkeep.catches_up_to
        return self._processor.fold.next - 1 if self._relay.reading >= 0 else None

    def awaited(self) -> tuple[str, int] | None:
        """Which record must come next."""
        journal = f"{self._journal[0]}[{self._journal[1]}]"
        if self._appends.gap is not None:
            return journal, self._appends.gap_at
        if self._upkeep.catching_up:
            return journal, self._upkeep.catches_up_at
        return (journal, self._relay.reading) if self._relay.reading >= 0 else None

    def start(self) -> None:
        """Read it for who wants to, where nobody does."""
        if not self.due and self._relay.wants_journal():
            self._relay.start_reading()

    def acknowledged(self, offset: int, size: int) -> None:
        """A group of turns is on the log. Raises Fenced."""
        if self._appends.acknowledged(offset, size):
            self._start_gap()

    def _start_gap(self) -> None:
        gap = self._appends.gap
        assert gap is not None
        self._relay.stop_reading()
        self.s.journal.assign(self._journal, gap[0])

    def take(self, records: list[Record]) -> None:
        """Records of the journal. Raises Fenced."""
        appends = self._appends
        if appends.gap is not None:
            if appends.read(records):
                self.s.journal.release(self._journal)
                self._upkeep.start_catch_up()
                if appends.go_on():
                    self._start_gap()
        elif self._upkeep.catching_up:
            self._upkeep.catch_up(records)
        elif self._relay.reading >= 0:
            self._relay.read(self._processor, records)
