"""From an assignment to a processor that can start: claim, state store, journal. Never blocks."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from functools import partial

from plexstream.log.base import Place, Record
from plexstream.model.errors import Fenced, LogError
from plexstream.model.journal.journal import Claim, Partition
from plexstream.model.journal.snapshot import Snapshot
from plexstream.node.lanes.lanes import Lane
from plexstream.node.lanes.records.encode import journal_items
from plexstream.node.partition.sums.history import History
from plexstream.node.partition.sums.lineage import LIFE_KEY, Comparison, Facts, Unfit, look, unfit
from plexstream.node.partition.sums.lineage import decode as decode_lineage
from plexstream.node.partition.sums.snapshots import split_fields
from plexstream.node.partition.sums.versions import Versions
from plexstream.node.partition.takeover.folding import Folding, Missed
from plexstream.node.partition.takeover.ground import Ground, Phase
from plexstream.node.partition.takeover.losses.filling import Filling
from plexstream.node.partition.takeover.losses.gone import Gone
from plexstream.node.partition.takeover.losses.mailbox import Mailbox
from plexstream.node.partition.takeover.opening import Opening
from plexstream.node.partition.takeover.rebuild import Rebuild
from plexstream.node.shared.services import Services, WipeableStore
from plexstream.processor import Restore
from plexstream.processor.state.pieces import Pieces
from plexstream.schema import codec

_log = logging.getLogger("plexstream.node")

LOOK_AGAIN_S = 0.2
"""How soon the log is asked again where it could not say."""


class Takeover:
    """One partition on its way into service (DESIGN 4, rule 3): what comes in which order.

    Attributes:
        phase: how far it is.
        store, lane: open from the claim on; the driver takes them over, and closes them if it is lost before.
        restore: complete when the phase is DONE.
        mailbox: whether it is what it was.
        history: what the state is made of.
        rebuild: the state from the snapshots; None until the log has said what there is.
    """

    def __init__(self, services: Services, partition: int, owner: object) -> None:
        self.s = services
        self.partition = partition
        self.owner = owner
        self.phase = Phase.CLAIMING
        self.store: WipeableStore | None = None
        self.lane: Lane | None = None
        self.claim = -1
        self.journal: Place = (services.topics.journal, partition)
        self.snapshots: Place = (services.topics.snapshot, partition)
        self.mailbox = Mailbox(services, partition, owner)
        self.history = History(partition)
        self.rebuild: Rebuild | None = None
        self._gone = Gone(services, partition, owner)
        self._opening = Opening(services, partition, owner, self._opened)
        self._filling = Filling(services, self.journal, owner)
        self._folding: Folding | None = None
        self._ground: Ground | None = None
        self._stored: Partition | None = None  # what the state store reflects
        self._look_at = 0.0  # when to ask again; 0: an answer is due
        versions = services.host.versions()
        self._versions = Versions(
            partition, services.node, versions, lambda type: services.host.type_info(type) is not None
        )
        self._token = uuid.uuid4().hex
        self._made = services.now()
        claim = Claim(self._token, services.node, self._made, versions, services.process)
        services.appender.append(self.journal, journal_items([claim]), (owner, "claim", None))

    @property
    def appending(self) -> bool:
        """Whether something is on its way to the journal that the takeover waits for."""
        return self.phase in (Phase.CLAIMING, Phase.FILLING) or self.mailbox.resetting

    @property
    def restore(self) -> Restore | None:
        """What folds the journal, from that phase on."""
        return self._folding.restore if self._folding is not None else None

    def claimed(self, offset: int) -> None:
        """The claim is on the log at `offset`."""
        self.claim = offset
        self.phase = Phase.OPENING
        self._opening.start()

    def _opened(self, store: WipeableStore, stored: Partition | None) -> None:
        self.store, self._stored = store, stored
        self.lane = self.s.open_lane(self.partition)
        self.lane.known = self.claim + 1
        self.phase = Phase.LOOKING
        self._look()

    def _look(self) -> None:
        self._look_at = 0.0
        self.s.ask(self.owner, self.partition, partial(look, self.s.control, self.partition), self._looked)

    def go_on(self) -> None:
        """Time has passed: ask again what the log could not say."""
        if self.phase is Phase.OPENING:
            self._opening.go_on()
        elif self._look_at and self.s.elapsed() >= self._look_at:
            self._look()
        elif self.phase is Phase.REFUSED:
            self.mailbox.go_on()

    def _looked(self, found: Facts | LogError) -> None:
        store, lane, stored = self.store, self.lane, self._stored
        assert store is not None
        assert lane is not None
        if isinstance(found, LogError):
            _log.warning("partition %d waits to take over: %s", self.partition, found)
            self._look_at = self.s.elapsed() + LOOK_AGAIN_S
            return
        self.history.facts = found
        lane.life = found.journal
        self._ground = ground = Ground(
            self.partition, self.claim, self.journal, self.snapshots, store, lane, found
        )
        self.rebuild = Rebuild(self.s, ground, self.owner, stored, self.history, self._gone, self)
        if stored is None:
            self.rebuild.start()
            return
        lineage = decode_lineage(store.get(LIFE_KEY))
        wrong = unfit(stored, lineage, found, self.claim, self.partition)
        if wrong is not None:
            self._unfit(wrong)
        else:
            self.fold(stored, True, self.history.go_on_from(stored, lineage))

    def _unfit(self, wrong: Unfit) -> None:
        """The state store is not of this journal."""
        level = logging.ERROR if wrong.upto else logging.WARNING
        _log.log(level, "partition %d: the state store is rebuilt: %s", self.partition, wrong.why)
        self.s.journal.release(self.journal)
        if wrong.upto > self.claim:
            self._fill(wrong.upto)
        else:
            assert self.rebuild is not None
            self.rebuild.start()

    def _fill(self, upto: int) -> None:
        self.phase = Phase.FILLING
        if not self._filling.start(self.claim, upto):
            self._claim_anew(self.claim)

    def filled(self, offset: int) -> None:
        """All below and at `offset` is used up. Raises Fenced at the end."""
        if not self._filling.filled(offset):
            self._claim_anew(offset)

    def _claim_anew(self, end: int) -> None:
        # The store is emptied only now: it is what tells how far the lost history went.
        self.wipe(partial(self._end_here, end + 1))

    def _end_here(self, begin: int) -> None:
        raise Fenced(f"{self.journal[0]}[{self.partition}] is claimed anew from {begin} on")

    # What a rebuild asks for

    def enter(self, phase: Phase) -> None:
        """It is this far."""
        self.phase = phase

    def wipe(self, then: Callable[[], None]) -> None:
        """Empty the store, and go on."""
        self.phase = Phase.OPENING
        self._opening.wipe(then)

    def lost(self, upto: int, why: str) -> None:
        """The journal ends before what others know of it."""
        self.s.snapshots.release(self.snapshots)
        _log.error(
            "partition %d: %s[%d] ends at %d, and %s up to %d: acknowledged records %d to %d are LOST. Was "
            "Kafka restored to an earlier point, or an out-of-sync replica made leader? The partition goes "
            "on with what the journal and the snapshots have",
            self.partition, *self.journal, self.claim, why, upto, self.claim, upto - 1,
        )  # fmt: skip
        self._fill(upto)

    def fold(self, partition: Partition, exact: bool, comparison: Comparison | None = None) -> int:
        """Fold the journal over the store's pieces, which have this sum. Returns where it begins."""
        ground, limits = self._ground, self.s.settings
        assert ground is not None
        pieces = Pieces(ground.store, split_fields, limits.reply_ttl, codec, limits.result_ttl)
        pieces.histories.load()
        restore = Restore(pieces, partition, exact)
        self._folding = Folding(
            ground, restore, comparison, self.history, self._versions, self._token, limits
        )
        self.s.journal.assign(self.journal, restore.begin)
        self.phase = Phase.RESTORING
        return restore.begin

    # What comes meanwhile

    def load(self, records: list[Record]) -> None:
        """Records of the snapshot topic."""
        assert self.store is not None  # else somebody else has had it read, who has lost the partition
        if self.phase is Phase.LOADING and self.rebuild is not None:
            self.rebuild.load(records)

    def saved(self, batch: int) -> None:
        """The lane has committed its batches up to this one."""
        if self.rebuild is not None:
            self.rebuild.saved(batch)

    def replay(self, records: list[Record]) -> None:
        """Records of the journal."""
        folding, rebuild = self._folding, self.rebuild
        if self.phase is not Phase.RESTORING or folding is None or rebuild is None:
            return
        end = folding.take(records)
        if isinstance(end, Missed):
            rebuild.missed(*end)
        elif isinstance(end, Unfit):
            self._unfit(end)
        elif end is not None:
            self.s.journal.release(self.journal)
            self._compare_clocks(folding.before, end.time)
            if rebuild.given_up:
                # Before anything is acknowledged that rests on it: what was accepted is accepted once.
                folding.flush()
            self._folded(folding.restore)

    def _compare_clocks(self, before: int, stamped: int) -> None:
        clocks, now = self.s.clocks, self.s.now()
        clocks.appended(self.partition, self._made, stamped, now)
        clocks.wrote(self.partition, self._versions.former, before, now)

    def _folded(self, restore: Restore) -> None:
        """The partition may start, if its mailbox is what it was."""
        self.phase = Phase.REFUSED
        if self.mailbox.check(restore.fold, self.claim, self.history.known, self.history.facts):
            self.phase = Phase.DONE

    def awaited(self) -> tuple[str, int] | None:
        """Which record must come next, as far as is known: that none comes for long is an error."""
        if self.phase is Phase.LOADING and self.rebuild is not None:
            return self.rebuild.awaited()
        if self.phase is Phase.RESTORING and self._folding is not None:
            return f"{self.journal[0]}[{self.partition}]", self._folding.restore.next
        return None

    def code_piece(self) -> Snapshot:
        """Which code serves the partition now, as a piece of its state."""
        return self._versions.piece(self.claim)
