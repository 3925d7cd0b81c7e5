"""From an assignment to a processor that can start: claim, state store, journal. Never blocks."""

from __future__ import annotations

import logging
import uuid
from contextlib import suppress
from enum import Enum

import msgspec

from plexstream.log.base import Place, Record
from plexstream.model.errors import Fenced, HistoryGone, LogError, Malformed, StoreCorrupt
from plexstream.model.journal import Claim, Partition
from plexstream.model.snapshot import Piece, Snapshot
from plexstream.node.encode import journal_items
from plexstream.node.lanes import Lane
from plexstream.node.services import Services, WipeableStore
from plexstream.processor import Restore
from plexstream.processor.pieces import Pieces
from plexstream.processor.ports import PieceKey
from plexstream.schema import codec
from plexstream.schema.codec import decode_partition, decode_snapshot, encode_partition

_log = logging.getLogger("plexstream.node")

PARTITION_KEY: PieceKey = (Piece.PARTITION.value, "", "", None)
CODE_KEY: PieceKey = (Piece.PARTITION.value, "", "code", None)
"""Which code served last: claims say so too, but are trimmed."""
SENTINEL = b"\0restore"
_LOAD_BATCH = 5_000
LOOK_AGAIN_S = 0.2
"""How soon the log is asked again where it could not say."""
_KINDS = {b"%d" % kind: kind.value for kind in Piece}
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Code(msgspec.Struct):
    """The node that served a partition, and its versions of the actor types."""

    node: str = ""
    versions: dict[str, str] = {}


_code = msgspec.json.Decoder(_Code)


class Phase(Enum):
    """How far a takeover is."""

    CLAIMING = "claiming"
    LOOKING = "looking"  # whether the journal still has what the state store needs
    LOADING = "loading"  # pieces come from the snapshot topic
    RESTORING = "restoring"  # the journal is folded
    DONE = "done"


def split_fields(data: bytes) -> dict[str, bytes]:
    """The JSON object of an actor's fields, taken apart without decoding the values."""
    return {name: bytes(value) for name, value in _fields.decode(data).items()}


def partition_piece(partition: Partition) -> Snapshot:
    """A partition's sum as a piece of its state."""
    return Snapshot(PARTITION_KEY[0], "", "", None, partition.start, 0, 0, encode_partition(partition))


