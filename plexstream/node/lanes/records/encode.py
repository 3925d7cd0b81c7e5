"""From what a processor gives out to records of the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plexstream.log.base import Item, Place
from plexstream.model.journal.journal import Claim, Mark, OutKind, Step, Turn
from plexstream.model.messages.address import partition_of
from plexstream.model.messages.message import ASK, ERROR, TOO_LARGE, DeadLetter, Envelope
from plexstream.model.topics.topics import Topics
from plexstream.processor.journal.records import Answer, error_body
from plexstream.schema.codec import decode_envelope, encode_envelope, encode_journal, encode_turn, keyed_turns

Output = tuple[
    str, int | None, bytes, bytes | None
]  # topic, partition or None for murmur2 of the key, key, value

_LAST_MAIL, _REPLY, _ASK = OutKind.ERROR.value, OutKind.REPLY.value, OutKind.ASK.value
_DEAD = OutKind.DEADLETTER.value


def journal_items(records: Sequence[Turn | Step | Mark] | Sequence[Claim]) -> list[Item]:
    """Journal records as they are appended: keyed by the actor."""
    found: list[Item] | None = keyed_turns(records) if type(records) is list else None
    return found if found is not None else [
        (r.actor.encode(), encode_turn(r))
        if type(r) is Turn
        else (r.actor.encode() if type(r) is Step else b"", encode_journal(r))
        for r in records
    ]


def mails(
    topics: Topics,
    partitions: int,
    journal: str,
    offset: int,
    turn: Turn | Step,
    into: dict[Place, list[Item]],
) -> None:
    """Add a turn's messages and replies to the places they go to. `journal`: the origin that they have."""
    for index, out in enumerate(turn.outs):
        kind = out.kind
        if kind <= _LAST_MAIL:
            target = out.target
            if kind < _REPLY or "/" in target:
                place = (topics.mailbox, partition_of(target, partitions))
                id = out.id or f"{turn.actor}#{turn.seq}.{index}"
                origin = journal
            else:
                place = (topics.reply, partition_of(target, partitions))
                id = out.id
                origin = ""
            envelope = Envelope(
                kind,
                id,
                target,
                out.handler,
                out.payload,
                turn.actor,
                turn.actor if kind == _ASK else "",
                "",
                turn.time,
                {"chain": out.note} if kind == _ASK else {},
                origin,
                offset,
                index,
            )
            into.setdefault(place, []).append((target.encode(), encode_envelope(envelope)))


def answer_items(
    topics: Topics, partitions: int, answers: list[Answer], time: int
) -> dict[Place, list[Item]]:
    """Answers that no turn carries, by the place they go to."""
    into: dict[Place, list[Item]] = {}
    for reply_to, id, kind, payload, handler, sender in answers:
        place = (topics.mailbox if handler else topics.reply, partition_of(reply_to, partitions))
        envelope = Envelope(kind, id, reply_to, handler, payload, sender, time=time)
        into.setdefault(place, []).append((reply_to.encode(), encode_envelope(envelope)))
    return into


def in_its_place(item: Item, why: str) -> Item:
    """What goes instead of a message or a reply that its topic does not take for its size.

    It has the same id and number; whoever waits for it is told, as is the receiver, who puts it aside.
    """
    key, value = item
    e = decode_envelope(value or b"")
    if e.kind > ASK:
        return key, encode_envelope(e._replace(kind=ERROR, payload=error_body("too_large", why, None)))
    return key, encode_envelope(e._replace(payload=b"", headers={**e.headers, TOO_LARGE: why}))


def refused_output(
    partition: int, offset: int, turn: Turn | Step, index: int, topic: str, why: str
) -> DeadLetter:
    """What becomes of an output that its topic does not take."""
    id, detail = f"{turn.actor}#{turn.seq}.{index}", f"its output to topic {topic!r} was refused: {why}"
    return DeadLetter(
        id, turn.actor, turn.sender, turn.handler, turn.outs[index].payload, "output_refused", detail, 1,
        turn.cause_topic, turn.cause_offset, turn.time, f"journal/{partition}", offset, index,
    )  # fmt: skip


def dead_letters(
    partition: int, offset: int, turn: Turn | Step
) -> Iterator[tuple[tuple[int, int], DeadLetter]]:
    """A turn's dead letters, by the offset of the turn and their place in it."""
    for index, out in enumerate(turn.outs):
        if out.kind == _DEAD:
            letter = DeadLetter(
                out.id, out.target, turn.sender, out.handler, out.payload, out.key, out.note, out.due,
                turn.cause_topic, turn.cause_offset, turn.time, f"journal/{partition}", offset, index,
            )  # fmt: skip
            yield (offset, index), letter
