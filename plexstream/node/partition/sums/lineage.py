"""Which history a state store or the snapshots speak of, and whether it is that of the present journal.

Topics are deleted and made again, Kafka is restored to an earlier point, folders are copied. What was derived
from another life of a journal may name offsets that this one has, too, and mean something else by them.
"""

from __future__ import annotations

import logging
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from plexstream.log.base import Place
from plexstream.log.installation import Control, Short
from plexstream.model.journal.journal import Partition
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.processor.journal.sums.fold import InboxFold
from plexstream.processor.state.ports import PieceKey

_log = logging.getLogger("plexstream.node")

LIFE_KEY: PieceKey = (Piece.PARTITION.value, "", "life", None)


class Lineage(msgspec.Struct, frozen=True, omit_defaults=True):
    """The history that stands with a partition's sum. Ids are `Log.topic_id`; "" is unknown.

    Attributes:
        partition: whose it is.
        journal, mailbox: the topics that the sum is of.
        snapshot: the topic that has all below the sum's `unsaved`.
        since: offset in that topic below which its pieces are of another life.
        claim, token: the claim in force at the sum's end.
        tail: digest of the last journal record that the sum reflects.
        anew: whether the snapshot topic may lack pieces that no journal record tells of.
    """

    partition: int
    journal: str = ""
    mailbox: str = ""
    snapshot: str = ""
    since: int = 0
    claim: int = -1
    token: str = ""
    tail: str = ""
    anew: bool = False

    def piece(self, offset: int) -> Snapshot:
        """As a piece of state, to be written together with the sum."""
        return Snapshot(LIFE_KEY[0], "", LIFE_KEY[2], None, offset, 0, 0, msgspec.json.encode(self))


class Facts(NamedTuple):
    """What the log says of a partition's topics, after the partition was claimed."""

    journal: str
    mailbox: str
    snapshot: str
    first: int  # offset of the journal
    mailbox_first: int
    mailbox_end: int
    short: Short | None  # what is said of the mailbox as it is now
    gone: Short | None  # and of the journal
    origin: str  # of mails: what receivers know the journal by

    @property
    def lives(self) -> tuple[str, str, str]:
        """The ids."""
        return self.journal, self.mailbox, self.snapshot


class Unfit(NamedTuple):
    """Why a state store is not that of the journal.

    Attributes:
        why: for people.
        upto: all numbers of the journal below this one have been given out before, 0 where that is not so.
    """

    why: str
    upto: int = 0


NOTHING = Facts("", "", "", 0, 0, 0, None, None, "")


def look(control: Control, partition: int) -> Facts:
    """Ask the log. Blocks.

    Raises:
        LogError: it cannot say.
    """
    log, topics = control.log, control.topics
    journal, mailbox, snapshot = (log.topic_id(t) for t in (topics.journal, topics.mailbox, topics.snapshot))
    first, _ = log.range((topics.journal, partition))
    place = (topics.mailbox, partition)
    mailbox_first, mailbox_end = log.range(place)
    short, gone = control.short(place), control.short((topics.journal, partition))
    name = f"journal/{partition}"
    return Facts(
        journal, mailbox, snapshot, first, mailbox_first, mailbox_end,
        short if short is not None and short.life == mailbox else None,
        gone if gone is not None and gone.life == journal else None,
        name if control.unnamed(topics.journal, journal) else f"{name}@{journal}",
    )  # fmt: skip


def known_of(inbox: InboxFold | None) -> int:
    """Up to which offset a mailbox is known to have been."""
    return 0 if inbox is None else max(inbox.low, inbox.next, inbox.end)


def mailbox_shorter(lineage: Lineage | None, facts: Facts, known: int) -> Short | None:
    """What is wrong with a mailbox of which `known` offsets are known; None if nothing is."""
    short = facts.short
    if short is not None and short.state != "done":
        return short
    other = bool(lineage is not None and lineage.mailbox and facts.mailbox) and (
        lineage is not None and lineage.mailbox != facts.mailbox
    )
    if known <= facts.mailbox_end and (not other or short is not None):
        return None
    number = 1 if short is None else short.number + 1
    return Short(facts.mailbox, known, 0 if other and short is None else facts.mailbox_end, "new", number)


