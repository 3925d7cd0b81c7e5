"""Journal records: turns by hand, as they are the hot path and recovery; the others by fastavro.

Arrays are written as Avro blocks that tell their size, so that recovery passes over the outgoing
items of a turn without reading them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from plexstream.model.errors import Malformed
from plexstream.model.journal import Change, Claim, Inbox, JournalRecord, Mark, Origin, Out, Partition, Turn
from plexstream.model.message import ASK, TELL
from plexstream.schema import avro
from plexstream.schema.avro import HEADER, prefix
from plexstream.schema.varint import (
    SHORT,
    SOME,
    absent,
    blob,
    cached_long,
    long,
    read,
    read_length,
    read_text,
    read_time,
    string,
)

_TURN, _MARK, _CLAIM = prefix("Turn"), prefix("Mark"), prefix("Claim")
_NOTHING = b"\x00"
_SOME = b"\x02"
_BOOL = (b"\x00", b"\x01")
_ONE = 1  # begins a block of one item that tells its size
_FROM_MAILBOX = string("mailbox")
_PLAIN = b"\x00\x00\x00"  # done, not fresh, no idempotency key
# No sender, the kind, no origin; the other kinds that a number could name have none.
_PLAIN_CAUSE = {kind: b"\x00%c\x00\x00\x00" % (kind << 1) for kind in range(4)}
_new = tuple.__new__  # a named tuple's own costs twice the time
_fields: dict[bytes, str] = {}  # by what comes before the value of a plain field that is set


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
    message = id.encode()
    plain = None if sender or origin or cause_seq or index else _PLAIN_CAUSE.get(kind)
    return b"".join((
        _TURN, cached_long(claim), string(actor), cached_long(seq), string(topic), long(offset),
        cached_long(time),
        _PLAIN if not (status or fresh or idem)
        else cached_long(status) + _BOOL[fresh] + blob(idem.encode()),
        _patch(patch) if patch else _NOTHING,
        string(handler), cached_long(len(message)), message,
        plain or string(sender) + cached_long(kind) + string(origin) + long(cause_seq) + cached_long(index),
        _outs(outs) if outs else _NOTHING,
    ))  # fmt: skip


@lru_cache(maxsize=4096)
def _set(field: str) -> bytes:
    """What comes before the value of a plain field that is set."""
    return string(field) + _NOTHING + _SOME


def _patch(patch: tuple[Change, ...] | list[Change]) -> bytes:
    parts: list[bytes] = []
    for field, key, value in patch:
        if key is None and value is not None:
            parts += (_set(field), cached_long(len(value)), value)
        else:
            parts += (
                string(field), _NOTHING if key is None else _SOME + blob(key.encode()),
                _NOTHING if value is None else _SOME + blob(value),
            )  # fmt: skip
    body = b"".join(parts)
    return b"".join((cached_long(-len(patch)), cached_long(len(body)), body, _NOTHING))


def _outs(outs: tuple[Out, ...] | list[Out]) -> bytes:
    parts: list[bytes] = []
    for kind, id, target, handler, payload, key, note, due in outs:
        parts += (
            cached_long(kind), blob(id.encode()) if id else _NOTHING, string(target),
            string(handler) if handler else _NOTHING, cached_long(len(payload)), payload,
            string(key) if key else _NOTHING, blob(note.encode()) if note else _NOTHING,
            long(due) if due else _NOTHING,
        )  # fmt: skip
    body = b"".join(parts)
    return b"".join((cached_long(-len(outs)), cached_long(len(body)), body, _NOTHING))


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
        topic, at = read_text(d, at)
    offset, at = read(d, at)
    time, at = read_time(d, at)
    if d.startswith(_PLAIN, at):
        status, fresh, idem, at = 0, False, "", at + 3
    else:
        status, at = read(d, at)
        fresh, at = d[at] == 1, at + 1
        idem, at = read_text(d, at)
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
            end = at + (d[at] >> 1) + 3
            known = _fields.get(d[at:end])
            if known is not None:
                n = short[d[end]]
                if n < 0:
                    n, at = read_length(d, end)
                else:
                    at = end + 1
                patch.append(_new(Change, (known, None, d[at : at + n])))
                at += n
                continue
            change, at = _change(d, at)
            patch.append(change)
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
    if d.startswith(_PLAIN_CAUSE[TELL], at) or d.startswith(_PLAIN_CAUSE[ASK], at):
        sender, kind, origin, cause_seq, index, at = "", d[at + 1] >> 1, "", 0, 0, at + 5
    else:
        sender, at = read_text(d, at)
        kind, at = read(d, at)
        origin, at = read_text(d, at)
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


def _change(d: bytes, at: int) -> tuple[Change, int]:
    begin = at
    field, at = read_text(d, at)
    key = value = None
    if d[at] == SOME:
        key, at = read_text(d, at + 1)
    else:
        at = absent(d, at)
    if d[at] == SOME:
        if key is None and at - begin < 64:
            if len(_fields) >= 4096:
                _fields.clear()
            _fields[d[begin : at + 1]] = field
        value, at = _bytes(d, at + 1)
    else:
        at = absent(d, at)
    return Change(field, key, value), at


def _out(d: bytes, at: int) -> tuple[Out, int]:
    kind, at = read(d, at)
    id, at = read_text(d, at)
    target, at = read_text(d, at)
    handler, at = read_text(d, at)
    payload, at = _bytes(d, at)
    key, at = read_text(d, at)
    note, at = read_text(d, at)
    due, at = read(d, at)
    return Out(kind, id, target, handler, payload, key, note, due), at
