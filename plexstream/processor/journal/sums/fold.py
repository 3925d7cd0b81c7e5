"""The sum of a journal: who owns it, how far its inboxes are, what is still owed.

Everyone who folds a journal (owner, restore, replay, tools) does it with this one piece of code,
so that all agree on which records count (DESIGN 4, the reading rule).
"""

from __future__ import annotations

from collections.abc import Callable

from plexstream.model.journal.journal import (
    Claim,
    Inbox,
    JournalRecord,
    Mark,
    Origin,
    Partition,
    Span,
    Step,
    Turn,
)
from plexstream.processor.journal.sums.spans import done_of, joined, single

_KNOWN = 100
"""More deaths than that make no difference to anybody."""
CRASH_TURNS = 10_000
"""A reign with so many turns did not end because of its first message."""
UNKNOWN, MISSING = -1, -2
"""As the number of the last record of a reign that counted: not known; one is missing, and no more count."""


class InboxFold:
    """How far one inbox topic is done, as `Inbox` says, while it moves."""

    __slots__ = ("_since", "_spans", "low", "next", "origins")

    def __init__(self, inbox: Inbox | None = None) -> None:
        self.low = inbox.low if inbox else 0
        self.next = inbox.next if inbox else 0
        self._spans = done_of(inbox) if inbox else []
        self._since: set[int] = set()  # since the mark that said so
        self.origins = {o.origin: (o.seq, o.item) for o in inbox.origins} if inbox else {}

    def finish(self, offset: int) -> None:
        """The message at `offset` is done."""
        if offset >= self.low:
            self._since.add(offset)

    def has(self, offset: int) -> bool:
        """Whether the message at `offset` is done."""
        known = offset < self.low or offset in self._since
        return known or any(first <= offset < end for first, end in self._spans)

    @property
    def end(self) -> int:
        """Behind the last offset that is known to be done."""
        return max(max(self._since, default=-1) + 1, max((span.end for span in self._spans), default=0))

    def plain(self, topic: str) -> Inbox:
        """As plain data. What is done at the low end moves it up.

        Not beyond `next`: `origins` knows nothing of what comes there, so that it must be read again.
        """
        spans = self._above(joined([*self._spans, *single(self._since)]))
        self._since.clear()
        if spans and spans[0].first <= self.low < self.next:
            self.low = min(spans[0].end, self.next)
        self._spans = spans = self._above(spans)
        origins = tuple(Origin(o, seq, item) for o, (seq, item) in self.origins.items())
        return Inbox(topic, self.low, max(self.next, self.low), (), origins, tuple(spans))

    def _above(self, spans: list[Span]) -> list[Span]:
        return [Span(max(first, self.low), end) for first, end in spans if end > self.low]


