"""How far a takeover is, and what it rests on once the log has said what there is."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from plexstream.log.base import Place
from plexstream.node.lanes.lanes import Lane
from plexstream.node.partition.sums.lineage import Facts
from plexstream.node.shared.services import WipeableStore

MAX_LOST = 10_000_000
"""So many records of a journal may be lost by the word of the snapshot topic, where anybody may have written:
each of their numbers is used up. The state store, which is this node's own, is believed whatever it says."""


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


class Ground(NamedTuple):
    """A partition that is claimed, whose store is open, and of which the log has said what there is.

    Attributes:
        claim: its offset in the journal.
        journal, snapshots: where they are read.
        facts: what the log says.
    """

    partition: int
    claim: int
    journal: Place
    snapshots: Place
    store: WipeableStore
    lane: Lane
    facts: Facts
