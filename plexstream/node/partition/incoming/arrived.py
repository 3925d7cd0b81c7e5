"""Messages of one partition that were read and are not handled yet; they are handled in slices."""

from __future__ import annotations

from collections import deque
from itertools import islice

from plexstream.log.base import Record
from plexstream.model.errors import Malformed
from plexstream.model.messages.message import Envelope
from plexstream.node.partition.incoming.numbers import Numbers, Verdict
from plexstream.node.shared.services import Services
from plexstream.processor import BadRecord, Processor
from plexstream.schema.codec import decode_envelope

SLICE_S = 0.01
"""How long one partition handles messages before the next has its turn."""
SLICE_BYTES = 1 << 20
"""Bytes of messages handled at once, and one message more."""
MAX_SLICE = 512
MAX_RECORDS = 500
"""Records taken and not handled, before reading stops: more would keep others' out of the reader."""
MAX_BYTES = 16 << 20


class Arrived:
    """The records, in their order.

    Attributes:
        size: their bytes.
    """

    def __init__(self, services: Services, partition: int, owner: object) -> None:
        self.s = services
        self._numbers = Numbers(services, partition, owner)
        self.size = 0
        self._records: deque[Record] = deque()
        self._slice = 64

    def __bool__(self) -> bool:
        """Whether some can be handled now."""
        return bool(self._records) and not self._numbers.waiting

    @property
    def load(self) -> float:
        """How much of what may be held this is; from 1 on reading is to stop."""
        return max(len(self._records) / MAX_RECORDS, self.size / MAX_BYTES)

    def add(self, records: list[Record]) -> None:
        """Records of the mailbox."""
        self._records.extend(records)
        self.size += sum([len(record.value or b"") for record in records])

    def clear(self) -> None:
        """Forget them: they are the next owner's."""
        self._records.clear()
        self.size = 0

    def handle(self, p: Processor, room: int) -> None:
        """Handle as many as fit into a slice of time.

        Parameters:
            room: bytes that turns may have that are not handed to the journal yet.
        """
        arrived, numbers = self._records, self._numbers
        numbers.go_on()
        end = self.s.elapsed() + SLICE_S
        while self and p.running_ahead < self.s.settings.max_in_flight:
            ahead = p.pending_bytes()
            if ahead >= room:
                return
            messages: list[tuple[int, Envelope | BadRecord]] = []
            count = min(len(arrived), self._slice)
            known, size = numbers.known(list(islice(arrived, count)), SLICE_BYTES)
            messages.extend(known)
            for _ in known:
                arrived.popleft()
            for _ in range(count - len(known)):
                if size > SLICE_BYTES:
                    break
                record = arrived[0]
                message = _decode(record)
                if type(message) is Envelope and message.origin:
                    verdict = numbers.check(p, record.offset, message, arrived[-1].offset)
                    if verdict is Verdict.OPEN:
                        break
                    if verdict is Verdict.FORGED:
                        message = BadRecord(numbers.why(message), record.value or b"")
                arrived.popleft()
                size += len(record.value or b"")
                messages.append((record.offset, message))
            self.size -= size
            began = self.s.elapsed()
            p.receive(messages, self.s.now())
            now = self.s.elapsed()
            # Twice as many where that took little of the time, one by one where a message takes it all.
            if now - began > SLICE_S / 2 or p.pending_bytes() - ahead > SLICE_BYTES:
                self._slice = max(1, self._slice // 2)
            elif self._slice < MAX_SLICE:
                self._slice *= 2
            if now >= end:
                return


def _decode(record: Record) -> Envelope | BadRecord:
    try:
        return decode_envelope(record.value or b"")
    except Malformed as error:
        return BadRecord(str(error), record.value or b"")
