"""The records that the compiled codec knows, where it was compiled.

It needs a C compiler when plexstream is installed; without one everything works, with the twins in Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from plexstream.model.journal.journal import (
    Begin,
    Change,
    Command,
    Completion,
    JournalRecord,
    Out,
    Step,
    Turn,
)
from plexstream.model.journal.snapshot import Snapshot
from plexstream.model.messages.message import Envelope
from plexstream.model.process.compiled import WANTED
from plexstream.schema.avro import prefix

if TYPE_CHECKING:
    from plexstream.schema._compiled import Record

try:
    if not WANTED:
        raise ImportError
    from plexstream.schema import _compiled
except ImportError:
    COMPILED = False
else:
    COMPILED = True

R = TypeVar("R")

_ACTOR = Turn._fields.index("actor")
OUTS = Turn._fields.index("outs")
"""What of a turn a restore passes over; a step has it in the same place."""


def _records() -> dict[type, Record[Any]]:
    if not COMPILED:
        return {}
    make: Any = _compiled.Record
    change = make(Change, b"", "sosob", ())
    out = make(Out, b"", "lsssbssl", ())
    begin = make(Begin, b"", "lssbssslsoa", (change,))
    command = make(Command, b"", "llsl", ())
    completion = make(Completion, b"", "l?b", ())
    turn = "lslslll?sassslslla"
    return {
        Envelope: make(Envelope, prefix("Envelope"), "ksssbssslmsll", ()),
        Turn: make(Turn, prefix("Turn"), turn + "l", (change, out)),
        Step: make(Step, prefix("Step"), turn + "llloraal", (change, out, begin, command, completion)),
        Snapshot: make(Snapshot, prefix("Snapshot"), "lssoslllb", ()),
    }


_RECORDS = _records()


def encoder(cls: type[R], twin: Callable[[R], bytes]) -> Callable[[R], bytes]:
    """What encodes records of `cls`: compiled, or else `twin`."""
    record: Record[R] | None = _RECORDS.get(cls)
    if record is None:
        return twin
    fast = record.encode

    def encode(value: R) -> bytes:
        data = fast(value)
        return twin(value) if data is None else data

    encode.__doc__ = twin.__doc__
    return encode


def decoder(cls: type[R], twin: Callable[[bytes], R]) -> Callable[[bytes], R]:
    """What decodes records of `cls`: compiled, or else `twin`, which also says why one is refused."""
    record: Record[R] | None = _RECORDS.get(cls)
    if record is None:
        return twin
    fast = record.decode

    def decode(data: bytes) -> R:
        value = fast(data)
        return twin(data) if value is None else value

    decode.__doc__ = twin.__doc__
    return decode


def journal_encoder(twin: Callable[[JournalRecord], bytes]) -> Callable[[JournalRecord], bytes]:
    """What encodes any journal record."""
    if not COMPILED:
        return twin
    fast: dict[type, Any] = {cls: _RECORDS[cls].encode for cls in (Turn, Step)}

    def encode(record: JournalRecord) -> bytes:
        known = fast.get(type(record))
        data: bytes | None = known(record) if known is not None else None
        return twin(record) if data is None else data

    encode.__doc__ = twin.__doc__
    return encode


def keyed_turns(records: list[Any]) -> list[tuple[bytes, bytes | None]] | None:
    """Turns, encoded, each behind its actor; None where that is not compiled, or one of them is no turn."""
    return _RECORDS[Turn].keyed(records, _ACTOR) if COMPILED else None


class JournalDecoder(Protocol):
    """Decodes any journal record. Without `outs`, a turn's outgoing items are passed over."""

    def __call__(self, data: bytes, outs: bool = True) -> JournalRecord: ...


def journal_decoder(twin: JournalDecoder) -> JournalDecoder:
    """What decodes any journal record."""
    if not COMPILED:
        return twin
    turn, step = _RECORDS[Turn].decode, _RECORDS[Step].decode

    def decode(data: bytes, outs: bool = True) -> JournalRecord:
        skip = -1 if outs else OUTS
        record: JournalRecord | None = turn(data, skip)
        if record is None:
            record = step(data, skip)
        return twin(data, outs) if record is None else record

    decode.__doc__ = twin.__doc__
    return decode


def envelope_encoder() -> Callable[[Envelope], bytes | None] | None:
    """What encodes envelopes, if it is compiled: None where the twin must decide."""
    return _RECORDS[Envelope].encode if COMPILED else None


def envelope_decoder() -> Callable[[bytes], Envelope | None] | None:
    """What decodes envelopes, if it is compiled: None for all else."""
    return _RECORDS[Envelope].decode if COMPILED else None
