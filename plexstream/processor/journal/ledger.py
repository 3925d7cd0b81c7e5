"""What a partition hands to its log, and what comes back: turns on their way, acknowledgements, what left."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from plexstream.model.errors import Fenced
from plexstream.model.journal.journal import Claim, JournalRecord, Mark, OutKind, Step, Turn
from plexstream.processor.journal.compiled import JOURNAL, STEPS
from plexstream.processor.journal.outbox import Outbox
from plexstream.processor.journal.records import Answer, Group
from plexstream.processor.journal.restore import Restore
from plexstream.processor.journal.sums.fold import MAILBOX, TIMER
from plexstream.processor.journal.sums.inbox import InboxState
from plexstream.processor.state.ports import Settings
from plexstream.processor.state.timers import Timers

_new = tuple.__new__  # a named tuple's own costs several times as much
_OUT_TIMER, _OUT_CANCEL = OutKind.TIMER.value, OutKind.CANCEL.value


class Ledger:
    """The records of one partition under one claim, from their turn to their acknowledgement and beyond.

    Parameters:
        partition: its number.
        restore: the journal folded up to and with this processor's own claim.
        settings: limits and intervals.
        now: milliseconds since the epoch.

    Attributes:
        now: the partition's time, which never goes back.
        pending: records that the next group has.
        number: of the group that comes next.
        acknowledged_number: of the latest group that is acknowledged.
        running_ahead: turns executed and not acknowledged.
        newest: the last of its records that is acknowledged.
        releasing: no turn is made any more: what waits is the next owner's.
        on_applied: is called with each group that the log has.
    """

    def __init__(self, partition: int, restore: Restore, settings: Settings, now: int) -> None:
        self.partition = partition
        self.settings = settings
        self.fold = restore.fold
        self.pieces = restore.pieces
        self.claim = self.fold.claim
        self.now = now
        self.inbox = InboxState(MAILBOX, self.fold.inboxes.get(MAILBOX))
        self.timers = Timers(self.pieces)
        self.outbox = Outbox(self.fold.relayed, self.fold.emitted)
        self.answers: deque[Answer] = deque()
        if restore.unseen >= 0:
            self.outbox.mails.unseen(self.fold.next - 1)
        for offset, turn in restore.still_owed():
            self._owe(offset, turn)
        self.number = 1
        self.acknowledged_number = 0
        self._ordinal = self.fold.ordinal  # of the last record that was handed out
        self.pending: list[Turn | Step | Mark] = []
        self._measured = self._measured_bytes = 0  # of what is pending
        self.pending_answers: list[Answer] = []
        self.in_flight: deque[Group] = deque()
        self.newest: Turn | Step | Mark | None = None
        self.running_ahead = 0
        self.on_applied: Callable[[Group], None] = lambda _: None
        self._since_mark = 0
        self._marked_at = now
        self._moved = False  # whether a lane got on since the last mark
        self.releasing = False
        self.pieces.histories.new_from = self.fold.next

    def at(self, now: int) -> None:
        """It is `now`: a clock that is set back must not order turns anew."""
        if now > self.now:
            self.now = now

    # To the log

    @property
    def quiet(self) -> bool:
        """Whether nothing is on its way to the log."""
        return not (self.in_flight or self.pending)

    def append(self, record: Turn | Step, seen: bool = True) -> None:
        """A turn or a step is on its way to the log, and with it its cause is done.

        `seen`: whether there is anything in it that later turns can see.
        """
        if seen:
            self.pieces.run_ahead(record)
        self.pending.append(record)
        self.running_ahead += 1
        if self.inbox.waiting and (record.cause_topic == MAILBOX or type(record) is Turn):
            self.inbox.finish(record.cause_offset)

    def mark(self, attempt: int = -1, timer: str = "", release: bool = False) -> None:
        """A mark is on its way: how far all is, and what is tried next."""
        self.pending.append(self._mark(attempt, timer, release))

    def mark_if_due(self) -> None:
        """A mark comes after so many turns, and after so long if anything happened."""
        quiet = not self._moved and not self._since_mark
        if self._since_mark >= self.settings.mark_turns or (
            not quiet and self.now - self._marked_at >= self.settings.mark_interval
        ):
            self.mark()

    def next_mark(self) -> int | None:
        """When `mark_if_due` has something to do, in ms since the epoch."""
        return self._marked_at + self.settings.mark_interval if self._since_mark or self._moved else None

    def answer(self, answer: Answer) -> None:
        """An answer leaves once the log has proven that this is still the owner."""
        self.pending_answers.append(answer)

    def _mark(self, attempt: int = -1, timer: str = "", release: bool = False) -> Mark:
        self._since_mark = 0
        self._marked_at = self.now
        self._moved = False
        self.settle()
        # With an attempt, too: what was done before it without a turn must not be done again before it is.
        inboxes = (self.inbox.plain(),)
        fold = self.fold
        return Mark(self.claim, self.now, inboxes, fold.relayed, fold.emitted, attempt, timer, release)

    def take(self) -> list[Turn | Step | Mark] | None:
        """Records to append as one group, or None. A group proves the ownership that waiting answers need.

        Raises:
            StoreCorrupt, StoreUnavailable: a handler could not read its state, whatever it has made of that.
        """
        if self.pieces.unread is not None:
            raise self.pieces.unread
        if not self.pending:
            if not self.pending_answers:
                return None
            self.mark()
        self._measured = self._measured_bytes = 0
        numbered = _numbered(self.pending, self._ordinal + 1)
        self._ordinal += len(numbered)
        group = Group(self.number, self.pending, numbered, self.pending_answers)
        self.in_flight.append(group)
        self.pending = []
        self.pending_answers = []
        self.number += 1
        return numbered

    def pending_bytes(self) -> int:
        """About how large the group is that comes next: each record is measured once."""
        if JOURNAL is not None:
            self._measured, size = JOURNAL.weigh(self.pending, self._measured)
            self._measured_bytes += size
        for record in self.pending[self._measured :]:
            if type(record) is not Mark:
                assert type(record) is Turn or type(record) is Step
                self._measured_bytes += sum([len(change.value or b"") for change in record.patch])
                self._measured_bytes += sum([len(out.payload) for out in record.outs])
        self._measured = len(self.pending)
        return self._measured_bytes

    # From the log

    def acknowledged(self, offset: int) -> tuple[int, int] | None:
        """The oldest group is on the log, its last record at `offset`.

        Returns None where nobody wrote in between; else the offsets (first, last) of the journal that
        the driver must read and give to `gap` before any further acknowledgement.

        Raises:
            Fenced: the offset is impossible.
        """
        group = self.in_flight[0]
        first = self.fold.next
        last = first + len(group.records) - 1
        if offset == last:
            self.in_flight.popleft()
            self._apply(group, range(first, last + 1))
            return None
        if offset < last:
            raise Fenced(f"partition {self.partition}: append acknowledged at {offset}, expected {last}")
        return first, offset

    def gap(self, records: Sequence[tuple[int, JournalRecord | None]]) -> list[int]:
        """What stands in the journal around the oldest group; None for what cannot be read.

        A group that was appended again, or one before it, stands there more often than it was sent: the first
        of each number is the one that counts, for all who read the journal.

        Returns the offsets of those that were appended again.

        Raises:
            Fenced: another has claimed the partition, or not all of the group is there.
        """
        group = self.in_flight[0]
        mine: list[int] = []
        again: list[int] = []
        if not records or len(records) != records[-1][0] - self.fold.next + 1:
            # Only a newer owner trims what this one has not read, its claim perhaps.
            raise Fenced(f"partition {self.partition}: the journal is trimmed beyond {self.fold.next}")
        for offset, record in records:
            if type(record) is Claim:
                raise Fenced(f"partition {self.partition}: claimed by {record.node} at offset {offset}")
        open = deque(group.numbered)
        for offset, record in records:
            if not isinstance(record, Turn | Step | Mark) or record.claim != self.claim:
                continue
            if record.ordinal == open[0].ordinal and record[:2] == open[0][:2]:
                mine.append(offset)
                open.popleft()
                if not open:
                    break  # what comes then is looked at with the next group
            elif 0 < record.ordinal < open[0].ordinal:
                again.append(offset)
            else:  # one of nobody of plexstream, or something is missing
                raise Fenced(f"partition {self.partition}: another record than is due stands at {offset}")
        if open:
            found = f"{len(mine)} of {len(group.records)} records are in the journal"
            raise Fenced(f"partition {self.partition}: {found}")
        self.in_flight.popleft()
        for offset in again:
            self.fold.repeated(offset)
        self._apply(group, mine)
        return again

    def _apply(self, group: Group, offsets: Sequence[int]) -> None:
        fold, pieces = self.fold, self.pieces
        turns = at = 0
        records = group.records
        while at < len(offsets):
            if plain := self._apply_plain(group, offsets, at):
                turns += plain
                at += plain
                continue
            offset, record, numbered = offsets[at], records[at], group.numbered[at]
            at += 1
            if type(record) is Turn or type(record) is Step:
                turns += 1
                fold.next = offset + 1
                fold.ordinal = numbered.ordinal
                fold.turn(record)
                pieces.apply(offset, record)
                if record.cause_topic == TIMER:
                    self.timers.remove(record.sender, record.message_id)
                if record.outs:
                    self._owe(offset, record)
            else:
                fold.take(offset, numbered)
        self.newest = group.numbered[-1]
        self.running_ahead -= turns
        self._since_mark += turns
        self.acknowledged_number = group.number
        self.answers.extend(group.answers)
        self.on_applied(group)

    def _apply_plain(self, group: Group, offsets: Sequence[int], at: int) -> int:
        """Apply so many of a group's records, from the one at place `at` on, as are plain turns, or steps."""
        kind, records = type(group.records[at]), group.records
        if kind is Mark:
            return 0
        fold, pieces, outbox = self.fold, self.pieces, self.outbox
        inbox = fold.inboxes.get(MAILBOX)
        usual = type(offsets) is range and not fold.timer and fold.attempt < 0
        if JOURNAL is None or STEPS is None or inbox is None or not usual:
            return 0
        if kind is Turn:
            end = JOURNAL.apply(
                records, at, offsets[at], pieces.cores, pieces.dirty_cores, pieces.unsaved.cores, inbox,
                outbox.mails, outbox.emits,
            )  # fmt: skip
        else:
            histories = pieces.histories
            end, size = STEPS.apply(
                records, at, offsets[at], histories.new_from, histories.pending, histories.dirty,
                histories.saved, pieces.dirty, pieces.unsaved.pieces, pieces.cores, pieces.dirty_cores,
                pieces.unsaved.cores, inbox,
            )  # fmt: skip
            pieces.dirty_bytes += size
            for place in range(at, end):
                if records[place].outs:  # type: ignore[union-attr]
                    self._owe(offsets[place], records[place])  # type: ignore[arg-type]
        if end > at:
            fold.turns += end - at
            fold.next = offsets[end - 1] + 1
            fold.ordinal = group.numbered[end - 1].ordinal
        return end - at

    def _owe(self, offset: int, turn: Turn | Step) -> None:
        """An acknowledged turn's outgoing items may leave, its timers may fire."""
        if self.outbox.owe(offset, turn):
            for out in turn.outs:
                if out.kind == _OUT_TIMER:
                    self.timers.add(out.due, turn.actor, out.id)
                elif out.kind == _OUT_CANCEL:
                    self.timers.remove(turn.actor, out.id)

    # What left

    def relayed(self, offset: int) -> None:
        """All mails and replies of turns up to `offset` have arrived."""
        self.outbox.mails.arrived(offset)
        self._moved = True

    def emitted(self, offset: int) -> None:
        """All output records of turns up to `offset` are committed."""
        self.outbox.emits.arrived(offset)
        self._moved = True

    def put_away(self, offset: int) -> None:
        """All dead letters of turns up to `offset` are committed."""
        self.outbox.letters.arrived(offset)
        self._moved = True

    def settle(self) -> None:
        """Bring the fold up to what has left."""
        self.fold.relayed = self.outbox.mails.done(self.fold.next)
        next = self.fold.next
        self.fold.emitted = min(self.outbox.emits.done(next), self.outbox.letters.done(next))


def _numbered(records: list[Turn | Step | Mark], first: int) -> list[Turn | Step | Mark]:
    """Records with their numbers in their reign, from `first` on."""
    if JOURNAL is not None:
        return JOURNAL.number(records, first)
    return [
        _new(type(record), record[:-1] + (ordinal,))  # noqa: RUF005  a quarter faster
        for ordinal, record in enumerate(records, first)
    ]
