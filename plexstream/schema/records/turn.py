"""Turns by hand: they are the hot path and recovery.

Arrays are written as Avro blocks that tell their size, so that recovery passes over the outgoing
items of a turn without reading them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from plexstream.model.errors import Malformed
from plexstream.model.journal.journal import Change, Out, Turn
from plexstream.model.messages.message import ASK, TELL
from plexstream.schema.avro import HEADER, prefix
from plexstream.schema.records.varint import (
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

_TURN = prefix("Turn")
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


def encode_turn(t: Turn) -> bytes:
    """Encode a turn."""
    return b"".join((_TURN, encode_fields(t[:18]), cached_long(t.ordinal)))


def encode_fields(t: tuple[Any, ...]) -> bytes:
    """The body of a turn but for its ordinal, with which that of a step begins, too."""
    (claim, actor, seq, topic, offset, time, status, fresh, idem, patch,
     handler, id, sender, kind, origin, cause_seq, index, outs) = t  # fmt: skip
    message = id.encode()
    plain = None if sender or origin or cause_seq or index else _PLAIN_CAUSE.get(kind)
    return b"".join((
        cached_long(claim), string(actor), cached_long(seq), string(topic), long(offset),
        cached_long(time),
        _PLAIN if not (status or fresh or idem)
        else cached_long(status) + _BOOL[fresh] + blob(idem.encode()),
        encode_patch(patch) if patch else _NOTHING,
        string(handler), cached_long(len(message)), message,
        plain or string(sender) + cached_long(kind) + string(origin) + long(cause_seq) + cached_long(index),
        _outs(outs) if outs else _NOTHING,
    ))  # fmt: skip


@lru_cache(maxsize=4096)
def _set(field: str) -> bytes:
    """What comes before the value of a plain field that is set."""
    return string(field) + _NOTHING + _SOME


def encode_patch(patch: tuple[Change, ...] | list[Change]) -> bytes:
    """An array of changes, which is not empty."""
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


def read_bytes(d: bytes, at: int) -> tuple[bytes, int]:
    """Bytes, and where they end."""
    n, at = read_length(d, at)
    return d[at : at + n], at + n


def decode_turn(d: bytes, want_outs: bool) -> Turn:
    """Decode a turn. Raises Malformed, IndexError, UnicodeDecodeError."""
    fields, at = read_fields(d, want_outs)
    ordinal, at = read(d, at) if d.startswith(_TURN) else (0, at)
    if at != len(d):
        raise Malformed(f"a Turn ends at byte {at} of {len(d)}")
    return _new(Turn, (*fields, ordinal))


def read_fields(d: bytes, want_outs: bool) -> tuple[tuple[Any, ...], int]:
    """The fields of a turn but for its ordinal, and where they end."""
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
    return (
        claim, actor, seq, topic, offset, time, status, fresh, idem, patch,
        handler, id, sender, kind, origin, cause_seq, index, outs,
    ), at + 1  # fmt: skip


def read_patch(d: bytes, at: int) -> tuple[list[Change], int]:
    """An array of changes, off the hot path."""
    patch: list[Change] = []
    while d[at]:
        count, at = read(d, at)
        if count < 0:
            count, (_, at) = -count, read_length(d, at)
        for _ in range(count):
            change, at = _change(d, at)
            patch.append(change)
    return patch, at + 1


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
        value, at = read_bytes(d, at + 1)
    else:
        at = absent(d, at)
    return Change(field, key, value), at


def _out(d: bytes, at: int) -> tuple[Out, int]:
    kind, at = read(d, at)
    id, at = read_text(d, at)
    target, at = read_text(d, at)
    handler, at = read_text(d, at)
    payload, at = read_bytes(d, at)
    key, at = read_text(d, at)
    note, at = read_text(d, at)
    due, at = read(d, at)
    return Out(kind, id, target, handler, payload, key, note, due), at
