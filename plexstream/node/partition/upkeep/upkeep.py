"""What keeps a partition's store, snapshots and journal in shape while it serves."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from plexstream.log.base import Place, Record
from plexstream.model.errors import LogError, Malformed, StoreUnavailable
from plexstream.model.journal.journal import Partition, Step, Turn
from plexstream.model.journal.snapshot import Snapshot
from plexstream.model.messages.address import type_of
from plexstream.node.lanes.lanes import Lane
from plexstream.node.lanes.records.encode import Output
from plexstream.node.partition.sums.lineage import LIFE_KEY, digest
from plexstream.node.partition.sums.snapshots import (
    CODE_KEY,
    PARTITION_KEY,
    partition_piece,
    snapshot_key,
)
from plexstream.node.partition.takeover.takeover import Takeover
from plexstream.node.partition.upkeep.ages import Ages
from plexstream.node.shared.services import Services
from plexstream.processor import Processor
from plexstream.processor.journal.sums.fold import MAILBOX
from plexstream.processor.state.ports import PieceKey
from plexstream.schema.codec import decode_journal, encode_journal, encode_snapshot

_log = logging.getLogger("plexstream.node")

FLUSH_TURNS = 20_000
"""Turns that a restart may have to fold again, about 0.2 s of work, before a busy partition is flushed."""
FEW_TURNS = 2_000
"""A partition with no more since its last flush is flushed in each interval: that costs little."""
_EXPIRY_STEP = 1_000


class Upkeep:
    """Flushes, snapshots, trims, expires, about once a second.

    After a takeover from the local store it first learns what the snapshot topic lacks, by reading the
    journal once more from there (`catch_up`); until then it takes no snapshots.
    """

    def __init__(self, services: Services, takeover: Takeover, processor: Processor, lane: Lane) -> None:
        self.s = services
        self.processor = processor
        self.lane = lane
        self._snapshots = takeover.snapshots
        self._code = takeover.code_piece()
        self._history = takeover.history
        self._claim = takeover.claim
        if takeover.history.save_all:
            _log.warning(
                "partition %d: the topic of snapshots lacks what no journal record tells: all state is saved "
                "anew", takeover.partition,
            )  # fmt: skip
            # Who has them before that is done needs records that are gone, and so does not take them for all.
            processor.pieces.unsaved.all(max(0, takeover.history.facts.first - 1))
        self._journal = takeover.journal
        self._mailbox: Place = (services.topics.mailbox, takeover.partition)
        self.flushed_at = services.now()
        self._flushed_next = -1
        self._owner = takeover.owner
        self._saving: tuple[int, Partition] | None = None  # the batch on its way, and the sum in it
        self._saving_from: int | None = None  # the oldest turn that only the batch on its way has
        self._more = False  # whether there is more to save than one batch takes
        self._trimmed = 0
        self._store_waits = False
        self._trimming = False
        self._ages = Ages()
        self._expiry: Iterator[PieceKey | None] | None = None
        self._expired_at = services.now()
        exact = takeover.restore is not None and takeover.restore.exact
        self._unsaved = takeover.history.unsaved
        self._catch_up_to = takeover.restore.start if exact and takeover.restore is not None else 0
        self._catch_up_next = takeover.history.unsaved

    @property
    def behind(self) -> int:
        """Journal records that the store does not reflect."""
        return self.processor.fold.next - self._flushed_next

    # Catching up

    @property
    def catching_up(self) -> bool:
        """Whether what the snapshot topic lacks is not known yet."""
        return self._catch_up_next < self._catch_up_to

    @property
    def catches_up_at(self) -> int:
        """Which journal record comes next for that."""
        return self._catch_up_next

    @property
    def catches_up_to(self) -> int:
        """The last journal offset that tells it."""
        return self._catch_up_to - 1

    def start_catch_up(self) -> None:
        """Begin, or go on, to read the journal for it."""
        if self.catching_up:
            self.s.journal.assign(self._journal, self._catch_up_next)

    def catch_up(self, records: list[Record]) -> None:
        """Records of the journal from where the snapshot topic lacks something."""
        pieces = self.processor.pieces
        for record in records:
            self._catch_up_next = record.offset + 1
            if record.offset >= self._catch_up_to:
                break
            try:
                turn = decode_journal(record.value or b"")
            except Malformed:
                continue
            if isinstance(turn, Turn | Step):
                # One that does not count may be noted too: its pieces are then saved once more than needed.
                pieces.unsaved.note(record.offset, turn)
        if not self.catching_up:
            pieces.unsaved.order()
            self.s.journal.release(self._journal)

    # Once a second

    def go_on(self, now: int) -> None:
        """Time has passed: do what is due."""
        p, settings = self.processor, self.s.settings
        pieces = p.pieces
        full = len(pieces.dirty_cores) + len(pieces.dirty) >= settings.flush_pieces
        late = now - self.flushed_at >= settings.flush_interval and (
            # A busy partition is flushed less often: an actor that had many turns is written once.
            not FEW_TURNS < self.behind < FLUSH_TURNS
            or now - self.flushed_at >= 5 * settings.flush_interval
        )
        if full or late or pieces.dirty_bytes >= settings.flush_bytes:
            self.flush(now)
            self.snapshot(now)
            self.expire(now)
            p.actors.look_for_idle(now)
            pieces.forget_clean(max(10_000, len(p.actors.active)))

    def flush(self, now: int) -> None:
        """Write acknowledged state to the store, where that takes it now. Raises StoreCorrupt."""
        p = self.processor
        self.flushed_at = now
        if p.fold.next == self._flushed_next:
            return
        p.settle()
        partition = p.fold.partition(self._first_unsaved())
        try:
            p.pieces.flush(partition_piece(partition), self._lineage(partition))
        except StoreUnavailable as error:
            # What was to be written stays in memory, whose bounds stop the reading of messages.
            if not self._store_waits:
                _log.error("partition %d goes on without its state store: %s", self._journal[1], error)
            self._store_waits = True
            return
        if self._store_waits:
            _log.warning("partition %d: its state store is written again", self._journal[1])
        self._store_waits = False
        self._flushed_next = p.fold.next

    def _lineage(self, partition: Partition) -> Snapshot:
        newest = self.processor.newest
        tail = None if newest is None else digest(encode_journal(newest))
        return self._history.lineage(self._claim, partition.start, tail)

    def _first_unsaved(self) -> int | None:
        if self.catching_up:
            return self._unsaved
        firsts = self._saving_from, self.processor.pieces.unsaved.oldest()
        return min((first for first in firsts if first is not None), default=None)

    @property
    def lag(self) -> int:
        """Journal records of which the snapshot topic lacks something, from the oldest one on."""
        first = None if self.catching_up else self._first_unsaved()
        return 0 if first is None else self.processor.fold.next - first

    def snapshot(self, now: int) -> None:
        """Copy state to the snapshot topic where a rebuild would replay too much, or its age asks for it."""
        p, settings = self.processor, self.s.settings
        intervals = self._intervals()
        self._ages.note(now, p.fold.next, max(intervals.values(), default=0))
        if self._saving is not None or self.catching_up:
            return
        oldest = p.pieces.unsaved.oldest()
        long = oldest is not None and p.fold.next - oldest >= settings.snapshot_lag
        lag = p.fold.next - settings.snapshot_lag // 2 if long else 0
        before = {
            name: max(lag, self._ages.before(now, wait)) if wait else lag for name, wait in intervals.items()
        }
        latest = max(before.values(), default=lag)  # nothing behind that is due, nor looked at

        def due(address: str) -> int:
            return before.get(type_of(address), lag)

        taken = p.pieces.unsaved.take(settings.snapshot_batch, settings.snapshot_bytes, latest, due)
        full = len(taken) >= settings.snapshot_batch
        while p.actors.to_save and len(taken) < settings.snapshot_batch:
            taken.update(p.pieces.unsaved.take_core(p.actors.to_save.pop()))
        self._more = full or bool(p.actors.to_save)
        if not taken:
            return
        p.settle()
        partition = p.fold.partition(p.pieces.unsaved.oldest())
        taken[PARTITION_KEY] = partition_piece(partition)
        taken[CODE_KEY] = self._code
        taken[LIFE_KEY] = self._lineage(partition)
        records: list[Output] = [
            (*self._snapshots, snapshot_key(key), None if piece is None else encode_snapshot(piece))
            for key, piece in taken.items()
        ]
        self._saving_from = min(p.pieces.unsaved.taken.values())
        self._saving = self.lane.save(records), partition
        self.s.kick_lanes()

    def _intervals(self) -> dict[str, int]:
        """After how many ms state of each type stands in the snapshot topic; 0: time alone is no reason."""
        infos = {name: self.s.host.type_info(name) for name in self.s.host.versions()}
        default = self.s.settings.snapshot_interval
        return {
            name: default if info is None or info.snapshot_interval < 0 else info.snapshot_interval
            for name, info in infos.items()
        }

    def saved(self, batch: int) -> None:
        """All batches up to this one are committed: the journal below the snapshots in them may go."""
        if self._saving is None or batch < self._saving[0]:
            return  # another's: of the sentinel of the takeover
        (_, partition), self._saving, self._saving_from = self._saving, None, None
        self.processor.pieces.unsaved.saved()
        oldest = self.processor.pieces.unsaved.oldest()
        if oldest is None or oldest >= self._history.facts.first:
            self._history.save_all = False
        if self._more:
            self.snapshot(self.s.now())  # while it is behind, one batch follows the other
        # The last record that a store reflects stays: by it a takeover tells whether the store is its own.
        # Of this one, too, which may be older than the snapshots are.
        keep_from = min(partition.floor, partition.unsaved, partition.start - 1, self._flushed_next - 1)
        if self.s.settings.keep_history or keep_from <= self._trimmed or self._trimming:
            return
        log, journal, mailbox = self.s.log, self._journal, self._mailbox
        lows = [inbox.low for inbox in partition.inboxes if inbox.topic == MAILBOX]
        # What an earlier reign has read is there, too, though this one may be still to come to it.
        read = max(self.processor.position, self.processor.inbox.known)
        acknowledged = self.processor.fold.next

        def trim() -> int:
            log.trim(journal, keep_from, acknowledged)
            for low in lows:  # messages go with the turns that they caused
                log.trim(mailbox, low, read)
            return keep_from

        self._trimming = True
        self.s.ask(self._owner, journal[1], trim, self._trimmed_to)

    def _trimmed_to(self, offset: int | LogError) -> None:
        self._trimming = False
        if isinstance(offset, LogError):
            _log.warning(
                "partition %d could not be trimmed, it will be next time: %s", self._journal[1], offset
            )
        else:
            self._trimmed = offset

    def expire(self, now: int) -> None:
        """Forget kept replies that have expired, a thousand looked at a time."""
        p = self.processor
        if self._expiry is None:
            if now - self._expired_at < self.s.settings.snapshot_interval:
                return
            self._expired_at = now
            self._expiry = p.pieces.expired_replies(now, _EXPIRY_STEP)
        for key in self._expiry:
            if key is None:
                return
            p.pieces.forget_reply(key, p.fold.next, now)
        self._expiry = None
