"""Journal records: turns and steps by hand, the others by fastavro."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plexstream.model.errors import Malformed
from plexstream.model.journal.journal import (
    Claim,
    Inbox,
    JournalRecord,
    Mark,
    Origin,
    Partition,
    Span,
    Step,
    Turn,
)
from plexstream.schema import avro
from plexstream.schema.avro import HEADER, prefixes
from plexstream.schema.records.step import decode_step, encode_step
from plexstream.schema.records.turn import decode_turn, encode_turn

_TURN, _STEP = prefixes("Turn"), prefixes("Step")
_MARK, _CLAIM = prefixes("Mark"), prefixes("Claim")


def encode_journal(record: JournalRecord) -> bytes:
    """Encode any journal record."""
    if type(record) is Turn:
        return encode_turn(record)
    if type(record) is Step:
        return encode_step(record)
    if type(record) is Claim:
        return avro.encode("Claim", record._asdict())
    assert type(record) is Mark
    return avro.encode("Mark", {**record._asdict(), "inboxes": _inboxes_out(record.inboxes)})


def decode_journal(data: bytes, outs: bool = True) -> JournalRecord:
    """Decode any journal record. Without `outs`, a turn's outgoing items are passed over.

    Raises:
        Malformed: the bytes are no journal record.
    """
    head = data[:HEADER]
    turn = head in _TURN
    if turn or head in _STEP:
        name, decode = ("Turn", decode_turn) if turn else ("Step", decode_step)
        try:
            return decode(data, outs)
        except IndexError:
            raise Malformed(f"a {name} of {len(data)} bytes ends too early") from None
        except UnicodeDecodeError as error:
            raise Malformed(f"a {name} holds text that is no UTF-8: {error.reason}") from None
    if head in _CLAIM:
        return Claim(**avro.decode("Claim", data))
    if head in _MARK:
        fields = avro.decode("Mark", data)
        return Mark(**{**fields, "inboxes": _inboxes_in(fields["inboxes"])})
    raise Malformed(f"{len(data)} bytes are no journal record: they begin with {head.hex() or 'nothing'}")


def is_claim(data: bytes) -> bool:
    """Whether a journal record is a claim, without decoding it."""
    return data[:HEADER] in _CLAIM


def encode_partition(partition: Partition) -> bytes:
    """Encode the sum of a journal's beginning."""
    return avro.encode(
        "Partition",
        {
            **partition._asdict(),
            "inboxes": _inboxes_out(partition.inboxes),
            "uncounted": _spans_out(partition.uncounted),
        },
    )


def decode_partition(data: bytes) -> Partition:
    """Decode the sum of a journal's beginning. Raises Malformed."""
    fields = avro.decode("Partition", data)
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    inboxes, uncounted = _inboxes_in(fields["inboxes"]), _spans_in(fields["uncounted"])
    return Partition(**{**plain, "inboxes": inboxes, "uncounted": uncounted})


def _spans_out(spans: Iterable[Span]) -> list[dict[str, int]]:
    return [{"first": first, "end": end} for first, end in spans]


def _spans_in(spans: list[dict[str, int]]) -> tuple[Span, ...]:
    return tuple(Span(s["first"], s["end"]) for s in spans)


def _inboxes_out(inboxes: Iterable[Inbox]) -> list[dict[str, Any]]:
    return [
        {
            **i._asdict(),
            "origins": [o._asdict() for o in i.origins],
            "spans": _spans_out(i.spans),
        }
        for i in inboxes
    ]


def _inboxes_in(inboxes: list[dict[str, Any]]) -> tuple[Inbox, ...]:
    return tuple(
        Inbox(
            i["topic"],
            i["low"],
            i["next"],
            tuple(i["done"]),
            tuple(Origin(**o) for o in i["origins"]),
            _spans_in(i["spans"]),
        )
        for i in inboxes
    )