def refusal(place: Place, short: Short) -> str:
    """Why a mailbox is not served."""
    return (
        f"{place[0]}[{place[1]}] is not served: it ended at offset {short.end}, but is known up to "
        f"{short.position}: it has lost messages, or was deleted and made again, and what comes now has "
        f"numbers that were given out before. To go on with what comes from {short.end} on: "
        f"`plexstream topics accept {place[0]}`"
    )


def digest(data: bytes | None) -> str:
    """Of a record's value."""
    return blake2b(data or b"", digest_size=12).hexdigest()


def decode(piece: Snapshot | None) -> Lineage | None:
    """The lineage in a piece; None where there is none, as before lineages were kept."""
    if piece is None:
        return None
    try:
        return msgspec.json.decode(piece.data, type=Lineage)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _log.error("a lineage counts for nothing: %s", error)
        return None


def other_life(lineage: Lineage | None, facts: Facts) -> bool:
    """Whether something is of another journal topic than there is."""
    return lineage is not None and bool(lineage.journal and facts.journal) and (
        lineage.journal != facts.journal
    )


def unfit(
    stored: Partition, lineage: Lineage | None, facts: Facts, claim: int, partition: int
) -> Unfit | None:
    """Why a store with this sum cannot be that of the journal, as far as ids and ends tell.

    `claim` is this takeover's own: the journal's end, when nobody else writes.
    """
    if lineage is not None and lineage.partition != partition:
        return Unfit(f"it is of partition {lineage.partition}")
    if other_life(lineage, facts):
        assert lineage is not None
        return Unfit(
            f"it is of another life of the journal ({lineage.journal}, now {facts.journal}): the topic was "
            "deleted and made again, or the store was copied"
        )
    if stored.start > claim:
        if lineage is None:
            return Unfit(
                f"it is of journal offset {stored.start}, the journal ends at {claim}: it is another one, or "
                "it has lost records"
            )
        return Unfit(
            f"the journal ends at {claim}, and the store reflects it up to {stored.start}: acknowledged "
            f"records {claim} to {stored.start - 1} are LOST. Was Kafka restored to an earlier point, or an "
            "out-of-sync replica made leader? The partition goes on with what the journal has",
            stored.start,
        )
    return None  # one that the journal was trimmed past is seen when it is read


class Comparison:
    """Compares a store's lineage with the journal's records as they are folded.

    Parameters:
        stored: the store's sum.
        lineage: what it says of its history, if it says anything.
        same_topic: whether the store names the very topic that there is.

    Attributes:
        begin: the offset from which on records must be looked at.
    """

    def __init__(self, stored: Partition, lineage: Lineage | None, same_topic: bool) -> None:
        self._same_topic = same_topic
        self._start = stored.start
        self._claim = stored.claims[-1] if stored.claims else -1
        self._lineage = lineage
        self._tail = lineage.tail if lineage is not None else ""
        # A store from before lineages is compared by its claim alone, once.
        self.begin = max(0, self._start - 1 if self._tail else self._claim)
        self._open = bool(self._tail)

    def differs(self, offset: int, data: bytes, token: str | None) -> str:
        """Why the record at `offset` shows that the store is of another history; "" if it does not.

        `token` is that of a claim, None for any other record.
        """
        start = self._start
        if offset < start:
            lineage = self._lineage
            if offset == self._claim and token is None:
                return f"the claim at {offset}, which it names, is not there"
            if offset == self._claim and lineage is not None and lineage.token and token != lineage.token:
                return f"the claim at {offset} is another one"
            if offset > self._claim and token is not None:
                return f"there is a claim at {offset} that it does not know"
        if offset == start - 1:
            self._open = False
            if self._tail and digest(data) != self._tail:
                return f"another record stands at {offset}, the last that it reflects"
        elif offset >= start and self._open:
            self._open = False
            if self._same_topic and offset == start:
                # Somebody has deleted all that the store reflects and nothing else: it may be all there is.
                return ""
            return f"the record at {start - 1}, the last that it reflects, is gone"
        return ""
