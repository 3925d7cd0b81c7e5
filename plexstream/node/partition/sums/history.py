"""What the state of a partition is made of: it is written beside each sum, for whoever opens that later."""

from __future__ import annotations

from plexstream.model.journal.journal import Partition
from plexstream.model.journal.snapshot import Snapshot
from plexstream.node.partition.sums.lineage import NOTHING, Comparison, Lineage


class History:
    """Of one partition, from its takeover on.

    Attributes:
        facts: what the log has said.
        known: the lineage that stood with what the state was made of, None if none did.
        unsaved: journal offset from which on the snapshot topic may lack what the store has.
        since: pieces of the snapshot topic below this offset are of another life.
        save_all: the snapshot topic is not the one that the store has saved to.
        token: of the last claim that was folded.
        tail: digest of the last record that was folded.
    """

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.facts = NOTHING
        self.known: Lineage | None = None
        self.unsaved = 0
        self.since = 0
        self.save_all = False
        self.token = ""
        self.tail = ""

    def go_on_from(self, stored: Partition, lineage: Lineage | None) -> Comparison:
        """The state is that of a store with this sum. Returns what compares it with the journal's records."""
        facts = self.facts
        self.unsaved = stored.unsaved
        if lineage is not None and lineage.snapshot and facts.snapshot:
            self.save_all = lineage.snapshot != facts.snapshot
            self.since = 0 if self.save_all else lineage.since
            # Who has begun to save all anew may have died before the end. And where somebody has deleted all
            # that the store reflects, no record tells what the snapshots lack.
            self.save_all = self.save_all or lineage.anew or 0 < stored.start <= facts.first
        self.known = lineage
        same = lineage is not None and bool(lineage.journal) and lineage.journal == facts.journal
        return Comparison(stored, lineage, same)

    def give_up(self, claim: int) -> None:
        """Nothing below `claim` counts any more, and the snapshot topic may lack all that is left."""
        self.save_all = True
        self.unsaved = claim

    def lineage(self, claim: int, start: int, tail: str | None = None) -> Snapshot:
        """Which history a sum up to `start` is of, as a piece that stands beside it.

        Parameters:
            claim: the one in force there.
            tail: the digest of the last record that the sum reflects; by default the last that was folded.
        """
        journal, mailbox, snapshot = self.facts.lives
        return Lineage(
            self.partition, journal, mailbox, snapshot, self.since, claim, self.token,
            self.tail if tail is None else tail, self.save_all,
        ).piece(start)  # fmt: skip