class Takeover:
    """One partition on its way into service (DESIGN 4, rule 3).

    Attributes:
        phase: how far it is.
        store, lane: open from the claim on; the driver takes them over, and closes them if it is lost before.
        restore: complete when the phase is DONE.
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
        self.journal: Place = (services.topics.journal, partition)
        self.snapshots: Place = (services.topics.snapshot, partition)
        self._token = uuid.uuid4().hex
        self._loaded: dict[PieceKey, Snapshot | None] = {}
        self._former = _Code()
        self._sum: Snapshot | None = None
        self._found: Partition | None = None  # what the state store reflects
        self._look_at = 0.0  # when to ask again; 0: an answer is due
        self._loads = 0
        self._seen = 0  # of the snapshot topic, up to this offset
        self._sentinel = -1  # the number of its batch in the lane
        self._sentinel_on_log = False
        claim = Claim(self._token, services.node, services.now(), services.host.versions())
        services.appender.append(self.journal, journal_items([claim]), (owner, "claim", None))

    def claimed(self, offset: int) -> None:
        """The claim is on the log at `offset`."""
        self.claim = offset
        self.store = self.s.open_store(self.partition)
        self._found = self._stored(self.store)
        self.lane = self.s.open_lane(self.partition)
        self.lane.known = offset + 1
        if self._found is not None:
            self.phase = Phase.LOOKING
            self._look()
        else:
            self._start_load()

    def _look(self) -> None:
        log, journal = self.s.log, self.journal
        self._look_at = 0.0
        self.s.ask(self.owner, self.partition, lambda: log.range(journal), self._looked)

    def go_on(self) -> None:
        """Time has passed: ask again what the log could not say."""
        if self._look_at and self.s.elapsed() >= self._look_at:
            self._look()

    def _looked(self, found: tuple[int, int] | LogError) -> None:
        stored, claim = self._found, self.claim
        assert stored is not None
        if isinstance(found, LogError):
            _log.warning("partition %d waits to take over: %s", self.partition, found)
            self._look_at = self.s.elapsed() + LOOK_AGAIN_S
            return
        first, _ = found
        if first <= stored.start <= claim:
            self.unsaved = stored.unsaved
            self._start_restore(stored, exact=True)
            return
        _log.warning(
            "partition %d: the state store is rebuilt: it is of journal offset %d, the journal has %d to %d",
            self.partition, stored.start, first, claim,
        )  # fmt: skip
        self._start_load()

    def _start_load(self) -> None:
        assert self.store is not None
        assert self.lane is not None
        self.store.wipe()
        self._loaded, self._sum = {}, None
        self._loads += 1
        # Nothing older comes behind this record: committing it fences a former owner's snapshots.
        self._sentinel = self.lane.save([(*self.snapshots, SENTINEL, b"%d" % self.claim)])
        self._sentinel_on_log = False
        self.s.kick_lanes()
        self.s.snapshots.assign(self.snapshots, 0)
        self.phase = Phase.LOADING

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
                value = record.value or b""
                latest = int(value) if value.isdigit() and len(value) < 20 else -1
                if latest > self.claim:  # it may have replaced this one's, by compaction
                    raise Fenced(f"{self.snapshots} is being read by the owner of a newer claim, {latest}")
                if latest == self.claim:
                    self._loaded_all()
                    return
                continue
            try:
                if record.value is None:
                    gone = piece_key(record.key)
                    if gone is None:
                        raise Malformed(f"the key {record.key[:60]!r} names no piece")
                    self._loaded[gone] = None
                    continue
                piece = decode_snapshot(record.value)
                key = (piece.kind, piece.address, piece.name, piece.key)
                if snapshot_key(key) != record.key:
                    raise Malformed(f"the key {record.key[:60]!r} is not that of the piece")
                if key == PARTITION_KEY:
                    decode_partition(piece.data)
            except Malformed as error:
                _log.error("%s[%d] offset %d counts for nothing: %s", *self.snapshots, record.offset, error)
                continue
            if key == PARTITION_KEY:
                # Not into the store: its pieces are of many offsets until the journal is folded over them.
                self._sum = piece
            else:
                self._loaded[key] = piece
        if len(self._loaded) > _LOAD_BATCH:
            self.store.write(self._loaded)
            self._loaded = {}

    def _loaded_all(self) -> None:
        assert self.store is not None
        self.s.snapshots.release(self.snapshots)
        self.store.write(self._loaded)
        self._loaded = {}
        partition = decode_partition(self._sum.data) if self._sum else Partition()
        self._start_restore(partition, exact=False)
        assert self.restore is not None
        self.unsaved = self.restore.begin

    def _start_restore(self, partition: Partition, exact: bool) -> None:
        assert self.store is not None
        pieces = Pieces(self.store, split_fields, self.s.settings.reply_ttl, codec)
        pieces.histories.load()
        self.restore = Restore(pieces, partition, exact)
        self.restore.on_claim = self._note_code
        piece = self.store.get(CODE_KEY)
        with suppress(msgspec.DecodeError):
            self._former = _code.decode(piece.data) if piece else _Code()
        self.s.journal.assign(self.journal, self.restore.begin)
        self.phase = Phase.RESTORING

    def _missed(self, restore: Restore, first: int) -> None:
        """The journal begins at `first`, beyond what is needed: load the snapshots that stand in for it.

        Raises:
            HistoryGone: none do.
        """
        self.s.journal.release(self.journal)
        if self._loads > 1:
            # The second sentinel stood behind all that a former owner committed, and committing it would have
            # failed had a newer owner trimmed: so nobody did who had saved it.
            raise HistoryGone(
                f"{self.journal[0]}[{self.partition}] begins at offset {first}, and the snapshots in "
                f"{self.snapshots[0]} need it from {restore.next} on: was it trimmed by something else than "
                "plexstream, such as a retention of the topic? See `plexstream doctor`"
            )
        # A former owner trimmed it by its snapshots, after the range was looked at; or a newer one has.
        _log.warning("partition %d: the store is rebuilt: the journal was trimmed", self.partition)
        self._start_load()

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
        take, claim = restore.take, self.claim
        for record in records:
            offset = record.offset
            if offset != restore.next and restore.misses(offset):
                self._missed(restore, offset)
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
                self.phase = Phase.DONE
                return
        pieces, settings = restore.pieces, self.s.settings
        if restore.next < restore.start:
            return  # pieces from the snapshot topic are not as of any one offset yet
        if pieces.dirty_bytes > settings.flush_bytes or len(pieces.dirty_cores) > settings.flush_pieces:
            # In steps, so that a journal larger than memory can be folded.
            pieces.flush(partition_piece(restore.fold.partition(self.unsaved)))
            pieces.forget_clean(settings.flush_pieces)


def piece_key(key: bytes) -> PieceKey | None:
    """The piece that a record's key names; the inverse of `snapshot_key`. None where it names none."""
    address, _, rest = key.partition(b"\0")
    number, _, name = rest.partition(b"\0")
    kind = _KINDS.get(number) if rest else Piece.ACTOR.value
    try:
        if kind is None or kind == Piece.ACTOR:
            return None if kind is None or not address else (kind, address.decode(), "", None)
        if kind not in (Piece.ENTRY, Piece.STEP):
            return (kind, address.decode(), name[:-1].decode(), None)  # an idempotency key may have a NUL
        name, _, entry = name.partition(b"\0")
        return (kind, address.decode(), name.decode(), entry.decode())
    except UnicodeDecodeError:
        return None


def snapshot_key(key: PieceKey) -> bytes:
    """The record key of a piece in the snapshot topic: the address alone for an actor's fields."""
    kind, address, name, entry = key
    if kind == Piece.ACTOR:
        return address.encode()
    return b"\0".join((address.encode(), b"%d" % kind, name.encode(), (entry or "").encode()))
