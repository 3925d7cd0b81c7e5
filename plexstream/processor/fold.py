"""The sum of a journal: who owns it, how far its inboxes are, what is still owed.

Everyone who folds a journal (owner, restore, replay, tools) does it with this one piece of code,
so that all agree on which records count (DESIGN 4, the reading rule).
"""

from __future__ import annotations

from plexstream.model.journal import Claim, Inbox, JournalRecord, Mark, Origin, Partition, Step, Turn

CRASH_TURNS = 10_000
"""A reign with so many turns did not end because of its first message."""


class InboxFold:
    """How far one inbox topic is done, as `Inbox` says, while it moves."""

    __slots__ = ("done", "low", "next", "origins")

    def __init__(self, inbox: Inbox | None = None) -> None:
        self.low = inbox.low if inbox else 0
        self.next = inbox.next if inbox else 0
        self.done: set[int] = set(inbox.done) if inbox else set()
        self.origins = {o.origin: (o.seq, o.item) for o in inbox.origins} if inbox else {}

    def plain(self, topic: str) -> Inbox:
        """As plain data. What is done at the low end moves it up.

        Not beyond `next`: `origins` knows nothing of what comes there, so that it must be read again.
        """
        while self.low < self.next and self.low in self.done:
            self.done.discard(self.low)
            self.low += 1
        origins = tuple(Origin(o, seq, item) for o, (seq, item) in self.origins.items())
        return Inbox(topic, self.low, max(self.next, self.low), tuple(sorted(self.done)), origins)


class Fold:
    """Folds one partition's journal from `partition` on.

    Invariants: `next` is the offset of the record that comes; `claim` is the latest claim below it.
    """

    def __init__(self, partition: Partition = Partition()) -> None:  # noqa: B008  immutable
        self.next = partition.start
        self.claims = list(partition.claims)
        self.claim = self.claims[-1] if self.claims else -1
        self.inboxes = {i.topic: InboxFold(i) for i in partition.inboxes}
        self.relayed = partition.relayed
        self.emitted = partition.emitted
        self.crashes = partition.crashes
        self.turns = partition.turns
        self.released = partition.released
        self.attempt = partition.attempt
        self.attempts = partition.attempts
        self.timer = partition.timer
        self.timer_attempts = partition.timer_attempts
        self.code: dict[str, str] = {}

    def counted(self, offset: int, record: JournalRecord) -> bool:
        """Whether a turn or mark below `next` counted: it names the latest claim before it."""
        latest = max((c for c in self.claims if c < offset), default=-1)
        return type(record) is not Claim and record.claim == latest  # type: ignore[union-attr]

    def take(self, offset: int, record: JournalRecord) -> bool:
        """Fold the record at `offset`; returns whether it counts (a claim always does)."""
        assert offset >= self.next, f"offset {offset} after {self.next}: a journal is folded in order"
        self.next = offset + 1
        if type(record) is Turn or type(record) is Step:
            if record.claim != self.claim:
                return False
            self.turn(record)
            return True
        if type(record) is Claim:
            self._claim(offset, record)
            return True
        assert type(record) is Mark
        if record.claim != self.claim:
            return False
        self._mark(record)
        return True

    def turn(self, turn: Turn | Step) -> None:
        """A turn or a step that counts finishes its cause."""
        self.turns += 1
        if self.timer:
            self._survived(turn)
        offset = turn.cause_offset
        if offset < 0:
            return
        if offset == self.attempt:
            self.attempt, self.attempts = -1, 0
        if turn.cause_topic == TRIED:
            return  # its message is still to be handled
        inbox = self.inboxes.get(turn.cause_topic)
        if inbox is None:
            inbox = self.inboxes[turn.cause_topic] = InboxFold()
        if offset >= inbox.low:
            inbox.done.add(offset)

    def _survived(self, turn: Turn | Step) -> None:
        """The timer on trial is not what kills if it has led to a turn, or the waiting handler goes on."""
        fired = turn.cause_offset < 0 and self.timer == f"{turn.sender}#{turn.message_id}"
        if fired or (type(turn) is Step and self.timer == f"{turn.actor}#~{turn.invocation}"):
            self.timer, self.timer_attempts = "", 0

    def _claim(self, offset: int, claim: Claim) -> None:
        self.crashes = 0 if self.released or self.turns >= CRASH_TURNS else self.crashes + 1
        self.claim = offset
        self.claims.append(offset)
        self.turns = 0
        self.released = False
        self.code = claim.code

    def _mark(self, mark: Mark) -> None:
        # Those before a suspect, which may wait for a retry, are announced anew in each reign: it stays one.
        if mark.attempt >= max(0, self.attempt):
            self.attempts = self.attempts + 1 if mark.attempt == self.attempt else 1
            self.attempt = mark.attempt
        if mark.timer:
            self.timer_attempts = self.timer_attempts + 1 if mark.timer == self.timer else 1
            self.timer = mark.timer
        for inbox in mark.inboxes:
            # The mark tells the sum of all before it: what was folded up to here is in it.
            self.inboxes[inbox.topic] = InboxFold(inbox)
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
        return Partition(
            self.next, floor, unsaved, tuple(self.claims), tuple(i.plain(t) for t, i in self.inboxes.items()),
            self.relayed, self.emitted, self.crashes, self.turns, self.released, self.attempt, self.attempts,
            self.timer, self.timer_attempts,
        )  # fmt: skip


MAILBOX = "mailbox"
TIMER = "timer"
TRIED = "attempt"
"""Cause topics that are no topics of the log: a timer names itself by the turn's message id; an attempt that
has failed names its message as the last one would, and leaves it to be tried again."""
