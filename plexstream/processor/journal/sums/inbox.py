"""How far an inbox is done, while messages overtake each other."""

from __future__ import annotations

from collections import deque

from plexstream.model.journal.journal import Inbox, Origin
from plexstream.processor.journal.sums.fold import InboxFold
from plexstream.processor.journal.sums.spans import done_of, joined, without


class InboxState:
    """One inbox topic of a running processor.

    Invariants: everything below `position` is done but `waiting`; from there on `done` is.
    `origins` is as of ``max(position, known)``: what stands below `known` was checked by an earlier reign.
    """

    __slots__ = ("_sizes", "done", "known", "origins", "position", "topic", "waiting", "waiting_bytes")

    def __init__(self, topic: str, fold: InboxFold | None) -> None:
        plain = fold.plain(topic) if fold else Inbox(topic, 0, 0, (), ())
        self.topic = topic
        self.position = plain.low  # the next offset to take
        self.known = plain.next
        self.done = deque(done_of(plain))
        self.origins = {o.origin: (o.seq, o.item) for o in plain.origins}
        self.waiting: set[int] = set()
        self.waiting_bytes = 0  # of their payloads
        self._sizes: dict[int, int] = {}

    def full(self, messages: int, size: int) -> bool:
        """Whether so many messages, or bytes of them, wait."""
        return len(self.waiting) >= messages or self.waiting_bytes >= size

    def is_done(self, offset: int) -> bool:
        """Whether a message that was taken has been handled."""
        return offset < self.position and offset not in self.waiting

    def wait(self, offset: int, size: int) -> None:
        """The message at `offset`, with a payload of `size` bytes, is held until its actor can take it."""
        self.waiting.add(offset)
        self.waiting_bytes += size - self._sizes.get(offset, 0)
        self._sizes[offset] = size

    def admit(self, offset: int, origin: str, seq: int, index: int) -> bool:
        """Whether the message at `offset` is to be handled: neither done nor a repetition."""
        self.position = offset + 1
        if origin and offset >= self.known:
            last = self.origins.get(origin)
            if last is not None and (seq, index) <= last:
                return False
            self.origins[origin] = (seq, index)
        done = self.done
        while done and done[0].end <= offset:
            done.popleft()
        return not (done and done[0].first <= offset)

    def finish(self, offset: int) -> None:
        """The message at `offset` is handled: its turn, if any, is on its way."""
        self.waiting.discard(offset)
        if self._sizes:
            self.waiting_bytes -= self._sizes.pop(offset, 0)

    def plain(self) -> Inbox:
        """For a mark: as of all that was handed to the log before it."""
        position = self.position
        low = min(self.waiting, default=position)
        assert low <= position, f"{self.topic}: {low} waits, and was not taken yet: {position} comes next"
        spans = joined([*without(low, position, self.waiting), *(s for s in self.done if s.end > position)])
        origins = tuple(Origin(o, seq, item) for o, (seq, item) in self.origins.items())
        return Inbox(self.topic, low, max(position, self.known), (), origins, tuple(spans))
