"""The journal, folded over the state up to this takeover's claim."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import NamedTuple

from plexstream.log.base import Record
from plexstream.model.errors import Fenced, Malformed
from plexstream.model.journal.journal import Claim
from plexstream.node.partition.sums.history import History
from plexstream.node.partition.sums.lineage import Comparison, Unfit, digest
from plexstream.node.partition.sums.snapshots import CODE_KEY, partition_piece
from plexstream.node.partition.sums.versions import Versions
from plexstream.node.partition.takeover.ground import Ground
from plexstream.processor import Restore, Settings
from plexstream.schema.codec import decode_journal, is_claim

_log = logging.getLogger("plexstream.node")


class Missed(NamedTuple):
    """The journal begins at `first`, beyond the record that is `needed` next."""

    needed: int
    first: int


class Folding:
    """Feeds a restore with the journal's records, and writes what it makes of them to the store, in steps.

    Parameters:
        restore: what folds.
        comparison: of the store with the journal, None where the state is not that of a store.
        token: of this takeover's claim.

    Attributes:
        before: the time on the log of the last record before the claim, 0 if there was none.
    """

    def __init__(
        self,
        ground: Ground,
        restore: Restore,
        comparison: Comparison | None,
        history: History,
        versions: Versions,
        token: str,
        settings: Settings,
    ) -> None:
        self._ground = ground
        self.restore = restore
        self._comparison = comparison
        self._history = history
        self._versions = versions
        self._token = token
        self._settings = settings
        self.before = 0
        restore.on_claim = self._claimed
        restore.fold.on_missing = self._missing
        if comparison is not None:
            # The last record that the store reflects is looked at, too.
            restore.begin = restore.next = min(restore.begin, comparison.begin)
        versions.stored(ground.store.get(CODE_KEY))

    def take(self, records: list[Record]) -> Missed | Unfit | Record | None:
        """Records as they come. Returns that of the claim when all is folded, or why it cannot be.

        Raises:
            Fenced: a newer owner has trimmed the journal.
        """
        restore, comparison = self.restore, self._comparison
        claim, journal = self._ground.claim, self._ground.journal
        take = restore.take
        at = 0
        while at < len(records):
            # What the store reflects is compared, and the record behind it.
            if comparison is None or records[at].offset > restore.start:
                at = restore.take_plain(records, at, claim)
                if at:
                    self.before = records[at - 1].time
                if at == len(records):
                    break
            record = records[at]
            at += 1
            offset = record.offset
            if offset != restore.next and restore.misses(offset):
                return Missed(restore.next, offset)
            if comparison is not None and (why := _differs(comparison, record)):
                return Unfit(f"{why}: the log has another history below {restore.start} than this store saw")
            try:
                take(offset, record.value or b"")
            except Malformed as error:
                _log.error("%s[%d] offset %d counts for nothing: %s", *journal, offset, error)
                restore.skip(offset)
            if offset >= claim:
                if restore.fold.claim != claim:
                    raise Fenced(f"{journal} was claimed and trimmed beyond the claim at {claim}")
                self._history.tail = digest(record.value)
                return record
            self.before = record.time
        self._write(records)
        return None

    def _write(self, records: list[Record]) -> None:
        """In steps, so that a journal larger than memory can be folded."""
        restore, settings = self.restore, self._settings
        pieces = restore.pieces
        if pieces.dirty_bytes <= settings.flush_bytes and len(pieces.dirty_cores) <= settings.flush_pieces:
            return
        if restore.next < restore.start:
            # Pieces from the snapshot topic are not as of any one offset yet: without a sum whoever opens
            # the store begins anew.
            pieces.flush()
        else:
            self._history.tail = digest(records[-1].value)
            self.flush()
        pieces.forget_clean(settings.flush_pieces)

    def flush(self) -> None:
        """Write all that is folded to the store, with its sum."""
        fold = self.restore.fold
        partition = fold.partition(self._history.unsaved)
        self.restore.pieces.flush(
            partition_piece(partition), self._history.lineage(fold.claim, partition.start)
        )

    def _claimed(self, claim: Claim) -> None:
        self._history.token = claim.token
        if claim.token != self._token:
            self._versions.claimed(claim)
            return
        self._versions.takes_over(claim)
        self._ground.store.write({CODE_KEY: self._versions.piece(self._ground.claim)})

    def _missing(self, offset: int, ordinal: int, due: int) -> None:
        _log.warning(
            "%s[%d] offset %d is record %d of the reign of claim %d, and record %d of it is not there: from "
            "that offset on nothing of this reign counts. What the mailbox still has of it is handled again",
            *self._ground.journal, offset, ordinal, self.restore.fold.claim, due,
        )  # fmt: skip


def _differs(comparison: Comparison, record: Record) -> str:
    data = record.value or b""
    token = None
    if is_claim(data):
        with suppress(Malformed):
            claim = decode_journal(data)
            assert type(claim) is Claim
            token = claim.token
    return comparison.differs(record.offset, data, token)
