"""Clearing an actor's state from outside: as an owner of its partition, for one turn."""

from __future__ import annotations

import time
import uuid

from plexstream.inspection.history import rebuild
from plexstream.log.base import Appender, Item, Log, Place
from plexstream.log.installation import count_of
from plexstream.model.errors import Fenced, LogError, LogUnavailable
from plexstream.model.journal.journal import DONE, Change, Claim, JournalRecord, Mark, Out, OutKind, Turn
from plexstream.model.journal.life import FIELD
from plexstream.model.journal.snapshot import Piece
from plexstream.model.messages.address import full, partition_of
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.records.encode import journal_items
from plexstream.node.partition.sums.snapshots import split_fields
from plexstream.schema.codec import encode_journal, encode_turn

CAUSE = "tool"
"""The cause topic of a turn that no message caused."""
_ACK_S = 30.0


def clear_state(log: Log, topics: Topics, address: str, who: str) -> int:
    """Make an actor what it is before its first message, and drop its timers; its turn numbers go on.

    The partition is claimed for it: a node that owns it claims it anew within a second, and loses no message.

    Returns:
        The journal offset of the turn; -1 if there was nothing to clear.

    Raises:
        Fenced: another claimed the partition at the same time; try again.
        LogError: the log refused.
    """
    address = full(address)
    count = count_of(log, topics) or 1
    partition = partition_of(address, count)
    place = (topics.journal, partition)
    appender = log.appender()
    try:
        now = round(time.time() * 1000)
        claim = Claim(uuid.uuid4().hex, who, now, {})
        claimed = _append(appender, place, journal_items([claim]))
        found = rebuild(log, topics, partition, until=claimed + 1, wanted=address.__eq__)
        fold = found.fold
        if fold.claim != claimed:
            raise Fenced(f"partition {partition} was claimed by another just now: try again")
        core = found.store.get((Piece.ACTOR.value, address, "", None))
        entries = list(found.store.scan(Piece.ENTRY.value, address))
        timers = list(found.store.scan(Piece.TIMER.value, address))
        records: list[JournalRecord] = []
        fields = {} if core is None else split_fields(core.data)
        # Who started the actor, and who hears of its end, is not its state.
        life = [Change(FIELD, None, fields.pop(FIELD))] if FIELD in fields else []
        entries = [e for e in entries if not e.name.startswith("$")]
        if core is not None and (fields or entries or timers):
            records.append(Turn(
                claimed, address, core.seq + 1, CAUSE, -1, now, DONE, True, "",
                [*(Change(e.name, e.key, None) for e in entries), *life], "", "", who, 0, "", 0, 0,
                [Out(OutKind.CANCEL.value, t.name, "", "", b"") for t in timers], 1,
            ))  # fmt: skip
        # What is owed is owed still: the next owner begins at the last owner's mark.
        last = len(records) + 1
        records.append(Mark(claimed, now, (), fold.relayed, fold.emitted, -1, "", True, ordinal=last))
        items: list[Item] = [
            (address.encode(), encode_turn(r)) if type(r) is Turn else (b"", encode_journal(r))
            for r in records
        ]
        if _append(appender, place, items) != claimed + len(items):
            raise Fenced(f"partition {partition} was claimed by another just now: try again")
        return claimed + 1 if len(records) > 1 else -1
    finally:
        appender.close()


def _append(appender: Appender, place: Place, items: list[Item]) -> int:
    appender.append(place, items, None)
    end = time.monotonic() + _ACK_S
    while time.monotonic() < end:
        for ack in appender.poll(0.5):
            if ack.error is not None:
                raise LogError(f"{place[0]}[{place[1]}] took no record: {ack.error}") from ack.error
            return ack.offset
    raise LogUnavailable(
        f"{place[0]}[{place[1]}]: no acknowledgement within {_ACK_S:.0f} s: are the brokers up?"
    )
