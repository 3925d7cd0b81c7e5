"""Whether a partition goes on whose journal lacks what its snapshots need: not before an operator says so."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import msgspec

from plexstream.log.base import Place
from plexstream.log.installation import Control, Short, short_key
from plexstream.model.errors import HistoryGone, LogError
from plexstream.model.journal.journal import Partition
from plexstream.node.partition.sums.lineage import Facts
from plexstream.node.shared.services import Services
from plexstream.processor.journal.sums.fold import UNKNOWN

_log = logging.getLogger("plexstream.node")

GoOn = Callable[[Partition, bool], None]
"""Told the sum to begin with, and whether the state is that of the store, else of the snapshots."""


class Remains(NamedTuple):
    """What there is where the journal begins too late.

    Attributes:
        store: the sum of the intact store of this node, if there is one.
        snapshots: the sum in the snapshot topic.
        needed: from where on the snapshots need the journal.
        first: where that begins.
    """

    store: Partition | None
    snapshots: Partition
    needed: int
    first: int

    @property
    def from_store(self) -> bool:
        """Whether the store reflects more of the journal than the snapshots."""
        return self.store is not None and self.store.start >= self.snapshots.start

    @property
    def upto(self) -> int:
        """All of the journal below is in what is left, for sure."""
        return self.store.start if self.from_store and self.store is not None else self.needed


class Gone:
    """The word of an operator about a partition whose journal has lost records. Never blocks."""

    def __init__(self, services: Services, partition: int, owner: object) -> None:
        self.s = services
        self.partition = partition
        self.owner = owner
        self._place: Place = (services.topics.journal, partition)

    def check(self, remains: Remains, facts: Facts, claim: int, go_on: GoOn) -> None:
        """Go on with what remains, if that is accepted. Else it is noted, and HistoryGone raised, later.

        What was accepted is the loss that was told, with the journal's beginning as of then, and no other.
        The word counts once, and is used up before anything rests on it: who claims the partition afterwards
        finds all that was acknowledged since, or asks again.
        """
        short = facts.gone
        if short is None or short.state != "accepted" or short.end != remains.first:
            number = 1 if short is None else short.number + (short.state == "done")
            refused = Short(facts.journal, remains.upto, remains.first, "refused", number)
            question = partial(_refuse, self.s.control, self._place, refused)
            self.s.ask(self.owner, self.partition, question, partial(self._refused, remains))
            return
        done = msgspec.structs.replace(short, state="done")
        question = partial(self.s.control.put, short_key(self._place), done)
        self.s.ask(self.owner, self.partition, question, partial(self._accepted, remains, claim, go_on))

    def _refused(self, remains: Remains, error: LogError | None) -> None:
        if error is not None:  # nobody could accept what is not noted
            _log.error("partition %d: what its journal lacks could not be noted: %s", self.partition, error)
        topics = self.s.topics
        kept = f"The state store of this node, which reflects it up to {remains.upto}, is kept. "
        raise HistoryGone(
            f"{topics.journal}[{self.partition}] begins at offset {remains.first}, and the snapshots in "
            f"{topics.snapshot} need it from {remains.needed} on: was it trimmed by something else than "
            f"plexstream, such as a retention of the topic? {kept if remains.from_store else ''}"
            "See `plexstream doctor`. To go on with the state that is left, as of journal offset "
            f"{remains.upto}, and without all that came since: `plexstream topics accept {topics.journal}`"
        )

    def _accepted(self, remains: Remains, claim: int, go_on: GoOn, error: LogError | None) -> None:
        if error is not None:
            raise error
        if remains.from_store:
            assert remains.store is not None
            found, what = remains.store, "the state store of this node"
        else:
            found, what = remains.snapshots, "the snapshots, which may be of different times"
        _log.error(
            "partition %d goes on with the state of %s, as of journal offset %d, as was accepted: "
            "what was acknowledged from there to %d is LOST; messages of that time that are in the mailbox "
            "still are handled again",
            self.partition, what, remains.upto, claim - 1,
        )  # fmt: skip
        # All below this claim is given up, what the journal still has of it, too: it was made on top of what
        # is lost. What was owed to others is known no more.
        begun = found._replace(
            start=claim, floor=claim, unsaved=claim, relayed=claim, emitted=claim,
            attempt=-1, attempts=0, attempt_by=(), timer="", timer_attempts=0, timer_by=(),
            ordinal=UNKNOWN, unread=0, uncounted=(),
        )  # fmt: skip
        go_on(begun, remains.from_store)


def _refuse(control: Control, place: Place, short: Short) -> None:
    """Note that a journal lacks records. Blocks; raises LogError."""
    before = control.short(place)
    if before is None or before.life != short.life or before.state == "done" or before.end != short.end:
        control.put(short_key(place), short)
