"""Journal records: turns by hand, as they are the hot path and recovery; the others by fastavro.

Arrays are written as Avro blocks that tell their size, so that recovery passes over the outgoing
items of a turn without reading them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plexstream.model.errors import Malformed
from plexstream.model.journal import Change, Claim, Inbox, JournalRecord, Mark, Origin, Out, Partition, Turn
from plexstream.model.message import ASK
from plexstream.schema import avro
from plexstream.schema.avro import HEADER, prefix
from plexstream.schema.varint import SHORT, SOME, absent, blob, cached_long, long, read, read_length, string

_TURN, _MARK, _CLAIM = prefix("Turn"), prefix("Mark"), prefix("Claim")
_NOTHING = b"\x00"
_SOME = b"\x02"
_BOOL = (b"\x00", b"\x01")
_ONE = 1  # begins a block of one item that tells its size
_FROM_MAILBOX = string("mailbox")
_PLAIN = b"\x00\x00\x00"  # done, not fresh, no idempotency key
_FROM_EDGE = b"\x00\x02\x00\x00\x00"  # no sender, ASK, no origin
_new = tuple.__new__  # a named tuple's own costs twice the time
_times: dict[bytes, int] = {}


def encode_journal(record: JournalRecord) -> bytes:
    """Encode any journal record."""
    if type(record) is Turn:
        return encode_turn(record)
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
    if head == _TURN:
        try:
            return _turn(data, outs)
        except IndexError:
            raise Malformed(f"a Turn of {len(data)} bytes ends too early") from None
        except UnicodeDecodeError as error:
            raise Malformed(f"a Turn holds text that is no UTF-8: {error.reason}") from None
    if head == _CLAIM:
        return Claim(**avro.decode("Claim", data))
    if head == _MARK:
        fields = avro.decode("Mark", data)
        return Mark(**{**fields, "inboxes": _inboxes_in(fields["inboxes"])})
    raise Malformed(f"{len(data)} bytes are no journal record: they begin with {head.hex() or 'nothing'}")


def is_claim(data: bytes) -> bool:
    """Whether a journal record is a claim, without decoding it."""
    return data[:HEADER] == _CLAIM


def encode_partition(partition: Partition) -> bytes:
    """Encode the sum of a journal's beginning."""
    return avro.encode(
        "Partition",
        {**partition._asdict(), "claims": list(partition.claims), "inboxes": _inboxes_out(partition.inboxes)},
    )


def decode_partition(data: bytes) -> Partition:
    """Decode the sum of a journal's beginning. Raises Malformed."""
    fields = avro.decode("Partition", data)
    return Partition(
        **{**fields, "claims": tuple(fields["claims"]), "inboxes": _inboxes_in(fields["inboxes"])}
    )


def _inboxes_out(inboxes: Iterable[Inbox]) -> list[dict[str, Any]]:
    return [
        {**i._asdict(), "done": list(i.done), "origins": [o._asdict() for o in i.origins]} for i in inboxes
    ]


def _inboxes_in(inboxes: list[dict[str, Any]]) -> tuple[Inbox, ...]:
    return tuple(
        Inbox(i["topic"], i["low"], i["next"], tuple(i["done"]), tuple(Origin(**o) for o in i["origins"]))
        for i in inboxes
    )


def encode_turn(t: Turn) -> bytes:
    """Encode a turn."""
    (claim, actor, seq, topic, offset, time, status, fresh, idem, patch,
     handler, id, sender, kind, origin, cause_seq, index, outs) = t  # fmt: skip
    return b"".join((
        _TURN, cached_long(claim), string(actor), cached_long(seq), string(topic), long(offset),
        cached_long(time), cached_long(status), _BOOL[fresh],
        blob(idem.encode()) if idem else _NOTHING, _patch(patch) if patch else _NOTHING,
        string(handler), blob(id.encode()), string(sender) if sender else _NOTHING, cached_long(kind),
        string(origin) if origin else _NOTHING, long(cause_seq), cached_long(index),
        _outs(outs) if outs else _NOTHING,
    ))  # fmt: skip


def _block(count: int, body: bytes) -> bytes:
    return cached_long(-count) + cached_long(len(body)) + body + _NOTHING


def _patch(patch: tuple[Change, ...] | list[Change]) -> bytes:
    parts: list[bytes] = []
    for field, key, value in patch:
        parts.append(string(field))
        parts.append(_NOTHING if key is None else _SOME + blob(key.encode()))
        parts.append(_NOTHING if value is None else _SOME + blob(value))
    return _block(len(patch), b"".join(parts))


