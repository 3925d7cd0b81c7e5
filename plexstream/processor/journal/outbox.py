"""What acknowledged turns still owe to others, in the order of their turns."""

from __future__ import annotations

from collections import deque

from plexstream.model.journal.journal import OutKind, Step, Turn

_LAST_MAIL = OutKind.ERROR.value
_EMIT, _DEAD = OutKind.EMIT.value, OutKind.DEADLETTER.value


class Lane:
    """One way out: turns to be relayed, and how far that has come."""

    __slots__ = ("_done", "_last", "queue")

    def __init__(self, done: int) -> None:
        self.queue: deque[tuple[int, Turn | Step]] = deque()  # taken by the driver
        self._done = done  # all below has arrived
        self._last = -1

    def owe(self, offset: int, turn: Turn | Step) -> None:
        if offset >= self._done:
            if self._last < self._done:
                self._done = offset  # nothing below is owed: this never goes back
            self.queue.append((offset, turn))
            self._last = max(self._last, offset)

    def unseen(self, last: int) -> None:
        """Something that is not here may be owed by turns up to the one at `last`."""
        self._last = max(self._last, last)

    def arrived(self, offset: int) -> None:
        """Everything of turns up to `offset` has arrived."""
        self._done = max(self._done, offset + 1)

    def done(self, next: int) -> int:
        """The journal offset below which all has arrived, where `next` is the end of what is acknowledged."""
        return self._done if self._last >= self._done else next


class Outbox:
    """Three ways out: messages and replies by plain appends, outputs and dead letters by transactions."""

    def __init__(self, relayed: int, emitted: int) -> None:
        self.mails = Lane(relayed)
        self.emits = Lane(emitted)
        self.letters = Lane(emitted)
        self.lanes = self.mails, self.emits, self.letters

    def owe(self, offset: int, turn: Turn | Step) -> bool:
        """The turn at `offset` is acknowledged: what it sends may leave. Returns whether it has timers."""
        mail = emit = letter = other = False
        for out in turn.outs:
            kind = out.kind
            if kind <= _LAST_MAIL:
                mail = True
            elif kind == _EMIT:
                emit = True
            elif kind == _DEAD:
                letter = True
            else:
                other = True
        if mail:
            self.mails.owe(offset, turn)
        if emit:
            self.emits.owe(offset, turn)
        if letter:
            self.letters.owe(offset, turn)
        return other
