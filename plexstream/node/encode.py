"""From what a processor gives out to records of the log."""

from __future__ import annotations

from plexstream.log.base import Item, Place
from plexstream.model.address import partition_of
from plexstream.model.journal import Claim, Mark, OutKind, Step, Turn
from plexstream.model.message import DeadLetter, Envelope
from plexstream.model.topics import Topics
from plexstream.processor.records import Answer
from plexstream.schema.codec import encode_dead_letter, encode_envelope, encode_journal, encode_turn

Output = tuple[
    str, int | None, bytes, bytes | None
]  # topic, partition or None for murmur2 of the key, key, value

_LAST_MAIL, _REPLY, _ASK = OutKind.ERROR.value, OutKind.REPLY.value, OutKind.ASK.value
_EMIT, _DEAD = OutKind.EMIT.value, OutKind.DEADLETTER.value


def journal_items(records: list[Turn | Step | Mark] | list[Claim]) -> list[Item]:
    """Journal records as they are appended: keyed by the actor."""
    return [
        (r.actor.encode(), encode_turn(r))
        if type(r) is Turn
        else (r.actor.encode() if type(r) is Step else b"", encode_journal(r))
        for r in records
    ]


def mails(
    topics: Topics,
    partitions: int,
    partition: int,
    offset: int,
    turn: Turn | Step,
    into: dict[Place, list[Item]],
) -> None:
    """Add a turn's messages and replies to the places they go to."""
    for index, out in enumerate(turn.outs):
        kind = out.kind
        if kind <= _LAST_MAIL:
            target = out.target
            if kind < _REPLY or "/" in target:
                place = (topics.mailbox, partition_of(target, partitions))
                id = out.id or f"{turn.actor}#{turn.seq}.{index}"
                origin = f"journal/{partition}"
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


def outputs(topics: Topics, partition: int, offset: int, turn: Turn | Step) -> list[Output]:
    """A turn's output records and dead letters."""
    records: list[Output] = []
    for index, out in enumerate(turn.outs):
        if out.kind == _EMIT:
            key = (out.key or turn.actor).encode()
            records.append((topics.out(out.target), None, key, out.payload))
        elif out.kind == _DEAD:
            letter = DeadLetter(
                out.id, out.target, turn.sender, out.handler, out.payload, out.key, out.note, out.due,
                turn.cause_topic, turn.cause_offset, turn.time, f"journal/{partition}", offset, index,
            )  # fmt: skip
            records.append((topics.deadletter, partition, out.target.encode(), encode_dead_letter(letter)))
    return records
