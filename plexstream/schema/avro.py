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
    """The ten bytes that begin every record `name`."""
    canonical = fastavro.schema.to_parsing_canonical_form(_source(name))
    return MAGIC + bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))


@cache
def _source(name: str) -> Any:
    return json.loads((resources.files("plexstream.schema") / "avsc" / f"{name.lower()}.avsc").read_text())


def encode(name: str, record: dict[str, Any]) -> bytes:
    """Encode a record of schema `name` from a dict of all its fields."""
    out = io.BytesIO()
    out.write(prefix(name))
    fastavro.schemaless_writer(out, schema(name), record)
    return out.getvalue()


def decode(name: str, data: bytes) -> dict[str, Any]:
    """Decode a record of schema `name`.

    Raises:
        Malformed: the bytes begin otherwise, end too early, or go on too long.
    """
    if data[:HEADER] != prefix(name):
        raise Malformed(f"{len(data)} bytes are no {name}: they begin with {data[:HEADER].hex()}")
    body = io.BytesIO(data)
    body.seek(HEADER)
    try:
        record: Any = fastavro.schemaless_reader(body, schema(name), None)
    except Exception as error:  # fastavro raises whatever its C code meets on hostile bytes
        raise Malformed(f"{len(data)} bytes are no {name}: {type(error).__name__} {error}") from None
    if body.tell() != len(data):
        raise Malformed(f"{name} ends at byte {body.tell()} of {len(data)}")
    return cast("dict[str, Any]", record)
