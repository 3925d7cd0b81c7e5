"""A partition's records on their way to its journal, and their acknowledgements, in the order of both."""

from __future__ import annotations

import logging
from collections import deque

from plexstream.log.base import Place, Record
from plexstream.log.limits.limits import size_of_items
from plexstream.model.errors import Malformed
from plexstream.model.journal.journal import JournalRecord
from plexstream.node.lanes.records.encode import journal_items
from plexstream.node.shared.services import Services
from plexstream.processor import Processor
from plexstream.schema.codec import decode_journal

_log = logging.getLogger("plexstream.node")

MAX_GROUPS = 4
"""Groups in flight to the journal: while they are on their way the next one collects what comes."""
MAX_AHEAD_BYTES = 32 << 20
"""Bytes of turns that are not acknowledged, before no more messages are handled."""


class Appends:
    """Hands a processor's groups to the log, and tells it what the log says of them.

    An acknowledgement at a later offset than was due leaves a gap, which has to be read before any other is
    heeded (DESIGN 4, rule 4).

    Parameters:
        owner: a driver; gets acknowledgements as ``(owner, "journal", bytes)``.

    Attributes:
        turns: handed over so far.
        ahead_bytes: handed over and not acknowledged.
        gap: the first and the last offset that has to be read; None: nothing has to.
    """

    def __init__(self, services: Services, journal: Place, owner: object, processor: Processor) -> None:
        self.s = services
        self._journal = journal
        self._owner = owner
        self._processor = processor
        self.turns = 0
        self.ahead_bytes = 0
        self.gap: tuple[int, int] | None = None
        self._acks: deque[int] = deque()
        self._gap_records: list[tuple[int, JournalRecord | None]] = []

    @property
    def room(self) -> int:
        """Bytes that turns may have that are not handed over yet."""
        return MAX_AHEAD_BYTES - self.ahead_bytes

    @property
    def load(self) -> float:
        """How much of what may be on its way this is; from 1 on reading is to stop."""
        return self.ahead_bytes / MAX_AHEAD_BYTES

    @property
    def gap_at(self) -> int:
        """The last offset of the gap that was read, or the first that there is."""
        assert self.gap is not None
        return self._gap_records[-1][0] + 1 if self._gap_records else self.gap[0]

    def hand_over(self) -> None:
        """Append what is ready, as far as enough of it is acknowledged."""
        p = self._processor
        while len(p.in_flight) < MAX_GROUPS:
            records = p.take()
            if records is None:
                break
            self.turns += len(records)
            items = journal_items(records)
            size = size_of_items(items)
            self.ahead_bytes += size
            self.s.appender.append(self._journal, items, (self._owner, "journal", size))

    def acknowledged(self, offset: int, size: int) -> bool:
        """A group of so many bytes is on the log up to `offset`. Whether that shows a gap.

        Raises:
            Fenced: the reign is over.
        """
        self.ahead_bytes -= size
        self._acks.append(offset)
        return self.go_on()

    def go_on(self) -> bool:
        """Tell the processor what may be told. Whether that shows a gap. Raises Fenced."""
        acks, acknowledged = self._acks, self._processor.acknowledged
        while acks and self.gap is None:
            self.gap = acknowledged(acks[0])
            if self.gap is not None:
                self._gap_records = []
                return True
            acks.popleft()
        return False

    def read(self, records: list[Record]) -> bool:
        """Records of the gap. Whether all of it is read: then `go_on`. Raises Fenced."""
        assert self.gap is not None
        last = self.gap[1]
        for record in records:
            if record.offset > last:
                break
            try:
                self._gap_records.append((record.offset, decode_journal(record.value or b"")))
            except Malformed:
                self._gap_records.append((record.offset, None))
        if not records or records[-1].offset < last:
            return False
        self.gap = None
        again = self._processor.gap(self._gap_records)
        if again:
            _log.warning(
                "%s[%d] has the records at %s once more: they were appended again, and do not count there",
                *self._journal, ", ".join(map(str, again[:10])) + (", …" if len(again) > 10 else ""),
            )  # fmt: skip
        self._acks.popleft()
        return True
