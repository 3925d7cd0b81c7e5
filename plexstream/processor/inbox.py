"""How far an inbox is done, while messages overtake each other."""

from __future__ import annotations

from plexstream.model.journal import Inbox, Origin
from plexstream.processor.fold import InboxFold


class InboxState:
    """One inbox topic of a running processor.

    Invariants: everything below `low` is done. From `low` to `position` all is done but `waiting`.
    `origins` is as of ``max(position, known)``: what stands below `known` was checked by an earlier reign.
    """

    __slots__ = ("done", "known", "origins", "position", "topic", "waiting")

    def __init__(self, topic: str, fold: InboxFold | None) -> None:
        plain = fold.plain(topic) if fold else Inbox(topic, 0, 0, (), ())
        self.topic = topic
        self.position = plain.low  # the next offset to take
        self.known = plain.next
        self.done = set(plain.done)
        self.origins = {o.origin: (o.seq, o.item) for o in plain.origins}
        self.waiting: set[int] = set()

    def admit(self, offset: int, origin: str, seq: int, index: int) -> bool:
        """Whether the message at `offset` is to be handled: neither done nor a repetition."""
        self.position = offset + 1
        if origin and offset >= self.known:
            last = self.origins.get(origin)
            if last is not None and (seq, index) <= last:
                if self.waiting:
                    self.done.add(offset)
                return False
            self.origins[origin] = (seq, index)
        if self.done and offset in self.done:
            if not self.waiting:
                self.done.discard(offset)
            return False
        return True

    def finish(self, offset: int) -> None:
        """The message at `offset` is handled: its turn, if any, is on its way."""
        self.waiting.discard(offset)
        if self.waiting:
            self.done.add(offset)

    def plain(self) -> Inbox:
        """For a mark: as of all that was handed to the log before it."""
        low = min(self.waiting, default=self.position)
        low = min(low, self.position)
        self.done = {o for o in self.done if o >= low}
        origins = tuple(Origin(o, seq, item) for o, (seq, item) in self.origins.items())
        return Inbox(self.topic, low, max(self.position, self.known), tuple(sorted(self.done)), origins)