class Fold:
    """Folds one partition's journal from `partition` on.

    Invariants: `next` is the offset of the record that comes; `claim` is the latest claim below it, `ordinal`
    the number of the last record of that reign that counted.

    Attributes:
        on_missing: is called where something of a reign is not there: with the offset of the first record
            that does not count for that, the number it has, and the number that is missing.
    """

    def __init__(self, partition: Partition = Partition()) -> None:  # noqa: B008  immutable
        self.next = partition.start
        self.claims = list(partition.claims)
        self.claim = self.claims[-1] if self.claims else -1
        self.inboxes = {i.topic: InboxFold(i) for i in partition.inboxes}
        # A sum from before such marks were refused may say more: its owner's own marks would be refused.
        self.relayed = min(partition.relayed, partition.start)
        self.emitted = min(partition.emitted, partition.start)
        self.process = partition.process or (f"claim {self.claim}" if self.claims else "")
        self.deaths = partition.deaths or _unnamed(partition.crashes)
        self.turns = partition.turns
        self.released = partition.released
        self.attempt = partition.attempt
        self.attempt_by = partition.attempt_by or _unnamed(partition.attempts)
        self.timer = partition.timer
        self.timer_by = partition.timer_by or _unnamed(partition.timer_attempts)
        self.code: dict[str, str] = {}
        self.ordinal = partition.ordinal
        self.unread = partition.unread
        self.uncounted = list(partition.uncounted)
        self.on_missing: Callable[[int, int, int], None] = lambda *_: None

    @property
    def crashes(self) -> int:
        """How many processes in a row have died in their reigns, as far as is known."""
        return len(self.deaths)

    @property
    def attempts(self) -> int:
        """How many processes the attempt has killed, as far as is known."""
        return len([process for process in self.attempt_by if process != self.process])

    @property
    def timer_attempts(self) -> int:
        """How many processes the timer has killed, as far as is known; one more where this one tries it."""
        return len(self.timer_by)

    def counted(self, offset: int, record: JournalRecord) -> bool:
        """Whether a turn or mark below `next` counted. Known as far back as `partition` says what is owed."""
        latest = max((c for c in self.claims if c < offset), default=-1)
        if isinstance(record, Claim) or record.claim != latest or beyond(offset, record):
            return False
        return not any(first <= offset < end for first, end in self.uncounted)

    def take(self, offset: int, record: JournalRecord) -> bool:
        """Fold the record at `offset`; returns whether it counts (a claim always does)."""
        assert offset >= self.next, f"offset {offset} after {self.next}: a journal is folded in order"
        self.next = offset + 1
        if type(record) is Turn or type(record) is Step:
            if record.claim != self.claim or not self.follows(offset, record.ordinal):
                return False
            self.turn(record)
            return True
        if type(record) is Claim:
            self._claim(offset, record)
            return True
        assert type(record) is Mark
        if beyond(offset, record):
            return False
        if record.claim != self.claim or not self.follows(offset, record.ordinal):
            if record.alive:
                self._heard_of(record.alive)
            return False
        self._mark(record)
        return True

    def skip(self, offset: int) -> None:
        """The record at `offset` cannot be read: it counts for nothing. It may have been of the reign."""
        if offset >= self.next:
            self.next = offset + 1
            self.unread += 1

    def follows(self, offset: int, ordinal: int) -> bool:
        """Whether the record at `offset`, of the reign in force, is the next of it by its number.

        One with a number that was there is that record, appended again. With one too high, something of the
        reign is not there: what follows was made on top of it, and nothing of the reign counts any more.
        """
        last = self.ordinal
        if ordinal == last + 1 > 0:
            counts = True
        elif last == MISSING:
            counts = False
        elif ordinal == 0:
            counts = last <= 0  # all of the reign is of a version of before, whose records have no numbers
        elif last == UNKNOWN < ordinal or last < ordinal <= last + 1 + self.unread:
            counts = True
        else:
            counts = False
        if counts:
            self.ordinal = ordinal or last
            self.unread = 0
            return True
        self._note(offset)
        if ordinal > last != MISSING:
            self.ordinal = MISSING
            self.on_missing(offset, ordinal, last + 1)
        return False

    def repeated(self, offset: int) -> None:
        """What stands at `offset` was appended again. For who folds what it has written."""
        self._note(offset)

    def _note(self, offset: int) -> None:
        """The record at `offset` does not count. Behind a missing one, nothing does."""
        spans = self.uncounted
        if spans and (spans[-1].end == offset or self.ordinal == MISSING):
            spans[-1] = Span(spans[-1].first, offset + 1)
        else:
            spans.append(Span(offset, offset + 1))

    def turn(self, turn: Turn | Step) -> None:
        """A turn or a step that counts finishes its cause."""
        self.turns += 1
        if self.timer:
            self._survived(turn)
        offset = turn.cause_offset
        if offset < 0:
            return
        if offset == self.attempt:
            self.attempt, self.attempt_by = -1, ()
        if turn.cause_topic == TRIED:
            return  # its message is still to be handled
        inbox = self.inboxes.get(turn.cause_topic)
        if inbox is None:
            inbox = self.inboxes[turn.cause_topic] = InboxFold()
        inbox.finish(offset)

    def _survived(self, turn: Turn | Step) -> None:
        """The timer on trial is not what kills if it has led to a turn, or the waiting handler goes on."""
        fired = turn.cause_offset < 0 and self.timer == f"{turn.sender}#{turn.message_id}"
        if fired or (type(turn) is Step and self.timer == f"{turn.actor}#~{turn.invocation}"):
            self.timer, self.timer_by = "", ()

    def _heard_of(self, process: str) -> None:
        """A process lives: what it was about has not killed it."""
        self.deaths = _without(self.deaths, process)
        self.attempt_by = _without(self.attempt_by, process)
        self.timer_by = _without(self.timer_by, process)

    def _claim(self, offset: int, claim: Claim) -> None:
        if self.released or self.turns >= CRASH_TURNS:
            self.deaths = ()
        elif self.claim >= 0 or self.process:
            self.deaths = _with(self.deaths, self.process)
        # One of an older version, or of a tool, stands for itself.
        self.process = claim.process or f"claim {offset}"
        self._heard_of(self.process)
        self.claim = offset
        self.claims.append(offset)
        self.ordinal = self.unread = 0
        self.turns = 0
        self.released = False
        self.code = claim.code

    def _mark(self, mark: Mark) -> None:
        # Those before a suspect, which may wait for a retry, are announced anew in each reign: it stays one,
        # until this process has tried it and tries another.
        if mark.attempt >= 0 and (mark.attempt >= self.attempt or self.process in self.attempt_by):
            self.attempt_by = _with(self.attempt_by if mark.attempt == self.attempt else (), self.process)
            self.attempt = mark.attempt
        if mark.timer == PASSED:
            self.timer, self.timer_by = "", ()
        elif mark.timer:
            self.timer_by = _with(self.timer_by if mark.timer == self.timer else (), self.process)
            self.timer = mark.timer
        for plain in mark.inboxes:
            # The mark tells the sum of all before it: what was folded up to here is in it.
            self.inboxes[plain.topic] = InboxFold(plain)
        inbox = self.inboxes.get(MAILBOX)
        if mark.attempt < 0 <= self.attempt and inbox is not None and inbox.has(self.attempt):
            self.attempt, self.attempt_by = -1, ()  # it left no turn, and the process lives
        self.relayed = max(self.relayed, mark.relayed)
        self.emitted = max(self.emitted, mark.emitted)
        self.released = mark.release

    def partition(self, unsaved: int | None) -> Partition:
        """The sum of everything below `next`.

        The snapshot topic lacks what is from `unsaved` on (None: nothing).
        """
        floor = min(self.next, self.relayed, self.emitted)
        unsaved = self.next if unsaved is None else unsaved
        while len(self.claims) > 1 and self.claims[1] < min(floor, unsaved):
            del self.claims[0]
        while self.uncounted and self.uncounted[0].end <= min(floor, unsaved):
            del self.uncounted[0]
        return Partition(
            self.next, floor, unsaved, tuple(self.claims), tuple(i.plain(t) for t, i in self.inboxes.items()),
            self.relayed, self.emitted, self.crashes, self.turns, self.released,
            self.attempt, len(self.attempt_by), self.timer, self.timer_attempts,
            self.deaths, self.attempt_by, self.timer_by, self.process,
            self.ordinal, self.unread, tuple(self.uncounted),
        )  # fmt: skip


