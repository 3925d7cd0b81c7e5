"""The schemas, and the general codec for records that are not on the hot path.

Single-object encoding: the bytes C3 01, the schema's CRC-64-AVRO fingerprint, the body
(Avro specification 1.12, "Single-object encoding").
"""

from __future__ import annotations

import io
import json
from functools import cache
from importlib import resources
from typing import Any, cast

import fastavro

from plexstream.model.errors import Malformed

MAGIC = b"\xc3\x01"
HEADER = 10  # bytes before the body: magic and fingerprint


@cache
def schema(name: str) -> Any:
    """The parsed schema of record `name`, as fastavro takes it."""
    return fastavro.parse_schema(_source(name))


@cache
def prefix(name: str) -> bytes:
    """The ten bytes that begin every record `name` that is written now."""
    return _prefix(_source(name))


@cache
def prefixes(name: str) -> frozenset[bytes]:
    """The ten bytes that begin a record `name`, whichever version of plexstream wrote it."""
    return frozenset(_versions(name))


def _prefix(source: Any) -> bytes:
    canonical = fastavro.schema.to_parsing_canonical_form(source)
    return MAGIC + bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))


@cache
def _versions(name: str) -> dict[bytes, Any]:
    """The schemas that record `name` has had, by what begins records: ``mark.1.avsc``, ``mark.avsc``."""
    found = {prefix(name): schema(name)}
    number = 1
    while (source := _source(f"{name}.{number}")) is not None:
        found[_prefix(source)] = fastavro.parse_schema(source)
        number += 1
    return found


@cache
def _source(name: str) -> Any:
    file = resources.files("plexstream.schema") / "avsc" / f"{name.lower()}.avsc"
    return json.loads(file.read_text()) if file.is_file() else None


def encode(name: str, record: dict[str, Any]) -> bytes:
    """Encode a record of schema `name` from a dict of all its fields."""
    out = io.BytesIO()
    out.write(prefix(name))
    fastavro.schemaless_writer(out, schema(name), record)
    return out.getvalue()


def decode(name: str, data: bytes) -> dict[str, Any]:
    """Decode a record of schema `name`, or of an older one: fields that were added have their defaults.

    Raises:
        Malformed: the bytes begin otherwise, end too early, or go on too long.
    """
    written = _versions(name).get(data[:HEADER])
    if written is None:
        raise Malformed(f"{len(data)} bytes are no {name}: they begin with {data[:HEADER].hex()}")
    body = io.BytesIO(data)
    body.seek(HEADER)
    try:
        record: Any = fastavro.schemaless_reader(body, written, schema(name))
    except Exception as error:  # fastavro raises whatever its C code meets on hostile bytes
        raise Malformed(f"{len(data)} bytes are no {name}: {type(error).__name__} {error}") from None
    if body.tell() != len(data):
        raise Malformed(f"{name} ends at byte {body.tell()} of {len(data)}")
    return cast("dict[str, Any]", record)
