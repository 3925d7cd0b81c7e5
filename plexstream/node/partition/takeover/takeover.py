"""From an assignment to a processor that can start: claim, state store, journal. Never blocks."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial

import msgspec

from plexstream.log.base import Place, Record
from plexstream.model.errors import Fenced, LogError, Malformed, StoreCorrupt, StoreUnavailable
from plexstream.model.journal import Claim, Mark, Partition, Step, Turn
from plexstream.model.snapshot import Snapshot
from plexstream.node.lanes.encode import journal_items
from plexstream.node.lanes.lanes import Lane
from plexstream.node.partition.takeover.gone import Gone, Remains
from plexstream.node.partition.takeover.lineage import (
    LIFE_KEY,
    NOTHING,
    Comparison,
    Facts,
    Lineage,
    Unfit,
    digest,
    look,
    other_life,
    unfit,
)
from plexstream.node.partition.takeover.lineage import decode as decode_lineage
from plexstream.node.partition.takeover.mailbox import Mailbox
from plexstream.node.partition.takeover.snapshots import (
    CODE_KEY,
    PARTITION_KEY,
    SENTINEL,
    partition_piece,
    piece_key,
    read_sentinel,
    snapshot_key,
    split_fields,
)
from plexstream.node.shared.services import Opened, Services, WipeableStore, Wiped
from plexstream.processor import Restore
from plexstream.processor.ports import PieceKey
from plexstream.processor.state.pieces import Pieces
from plexstream.schema import codec
from plexstream.schema.codec import decode_journal, decode_partition, decode_snapshot, is_claim

_log = logging.getLogger("plexstream.node")

_LOAD_BATCH = 5_000
_FILL_BATCH = 5_000
NOBODY = -2
"""Named as its claim by a record that counts for nothing."""
MAX_LOST = 10_000_000
"""So many records of a journal may be lost by the word of the snapshot topic, where anybody may have written:
each of their numbers is used up. The state store, which is this node's own, is believed whatever it says."""
STORE_AGAIN_S = 1.0
"""How soon a state store that could not be opened is tried again."""
LOOK_AGAIN_S = 0.2
"""How soon the log is asked again where it could not say."""


class _Code(msgspec.Struct):
    """The node that served a partition, and its versions of the actor types."""

    node: str = ""
    versions: dict[str, str] = {}


_code = msgspec.json.Decoder(_Code)


class Phase(Enum):
    """How far a takeover is."""

    CLAIMING = "claiming"
    OPENING = "opening"  # its state store
    LOOKING = "looking"  # which lives of its topics there are, and what the journal still has
    FILLING = "filling"  # numbers of the journal that were given out in a history that it has lost
    LOADING = "loading"  # pieces come from the snapshot topic
    RESTORING = "restoring"  # the journal is folded
    REFUSED = "refused"  # the mailbox is shorter than it was: until an operator accepts that
    DONE = "done"