def beyond(offset: int, record: JournalRecord) -> str:
    """Why the record at `offset` is no owner's: a mark that speaks of what comes after it. "" if it may be.

    Who believed it would take for arrived what is still to be sent.
    """
    if type(record) is not Mark or max(record.relayed, record.emitted) <= offset:
        return ""
    return (
        f"it is a mark that says that all below {max(record.relayed, record.emitted)} has left, where the "
        f"journal has nothing from {offset} on: nobody of plexstream has written it"
    )


def _with(processes: tuple[str, ...], process: str) -> tuple[str, ...]:
    """One more process, each once, the latest `_KNOWN` of them."""
    return (*_without(processes, process), process)[-_KNOWN:]


def _without(processes: tuple[str, ...], process: str) -> tuple[str, ...]:
    return tuple(other for other in processes if other != process) if process in processes else processes


def _unnamed(count: int) -> tuple[str, ...]:
    """So many processes that an older version has counted."""
    return tuple(f"unknown {number}" for number in range(min(count, _KNOWN)))


PASSED = "#"
"""As the timer of a mark: what was tried before has come to its end, and the process lives."""
MAILBOX = "mailbox"
TIMER = "timer"
TRIED = "attempt"
"""Cause topics that are no topics of the log: a timer names itself by the turn's message id; an attempt that
has failed names its message as the last one would, and leaves it to be tried again."""
