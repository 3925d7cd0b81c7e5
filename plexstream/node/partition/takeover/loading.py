"""The snapshot topic, read once up to a sentinel: its pieces go to the state store."""

from __future__ import annotations

import logging
from typing import NamedTuple

from plexstream.log.base import Record
from plexstream.model.errors import Malformed
from plexstream.model.journal.journal import Partition
from plexstream.model.journal.snapshot import Snapshot
from plexstream.node.partition.sums.lineage import LIFE_KEY, Lineage
from plexstream.node.partition.sums.lineage import decode as decode_lineage
from plexstream.node.partition.sums.snapshots import (
    PARTITION_KEY,
    SENTINEL,
    piece_key,
    read_sentinel,
    snapshot_key,
)
from plexstream.node.partition.takeover.ground import MAX_LOST, Ground
from plexstream.processor.state.ports import PieceKey
from plexstream.schema.codec import decode_partition, decode_snapshot

_log = logging.getLogger("plexstream.node")

_LOAD_BATCH = 5_000


class Complete(NamedTuple):
    """The sentinel of this claim is come to, at `offset`: nothing older comes behind it."""

    offset: int


class Newer(NamedTuple):
    """A sentinel of a newer claim is come to."""

    claim: int


class Loading:
    """One reading of the snapshot topic.

    Parameters:
        keep: whether the pieces are kept, else the sum that stands with them alone.
        flush_bytes: after how many bytes of pieces they are written.

    Attributes:
        held: pieces that are not written yet.
        seen: the topic is read up to this offset.
        lineage: what the pieces say of their history.
    """

    def __init__(self, ground: Ground, keep: bool, flush_bytes: int) -> None:
        self._ground = ground
        self._keeps = keep
        self._flush_bytes = flush_bytes
        self._bytes = 0
        self._sum: Snapshot | None = None
        self.held: dict[PieceKey, Snapshot | None] = {}
        self.seen = 0
        self.lineage: Lineage | None = None

    @property
    def partition(self) -> Partition:
        """The sum that stands with the pieces."""
        return decode_partition(self._sum.data) if self._sum else Partition()

    def take(self, records: list[Record]) -> Complete | Newer | None:
        """Records as they come. Returns a sentinel that ends the reading."""
        for record in records:
            self.seen = record.offset + 1
            if record.key == SENTINEL:
                end = self._sentinel(record)
                if end is not None:
                    return end
                continue
            try:
                self._piece(record)
            except Malformed as error:
                place = self._ground.snapshots
                _log.error("%s[%d] offset %d counts for nothing: %s", *place, record.offset, error)
        return None

    def _sentinel(self, record: Record) -> Complete | Newer | None:
        own, journal = self._ground.claim, self._ground.facts.journal
        latest, life = read_sentinel(record.value)
        if life and journal and life != journal:
            return None
        if latest == own:
            return Complete(record.offset)
        if latest - own > MAX_LOST:
            _log.error(
                "%s[%d] offset %d counts for nothing: it says that the journal was claimed at %d, and this "
                "claim is at %d: nobody of plexstream has written it",
                *self._ground.snapshots, record.offset, latest, own,
            )  # fmt: skip
            return None
        # It may have replaced this one's, by compaction.
        return Newer(latest) if latest > own and life else None

    def _piece(self, record: Record) -> None:
        """Raises Malformed where it is none."""
        if record.value is None:
            gone = piece_key(record.key)
            if gone is None:
                raise Malformed(f"the key {record.key[:60]!r} names no piece")
            self._keep(gone, None, 0)
            return
        piece = decode_snapshot(record.value)
        key = (piece.kind, piece.address, piece.name, piece.key)
        if snapshot_key(key) != record.key:
            raise Malformed(f"the key {record.key[:60]!r} is not that of the piece")
        if key == LIFE_KEY:
            self.lineage = decode_lineage(piece)
        elif key == PARTITION_KEY:
            start, claim = decode_partition(piece.data).start, self._ground.claim
            if start - claim > MAX_LOST:
                raise Malformed(
                    f"it is a sum of the journal up to {start}, which ends at {claim}: nobody of "
                    "plexstream has written it"
                )
            # Not into the store: its pieces are of many offsets until the journal is folded over them.
            self._sum = piece
        else:
            self._keep(key, piece, len(record.value))

    def _keep(self, key: PieceKey, piece: Snapshot | None, size: int) -> None:
        if not self._keeps:
            return
        self.held[key] = piece
        self._bytes += size
        if len(self.held) > _LOAD_BATCH or self._bytes > self._flush_bytes:
            self.write()

    def write(self) -> None:
        """Write what is held to the store."""
        self._ground.store.write(self.held)
        self.held, self._bytes = {}, 0
