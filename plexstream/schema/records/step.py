"""Steps of handlers that wait: a turn's fields, and what the handler asked for and got."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plexstream.model.errors import Malformed
from plexstream.model.journal.journal import Begin, Command, Completion, Step
from plexstream.schema.avro import prefix
from plexstream.schema.records.turn import encode_fields, encode_patch, read_bytes, read_fields, read_patch
from plexstream.schema.records.varint import (
    SOME,
    absent,
    blob,
    cached_long,
    long,
    read,
    read_length,
    read_text,
    string,
)

_STEP = prefix("Step")
_NOTHING = b"\x00"
_SOME = b"\x02"
_BOOL = (b"\x00", b"\x01")
_new = tuple.__new__  # a named tuple's own costs twice the time


def encode_step(step: Step) -> bytes:
    """Encode a step."""
    b = step.begin
    return b"".join((
        _STEP, encode_fields(step[:18]), cached_long(step.invocation), cached_long(step.number),
        cached_long(step.next), _NOTHING if b is None else _SOME + _begin(b),
        _array(step.commands, _command), _array(step.completions, _completion),
        cached_long(step.ordinal),
    ))  # fmt: skip


def _array(items: Any, encode: Callable[[Any], bytes]) -> bytes:
    if not items:
        return _NOTHING
    body = b"".join(map(encode, items))
    return b"".join((cached_long(-len(items)), cached_long(len(body)), body, _NOTHING))


def _begin(b: Begin) -> bytes:
    kind, id, handler, payload, sender, reply_to, key, time, chain, base = b
    return b"".join((
        cached_long(kind), blob(id.encode()), string(handler), blob(payload), string(sender),
        string(reply_to), blob(key.encode()), cached_long(time), blob(chain.encode()),
        _NOTHING if base is None else _SOME + (encode_patch(base) if base else _NOTHING),
    ))  # fmt: skip


def _command(c: Command) -> bytes:
    return cached_long(c.number) + cached_long(c.kind) + blob(c.name.encode()) + long(c.due)


def _completion(c: Completion) -> bytes:
    return cached_long(c.number) + _BOOL[c.failed] + blob(c.value)


def decode_step(d: bytes, want_outs: bool = True) -> Step:
    """Decode a step. Raises Malformed, IndexError, UnicodeDecodeError."""
    fields, at = read_fields(d, want_outs)
    invocation, at = read(d, at)
    number, at = read(d, at)
    next, at = read(d, at)
    begin = None
    if d[at] == SOME:
        begin, at = _read_begin(d, at + 1)
    else:
        at = absent(d, at)
    commands: list[Command] = []
    at = _items(d, at, _read_command, commands)
    completions: list[Completion] = []
    at = _items(d, at, _read_completion, completions)
    ordinal, at = read(d, at) if d.startswith(_STEP) else (0, at)
    if at != len(d):
        raise Malformed(f"a Step ends at byte {at} of {len(d)}")
    return _new(Step, (*fields, invocation, number, next, begin, commands, completions, ordinal))


def _items(d: bytes, at: int, take: Callable[[bytes, int], tuple[Any, int]], into: list[Any]) -> int:
    while d[at]:
        count, at = read(d, at)
        if count < 0:
            count, (_, at) = -count, read_length(d, at)
        for _ in range(count):
            item, at = take(d, at)
            into.append(item)
    return at + 1


def _read_begin(d: bytes, at: int) -> tuple[Begin, int]:
    kind, at = read(d, at)
    id, at = read_text(d, at)
    handler, at = read_text(d, at)
    payload, at = read_bytes(d, at)
    sender, at = read_text(d, at)
    reply_to, at = read_text(d, at)
    key, at = read_text(d, at)
    time, at = read(d, at)
    chain, at = read_text(d, at)
    base = None
    if d[at] == SOME:
        base, at = read_patch(d, at + 1)
    else:
        at = absent(d, at)
    return Begin(kind, id, handler, payload, sender, reply_to, key, time, chain, base), at


def _read_command(d: bytes, at: int) -> tuple[Command, int]:
    number, at = read(d, at)
    kind, at = read(d, at)
    name, at = read_text(d, at)
    due, at = read(d, at)
    return Command(number, kind, name, due), at


def _read_completion(d: bytes, at: int) -> tuple[Completion, int]:
    number, at = read(d, at)
    failed, at = d[at] == 1, at + 1
    value, at = read_bytes(d, at)
    return Completion(number, failed, value), at
