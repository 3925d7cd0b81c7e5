"""The state of a partition from its snapshots, where its store has none that can be gone on from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Protocol

from plexstream.log.base import Record
from plexstream.model.errors import Fenced, LogError
from plexstream.model.journal.journal import Partition
from plexstream.node.partition.sums.history import History
from plexstream.node.partition.sums.lineage import other_life
from plexstream.node.partition.sums.snapshots import SENTINEL
from plexstream.node.partition.takeover.ground import Ground, Phase
from plexstream.node.partition.takeover.loading import Loading, Newer
from plexstream.node.partition.takeover.losses.gone import Gone, Remains
from plexstream.node.shared.services import Services

_log = logging.getLogger("plexstream.node")


class Onwards(Protocol):
    """What a rebuild asks of the takeover that it is a part of."""

    def enter(self, phase: Phase) -> None:
        """The takeover is this far."""

    def wipe(self, then: Callable[[], None]) -> None:
        """Empty the store, then go on."""

    def fold(self, partition: Partition, exact: bool) -> int:
        """Go on with the journal, over state with this sum. Returns the offset from which on it is read."""

    def lost(self, upto: int, why: str) -> None:
        """The journal ends before `upto`, and others know more of it."""


class Rebuild:
    """Reads the snapshot topic up to a record of its own: committing that fences a former owner's snapshots.

    Where the journal begins too late for a store as well as for the snapshots, the store is kept, and the
    topic is first read only to see whether the snapshots may stand in for it.

    Parameters:
        stored: the sum of this node's store, None where it has none.
        history: is told what the state comes to be made of.
        gone: asks an operator where neither store nor snapshots reach to the journal.

    Attributes:
        loading: the reading that goes on, or was the last.
        given_up: an operator goes on without what the journal has lost.
    """

    def __init__(
        self,
        services: Services,
        ground: Ground,
        owner: object,
        stored: Partition | None,
        history: History,
        gone: Gone,
        onwards: Onwards,
    ) -> None:
        self.s = services
        self._ground = ground
        self._owner = owner
        self._stored = stored
        self._history = history
        self._gone = gone
        self._onwards = onwards
        self.given_up = False
        self._proving = False  # the snapshots are read to see whether they may replace the store
        self._loads = 0
        self._first = 0  # of the journal, as was seen last
        self._load_from = 0  # of the snapshot topic
        self.loading = self._fresh()
        self._partition = Partition()  # the sum that stands with the snapshots
        self._sentinel_offset = 0
        self._batch = -1  # the sentinel's, in the lane
        self._sentinel_on_log = False
        self._accepted: Partition | None = None  # the sum to go on with, by an operator's word

    def _fresh(self) -> Loading:
        return Loading(self._ground, not self._proving, self.s.settings.flush_bytes)

    def start(self) -> None:
        """Begin, or begin anew with a further sentinel."""
        # Where the journal does not have all, and the snapshots should not either, the store is what is left.
        self._first = max(self._first, self._ground.facts.first)
        self._proving = self._stored is not None and self._first > 0
        self._history.known = None
        self._loads += 1
        self._forget(self._fence_and_load)

    def _fence_and_load(self) -> None:
        ground = self._ground
        # Nothing older comes behind this record.
        value = f"{ground.claim} {ground.facts.journal}".strip().encode()
        self._batch = ground.lane.save([(*ground.snapshots, SENTINEL, value)])
        self._sentinel_on_log = False
        self.s.kick_lanes()
        self._load()

    def _load(self) -> None:
        self.s.snapshots.assign(self._ground.snapshots, self._load_from)
        self._onwards.enter(Phase.LOADING)

    def _load_again(self) -> None:
        self._forget(self._load)

    def _forget(self, then: Callable[[], None]) -> None:
        self.loading = self._fresh()
        if self._proving:
            then()
        else:
            self._stored = None
            self._onwards.wipe(then)

    def load(self, records: list[Record]) -> None:
        """Records of the snapshot topic."""
        end = self.loading.take(records)
        if isinstance(end, Newer):
            self._look_beyond(end.claim)
        elif end is not None:
            self._loaded(end.offset)

    def saved(self, batch: int) -> None:
        """The lane has committed its batches up to this one."""
        self._sentinel_on_log = self._sentinel_on_log or batch >= self._batch

    def awaited(self) -> tuple[str, int] | None:
        """Which record of the snapshot topic must come next, once that is sure."""
        if not self._sentinel_on_log:
            return None
        topic, number = self._ground.snapshots
        return f"{topic}[{number}]: the sentinel of claim {self._ground.claim}", self.loading.seen

    def _loaded(self, sentinel: int) -> None:
        """All is read up to the sentinel at this offset."""
        ground, history, lineage = self._ground, self._history, self.loading.lineage
        partition = self.loading.partition
        self._partition, self._sentinel_offset = partition, sentinel
        if self._accepted is not None:
            self._write()
            history.known = lineage
            self._onwards.fold(self._accepted, exact=False)
            return
        if other_life(lineage, ground.facts):
            assert lineage is not None
            _log.warning(
                "partition %d: the snapshots are of another life of the journal (%s, now %s): they count for "
                "nothing", ground.partition, lineage.journal, ground.facts.journal,
            )  # fmt: skip
            history.since = sentinel
            self._forget(partial(self._use, Partition()))
            return
        if lineage is not None and lineage.since > self._load_from:
            # Only now is it known from where on they are of this life.
            self._load_from = history.since = lineage.since
            self._load_again()
            return
        if partition.start > ground.claim and lineage is not None:
            self._onwards.lost(partition.start, "the snapshots reflect it")
            return
        history.known = lineage
        self._use(partition)

    def _use(self, partition: Partition) -> None:
        if self._proving:
            if self._first > partition.unsaved:
                self.missed(partition.unsaved, self._first)
            else:
                self._proving = False
                self._load_again()
            return
        self._write()
        self._history.unsaved = self._onwards.fold(partition, exact=False)

    def _write(self) -> None:
        self.s.snapshots.release(self._ground.snapshots)
        self.loading.write()

    def _look_beyond(self, latest: int) -> None:
        """A sentinel of a newer claim than this one's: somebody has claimed, or the journal has lost that."""
        log, journal, snapshots = self.s.log, self._ground.journal, self._ground.snapshots
        self.s.snapshots.release(snapshots)
        self._onwards.enter(Phase.LOOKING)

        def looked(found: tuple[int, int] | LogError) -> None:
            if isinstance(found, LogError):
                raise found
            if latest < found[1]:
                raise Fenced(f"{snapshots} is being read by the owner of a newer claim, {latest}")
            self._onwards.lost(latest + 1, "somebody has claimed it")

        self.s.ask(self._owner, self._ground.partition, lambda: log.range(journal), looked)

    def missed(self, needed: int, first: int) -> None:
        """The journal begins at `first`, beyond what is needed: load the snapshots that stand in for it.

        Where none do, it is refused until an operator goes on with what is left.
        """
        ground = self._ground
        self._first = first
        self.s.journal.release(ground.journal)
        self.s.snapshots.release(ground.snapshots)
        if self._loads > 1:
            # The second sentinel stood behind all that a former owner committed, and committing it would have
            # failed had a newer owner trimmed: so nobody did who had saved it.
            self._onwards.enter(Phase.REFUSED)
            remains = Remains(self._stored, self._partition, needed, first)
            self._gone.check(remains, ground.facts, ground.claim, self._go_on_with)
            return
        # A former owner trimmed it by its snapshots, after the range was looked at; or a newer one has.
        if not self._proving:
            _log.warning("partition %d: the store is rebuilt: the journal was trimmed", ground.partition)
        self.start()

    def _go_on_with(self, partition: Partition, from_store: bool) -> None:
        """An operator goes on with what is left, and nothing below this claim counts any more."""
        self.given_up = True
        self._history.give_up(self._ground.claim)
        if self._proving and not from_store:
            self._proving = False
            self._accepted = partition
            self._load_again()
            return
        if from_store:
            self._history.since = self._sentinel_offset  # what the snapshots have is older, or of other turns
        self._onwards.fold(partition, exact=from_store)