def _outs(outs: tuple[Out, ...] | list[Out]) -> bytes:
    parts: list[bytes] = []
    for kind, id, target, handler, payload, key, note, due in outs:
        parts += (
            cached_long(kind), blob(id.encode()) if id else _NOTHING, string(target),
            string(handler) if handler else _NOTHING, blob(payload),
            string(key) if key else _NOTHING, blob(note.encode()) if note else _NOTHING,
            long(due) if due else _NOTHING,
        )  # fmt: skip
    return _block(len(outs), b"".join(parts))


def _text(d: bytes, at: int) -> tuple[str, int]:
    n = SHORT[d[at]]
    if n < 0:
        n, at = read_length(d, at)
        return d[at : at + n].decode(), at + n
    at += 1
    return d[at : at + n].decode(), at + n


def _bytes(d: bytes, at: int) -> tuple[bytes, int]:
    n, at = read_length(d, at)
    return d[at : at + n], at + n


def _turn(d: bytes, want_outs: bool) -> Turn:
    # Recovery reads some hundred thousand of these a second: what is usually short is read in place.
    short = SHORT
    claim, at = read(d, HEADER)
    n = short[d[at]]
    if n < 0:
        n, at = read_length(d, at)
    else:
        at += 1
    actor, at = d[at : at + n].decode(), at + n
    seq, at = read(d, at)
    if d.startswith(_FROM_MAILBOX, at):
        topic, at = "mailbox", at + 8
    else:
        topic, at = _text(d, at)
    offset, at = read(d, at)
    time = _times.get(d[at : at + 6])
    if time is None:
        time, at = _time(d, at)
    else:
        at += 6
    if d.startswith(_PLAIN, at):
        status, fresh, idem, at = 0, False, "", at + 3
    else:
        status, at = read(d, at)
        fresh, at = d[at] == 1, at + 1
        idem, at = _text(d, at)
    patch: list[Change] = []
    while d[at]:
        size = short[d[at + 1]]
        if d[at] == _ONE and size >= 0:
            count, at = 1, at + 2
        else:
            count, at = read(d, at)
            if count < 0:
                count, (_, at) = -count, read_length(d, at)
        for _ in range(count):
            n = short[d[at]]
            if n < 0:
                n, at = read_length(d, at)
            else:
                at += 1
            field, at = d[at : at + n].decode(), at + n
            key = value = None
            if d[at] == SOME:
                key, at = _text(d, at + 1)
            else:
                at = absent(d, at)
            if d[at] == SOME:
                n, at = read_length(d, at + 1)
                value, at = d[at : at + n], at + n
            else:
                at = absent(d, at)
            patch.append(_new(Change, (field, key, value)))
    at += 1
    n = short[d[at]]
    if n < 0:
        n, at = read_length(d, at)
    else:
        at += 1
    handler, at = d[at : at + n].decode(), at + n
    n = short[d[at]]
    if n < 0:
        n, at = read_length(d, at)
    else:
        at += 1
    id, at = d[at : at + n].decode(), at + n
    if d.startswith(_FROM_EDGE, at):
        sender, kind, origin, cause_seq, index, at = "", ASK, "", 0, 0, at + 5
    else:
        sender, at = _text(d, at)
        kind, at = read(d, at)
        origin, at = _text(d, at)
        cause_seq, at = read(d, at)
        index, at = read(d, at)
    outs: list[Out] = []
    while d[at]:
        size = short[d[at + 1]]
        if d[at] == _ONE and size >= 0:
            count, at = 1, at + 2
        else:
            size = -1
            count, at = read(d, at)
            if count < 0:
                count, (size, at) = -count, read_length(d, at)
        if size >= 0 and not want_outs:
            at += size
            continue
        for _ in range(count):
            out, at = _out(d, at)
            outs.append(out)
    if at + 1 != len(d):
        raise Malformed(f"a Turn ends at byte {at + 1} of {len(d)}")
    return _new(Turn, (
        claim, actor, seq, topic, offset, time, status, fresh, idem, patch,
        handler, id, sender, kind, origin, cause_seq, index, outs,
    ))  # fmt: skip


def _time(d: bytes, at: int) -> tuple[int, int]:
    """A time, kept for the next turns of its millisecond where it has six bytes, as in our century."""
    time, end = read(d, at)
    if end == at + 6:
        if len(_times) >= 4096:
            _times.clear()
        _times[d[at:end]] = time
    return time, end


def _out(d: bytes, at: int) -> tuple[Out, int]:
    kind, at = read(d, at)
    id, at = _text(d, at)
    target, at = _text(d, at)
    handler, at = _text(d, at)
    payload, at = _bytes(d, at)
    key, at = _text(d, at)
    note, at = _text(d, at)
    due, at = read(d, at)
    return Out(kind, id, target, handler, payload, key, note, due), at