class Takeover:
    """One partition on its way into service (DESIGN 4, rule 3).

    Attributes:
        phase: how far it is.
        store, lane: open from the claim on; the driver takes them over, and closes them if it is lost before.
        restore: complete when the phase is DONE.
        mailbox: whether it is what it was.
        unsaved: journal offset from which on the snapshot topic may lack what the store has.
    """

    def __init__(self, services: Services, partition: int, owner: object) -> None:
        self.s = services
        self.partition = partition
        self.owner = owner
        self.phase = Phase.CLAIMING
        self.store: WipeableStore | None = None
        self.lane: Lane | None = None
        self.restore: Restore | None = None
        self.claim = -1
        self.unsaved = 0
        self.mailbox = Mailbox(services, partition, owner)
        self.gone = Gone(services, partition, owner)
        self.journal: Place = (services.topics.journal, partition)
        self.snapshots: Place = (services.topics.snapshot, partition)
        self._token = uuid.uuid4().hex
        self._loaded: dict[PieceKey, Snapshot | None] = {}
        self._loaded_bytes = 0
        self._former = _Code()
        self._sum: Snapshot | None = None
        self._found: Partition | None = None  # what the state store reflects
        self._look_at = 0.0  # when to ask again; 0: an answer is due
        self._waits_for_store = False
        self._known_lineage: Lineage | None = None  # of what the state was made of
        self._comparison: Comparison | None = None  # of the state store with the journal
        self._sum_lineage: Lineage | None = None
        self._load_from = 0  # of the snapshot topic
        self._fill_to = 0
        self.facts = NOTHING
        self.since = 0  # pieces of the snapshot topic below this offset are of another life
        self.save_all = False  # the snapshot topic is not the one that the store has saved to
        self._tail = ""  # digest of the last record that was folded
        self._folded_token = ""  # of the last claim
        self._loads = 0
        self._first = 0  # of the journal, as was seen last
        self._partition = Partition()  # the sum that stands with the snapshots
        self._sentinel_offset = 0
        self._given_up = False  # what the journal has lost, by an operator's word
        self._sum_to_take: Partition | None = None
        self._proving = False  # the snapshots are read to see whether they may replace the store
        self._seen = 0  # of the snapshot topic, up to this offset
        self._sentinel = -1  # the number of its batch in the lane
        self._sentinel_on_log = False
        versions = services.host.versions()
        self._made = services.now()
        self._before = 0  # the time on the log of the last record before the claim
        claim = Claim(self._token, services.node, self._made, versions, services.process)
        services.appender.append(self.journal, journal_items([claim]), (owner, "claim", None))

    @property
    def appending(self) -> bool:
        """Whether something is on its way to the journal that the takeover waits for."""
        return self.phase in (Phase.CLAIMING, Phase.FILLING) or self.mailbox.resetting

    def claimed(self, offset: int) -> None:
        """The claim is on the log at `offset`."""
        self.claim = offset
        self.phase = Phase.OPENING
        self._open()

    def _open(self) -> None:
        self._look_at = 0.0
        self.s.open_store(self.owner, self.partition, self._opened)

    def _opened(self, store: Opened) -> None:
        try:
            if isinstance(store, StoreUnavailable | LogError):
                raise store
            self._found = self._stored(store)
        except (StoreUnavailable, LogError) as error:
            self.s.close_store(self.partition)
            self._look_at = self.s.elapsed() + STORE_AGAIN_S
            if not self._waits_for_store:
                self._waits_for_store = True
                _log.error("partition %d waits for its state store: %s", self.partition, error)
            return
        self.store = store
        self.lane = self.s.open_lane(self.partition)
        self.lane.known = self.claim + 1
        self.phase = Phase.LOOKING
        self._look()

    def _look(self) -> None:
        self._look_at = 0.0
        self.s.ask(self.owner, self.partition, partial(look, self.s.control, self.partition), self._looked)

    def go_on(self) -> None:
        """Time has passed: ask again what the log could not say."""
        if self._look_at and self.s.elapsed() >= self._look_at:
            if self.phase is Phase.OPENING:
                self._open()
            else:
                self._look()
        elif self.phase is Phase.REFUSED:
            self.mailbox.go_on()

    def _looked(self, found: Facts | LogError) -> None:
        stored = self._found
        assert self.store is not None
        assert self.lane is not None
        if isinstance(found, LogError):
            _log.warning("partition %d waits to take over: %s", self.partition, found)
            self._look_at = self.s.elapsed() + LOOK_AGAIN_S
            return
        self.facts = found
        self.lane.life = found.journal
        if stored is None:
            self._start_load()
            return
        lineage = decode_lineage(self.store.get(LIFE_KEY))
        wrong = unfit(stored, lineage, found, self.claim, self.partition)
        if wrong is not None:
            self._rebuild(wrong)
            return
        self.unsaved = stored.unsaved
        if lineage is not None and lineage.snapshot and found.snapshot:
            self.save_all = lineage.snapshot != found.snapshot
            self.since = 0 if self.save_all else lineage.since
            # Who has begun to save all anew may have died before the end. And where somebody has deleted all
            # that the store reflects, no record tells what the snapshots lack.
            self.save_all = self.save_all or lineage.anew or 0 < stored.start <= found.first
        self._known_lineage = lineage
        same = lineage is not None and bool(lineage.journal) and lineage.journal == found.journal
        self._comparison = Comparison(stored, lineage, same)
        self._start_restore(stored, exact=True)

    def _rebuild(self, wrong: Unfit) -> None:
        """The state store is not of this journal."""
        level = logging.ERROR if wrong.upto else logging.WARNING
        _log.log(level, "partition %d: the state store is rebuilt: %s", self.partition, wrong.why)
        self.s.journal.release(self.journal)
        if wrong.upto > self.claim:
            self._fill(wrong.upto)
        else:
            self._start_load()

    def _fill(self, upto: int) -> None:
        """Use up the journal's numbers below `upto`: they were given out in a history that is lost.

        Others know them, as numbers of messages that they have and would drop what is not newer. Then the
        partition is claimed anew, behind them.
        """
        self.phase = Phase.FILLING
        self._fill_to = upto
        self.filled(self.claim)

    def filled(self, offset: int) -> None:
        """All below and at `offset` is used up. Raises Fenced at the end."""
        count = min(self._fill_to - 1 - offset, _FILL_BATCH)
        if count > 0:
            void: list[Turn | Step | Mark] = [Mark(NOBODY, self.s.now(), (), 0, 0, -1, "", False)]
            self.s.appender.append(self.journal, journal_items(void * count), (self.owner, "fill", None))
            return
        # Not before: it is what tells how far the lost history went.
        self._wipe(partial(self._claim_anew, offset + 1))

    def _claim_anew(self, begin: int) -> None:
        raise Fenced(f"{self.journal[0]}[{self.partition}] is claimed anew from {begin} on")

    def _wipe(self, then: Callable[[], None]) -> None:
        """Empty the store, and go on."""

        def wiped(error: Wiped) -> None:
            if error is not None:
                raise error
            then()

        self.phase = Phase.OPENING
        self.s.wipe_store(self.owner, self.partition, wiped)

    def _start_load(self) -> None:
        # Where the journal does not have all, and the snapshots should not either, the store is what is left.
        self._first = max(self._first, self.facts.first)
        self._proving = self._found is not None and self._first > 0
        self._comparison = self._known_lineage = None
        self._loads += 1
        self._forget_loaded(self._fence_and_load)

    def _fence_and_load(self) -> None:
        assert self.lane is not None
        # Nothing older comes behind this record: committing it fences a former owner's snapshots.
        value = f"{self.claim} {self.facts.journal}".strip().encode()
        self._sentinel = self.lane.save([(*self.snapshots, SENTINEL, value)])
        self._sentinel_on_log = False
        self.s.kick_lanes()
        self._load_all()

    def _load_all(self) -> None:
        self.s.snapshots.assign(self.snapshots, self._load_from)
        self.phase = Phase.LOADING

    def _forget_loaded(self, then: Callable[[], None]) -> None:
        self._loaded, self._loaded_bytes = {}, 0
        self._sum = self._sum_lineage = None
        if self._proving:
            then()
        else:
            self._found = None
            self._wipe(then)

    def _stored(self, store: WipeableStore) -> Partition | None:
        try:
            piece = store.get(PARTITION_KEY)
            if piece is None:
                return None
            return decode_partition(piece.data)
        except (StoreCorrupt, Malformed) as error:
            _log.warning("partition %d: the state store is rebuilt: %s", self.partition, error)
            return None

    def load(self, records: list[Record]) -> None:
        """Records of the snapshot topic."""
        assert self.store is not None
        if self.phase is not Phase.LOADING:
            return
        for record in records:
            self._seen = record.offset + 1
            if record.key == SENTINEL:
                latest, life = read_sentinel(record.value)
                if life and self.facts.journal and life != self.facts.journal:
                    continue
                if latest == self.claim:
                    self._loaded_all(record.offset)
                    return
                if latest - self.claim > MAX_LOST:
                    _log.error(
                        "%s[%d] offset %d counts for nothing: it says that the journal was claimed at %d, "
                        "and this claim is at %d: nobody of plexstream has written it",
                        *self.snapshots, record.offset, latest, self.claim,
                    )  # fmt: skip
                    continue
                if latest > self.claim and life:  # it may have replaced this one's, by compaction
                    self._look_beyond(latest)
                    return
                continue
            try:
                if record.value is None:
                    gone = piece_key(record.key)
                    if gone is None:
                        raise Malformed(f"the key {record.key[:60]!r} names no piece")
                    self._keep_loaded(gone, None, 0)
                    continue
                piece = decode_snapshot(record.value)
                key = (piece.kind, piece.address, piece.name, piece.key)
                if snapshot_key(key) != record.key:
                    raise Malformed(f"the key {record.key[:60]!r} is not that of the piece")
                if key == PARTITION_KEY:
                    start = decode_partition(piece.data).start
                    if start - self.claim > MAX_LOST:
                        raise Malformed(
                            f"it is a sum of the journal up to {start}, which ends at {self.claim}: nobody "
                            "of plexstream has written it"
                        )
                if key == LIFE_KEY:
                    self._sum_lineage = decode_lineage(piece)
                    continue
            except Malformed as error:
                _log.error("%s[%d] offset %d counts for nothing: %s", *self.snapshots, record.offset, error)
                continue
            if key == PARTITION_KEY:
                # Not into the store: its pieces are of many offsets until the journal is folded over them.
                self._sum = piece
            else:
                self._keep_loaded(key, piece, len(record.value))

    def _keep_loaded(self, key: PieceKey, piece: Snapshot | None, size: int) -> None:
        if self._proving:
            return
        self._loaded[key] = piece
        self._loaded_bytes += size
        if len(self._loaded) > _LOAD_BATCH or self._loaded_bytes > self.s.settings.flush_bytes:
            self._write_loaded()

    def _write_loaded(self) -> None:
        assert self.store is not None
        self.store.write(self._loaded)
        self._loaded, self._loaded_bytes = {}, 0

    def _loaded_all(self, sentinel: int) -> None:
        lineage = self._sum_lineage
        partition = decode_partition(self._sum.data) if self._sum else Partition()
        self._partition, self._sentinel_offset = partition, sentinel
        if self._given_up:
            self.s.snapshots.release(self.snapshots)
            self._write_loaded()
            self._known_lineage = lineage
            assert self._sum_to_take is not None
            self._start_restore(self._sum_to_take, exact=False)
            return
        if other_life(lineage, self.facts):
            assert lineage is not None
            _log.warning(
                "partition %d: the snapshots are of another life of the journal (%s, now %s): they count for "
                "nothing", self.partition, lineage.journal, self.facts.journal,
            )  # fmt: skip
            self.since = sentinel
            self._forget_loaded(partial(self._use_loaded, Partition()))
            return
        if lineage is not None and lineage.since > self._load_from:
            # Only now is it known from where on they are of this life.
            self._load_from = self.since = lineage.since
            self._load_again()
            return
        if partition.start > self.claim and lineage is not None:
            self._lost_history(partition.start, "the snapshots reflect it")
            return
        self._known_lineage = lineage
        self._use_loaded(partition)

    def _use_loaded(self, partition: Partition) -> None:
        if self._proving:
            if self._first > partition.unsaved:
                self._missed(partition.unsaved, self._first)
            else:
                self._proving = False
                self._load_again()
            return
        self.s.snapshots.release(self.snapshots)
        self._write_loaded()
        self._start_restore(partition, exact=False)
        assert self.restore is not None
        self.unsaved = self.restore.begin

    def _load_again(self) -> None:
        self._forget_loaded(self._load_all)

    def _look_beyond(self, latest: int) -> None:
        """A sentinel of a newer claim than this one's: somebody has claimed, or the journal has lost that."""
        log, journal = self.s.log, self.journal
        self.s.snapshots.release(self.snapshots)
        self.phase = Phase.LOOKING

        def looked(found: tuple[int, int] | LogError) -> None:
            if isinstance(found, LogError):
                raise found
            if latest < found[1]:
                raise Fenced(f"{self.snapshots} is being read by the owner of a newer claim, {latest}")
            self._lost_history(latest + 1, "somebody has claimed it")

        self.s.ask(self.owner, self.partition, lambda: log.range(journal), looked)

    def _lost_history(self, upto: int, why: str) -> None:
        """The journal ends before what others know of it."""
        self.s.snapshots.release(self.snapshots)
        _log.error(
            "partition %d: %s[%d] ends at %d, and %s up to %d: acknowledged records %d to %d are LOST. Was "
            "Kafka restored to an earlier point, or an out-of-sync replica made leader? The partition goes "
            "on with what the journal and the snapshots have",
            self.partition, *self.journal, self.claim, why, upto, self.claim, upto - 1,
        )  # fmt: skip
        self._fill(upto)

    def _start_restore(self, partition: Partition, exact: bool) -> None:
        assert self.store is not None
        limits = self.s.settings
        pieces = Pieces(self.store, split_fields, limits.reply_ttl, codec, limits.result_ttl)
        pieces.histories.load()
        self.restore = Restore(pieces, partition, exact)
        self.restore.on_claim = self._note_code
        self.restore.fold.on_missing = self._missing
        if self._comparison is not None:
            # The last record that the store reflects is looked at, too.
            self.restore.begin = self.restore.next = min(self.restore.begin, self._comparison.begin)
        piece = self.store.get(CODE_KEY)
        with suppress(msgspec.DecodeError):
            self._former = _code.decode(piece.data) if piece else _Code()
        self.s.journal.assign(self.journal, self.restore.begin)
        self.phase = Phase.RESTORING

    def _missed(self, needed: int, first: int) -> None:
        """The journal begins at `first`, beyond what is needed: load the snapshots that stand in for it.

        Raises:
            Fenced: a newer owner has trimmed it.

        Where none do, it is refused until an operator goes on with what is left.
        """
        self._first = first
        self.s.journal.release(self.journal)
        self.s.snapshots.release(self.snapshots)
        if self._loads > 1:
            # The second sentinel stood behind all that a former owner committed, and committing it would have
            # failed had a newer owner trimmed: so nobody did who had saved it.
            self.phase = Phase.REFUSED
            remains = Remains(self._found, self._partition, needed, first)
            self.gone.check(remains, self.facts, self.claim, self._go_on_with)
            return
        # A former owner trimmed it by its snapshots, after the range was looked at; or a newer one has.
        if not self._proving:
            _log.warning("partition %d: the store is rebuilt: the journal was trimmed", self.partition)
        self._start_load()

    def _go_on_with(self, partition: Partition, from_store: bool) -> None:
        """An operator goes on with what is left, and nothing below this claim counts any more."""
        self._given_up = True
        self._comparison = None
        self.save_all = True
        self.unsaved = self.claim
        if self._proving and not from_store:
            self._proving = False
            self._sum_to_take = partition
            self._load_again()
            return
        if from_store:
            self.since = self._sentinel_offset  # what the snapshots have is older, or of other turns
        self._start_restore(partition, exact=from_store)

    def saved(self, batch: int) -> None:
        """The lane has committed its batches up to this one."""
        self._sentinel_on_log = self._sentinel_on_log or batch >= self._sentinel

    def awaited(self) -> tuple[str, int] | None:
        """Which record must come next, as far as is known: that none comes for long is an error."""
        if self.phase is Phase.LOADING and self._sentinel_on_log:
            return f"{self.snapshots[0]}[{self.partition}]: the sentinel of claim {self.claim}", self._seen
        if self.phase is Phase.RESTORING and self.restore is not None:
            return f"{self.journal[0]}[{self.partition}]", self.restore.next
        return None

    def _note_code(self, claim: Claim) -> None:
        """Say so where another version of the code takes over: from here on it decides what messages do."""
        self._folded_token = claim.token
        if claim.token != self._token:
            self._former = _Code(claim.node, claim.code)
            return
        old, new = self._former.versions, claim.code
        changed = [f"{t} {old[t]} -> {new[t]}" for t in sorted(old.keys() & new.keys()) if old[t] != new[t]]
        if changed:
            # A node that is started again with other code is what its user has just done.
            _log.log(
                logging.INFO if claim.node == self._former.node else logging.WARNING,
                "partition %d: the code has changed from node %s to node %s: %s",
                self.partition, self._former.node, claim.node, ", ".join(changed),
            )  # fmt: skip
        if lacking := sorted(old.keys() - new.keys()):
            _log.warning(
                "partition %d: node %s has no actor type %s, which node %s served here: calls get "
                "unknown_type and tells become dead letters until a node that has it takes over",
                self.partition, claim.node, ", ".join(lacking), self._former.node,
            )  # fmt: skip
        assert self.store is not None
        self.store.write({CODE_KEY: self.code_piece()})

    def code_piece(self) -> Snapshot:
        """Which code serves the partition now, as a piece of its state."""
        data = msgspec.json.encode(_Code(self.s.node, self.s.host.versions()))
        return Snapshot(CODE_KEY[0], "", CODE_KEY[2], None, self.claim, 0, 0, data)

    def replay(self, records: list[Record]) -> None:
        """Records of the journal."""
        restore = self.restore
        if self.phase is not Phase.RESTORING or restore is None:
            return
        take, claim, comparison = restore.take, self.claim, self._comparison
        for record in records:
            offset = record.offset
            if offset != restore.next and restore.misses(offset):
                self._missed(restore.next, offset)
                return
            if comparison is not None and (why := self._differs(comparison, record)):
                lost = f": the log has another history below {restore.start} than this store saw"
                self._rebuild(Unfit(why + lost))
                return
            try:
                take(offset, record.value or b"")
            except Malformed as error:
                _log.error("%s[%d] offset %d counts for nothing: %s", *self.journal, offset, error)
                restore.skip(offset)
            if offset >= claim:
                if restore.fold.claim != claim:
                    raise Fenced(f"{self.journal} was claimed and trimmed beyond the claim at {claim}")
                self.s.journal.release(self.journal)
                self._tail = digest(record.value)
                self._compare_clocks(record.time)
                self._end()
                return
            self._before = record.time
        pieces, settings = restore.pieces, self.s.settings
        if pieces.dirty_bytes > settings.flush_bytes or len(pieces.dirty_cores) > settings.flush_pieces:
            # In steps, so that a journal larger than memory can be folded.
            if restore.next < restore.start:
                # Pieces from the snapshot topic are not as of any one offset yet: without a sum whoever opens
                # the store begins anew.
                pieces.flush()
            else:
                self._tail = digest(records[-1].value)
                partition = restore.fold.partition(self.unsaved)
                pieces.flush(partition_piece(partition), self.lineage(partition.start))
            pieces.forget_clean(settings.flush_pieces)

    def _missing(self, offset: int, ordinal: int, due: int) -> None:
        assert self.restore is not None
        _log.warning(
            "%s[%d] offset %d is record %d of the reign of claim %d, and record %d of it is not there: from "
            "that offset on nothing of this reign counts. What the mailbox still has of it is handled again",
            *self.journal, offset, ordinal, self.restore.fold.claim, due,
        )  # fmt: skip

    def _compare_clocks(self, stamped: int) -> None:
        clocks, now = self.s.clocks, self.s.now()
        clocks.appended(self.partition, self._made, stamped, now)
        clocks.wrote(self.partition, self._former.node, self._before, now)

    def _end(self) -> None:
        """All is folded: the partition may start, if its mailbox is what it was."""
        restore = self.restore
        assert restore is not None
        if self._given_up:
            # Before anything is acknowledged that rests on it: what was accepted is accepted once.
            partition = restore.fold.partition(self.unsaved)
            restore.pieces.flush(partition_piece(partition), self.lineage(partition.start))
        self.phase = Phase.REFUSED
        if self.mailbox.check(restore.fold, self.claim, self._known_lineage, self.facts):
            self.phase = Phase.DONE

    def _differs(self, comparison: Comparison, record: Record) -> str:
        data = record.value or b""
        token = None
        if is_claim(data):
            with suppress(Malformed):
                claim = decode_journal(data)
                assert type(claim) is Claim
                token = claim.token
        return comparison.differs(record.offset, data, token)

    def lineage(self, start: int, tail: str | None = None) -> Snapshot:
        """Which history a sum up to `start` is of, as a piece that stands beside it.

        `tail` is the digest of the last record that it reflects; by default the last that was folded here.
        """
        journal, mailbox, snapshot = self.facts.lives
        assert self.restore is not None
        return Lineage(
            self.partition, journal, mailbox, snapshot, self.since, self.restore.fold.claim,
            self._folded_token, self._tail if tail is None else tail, self.save_all,
        ).piece(start)  # fmt: skip
