"""Ordinary topics over HTTP: appending and reading records as lines of JSON."""

from __future__ import annotations

import base64
import random
import re
import time
from typing import Any, NamedTuple

import msgspec

from plexstream.edge.http.problems import Problem
from plexstream.log.base import Item, Log, Place, Record, TopicSpec
from plexstream.model.errors import TopicMissing
from plexstream.model.messages import address
from plexstream.model.topics.topics import COPARTITIONED, KEEPING, Topics

MAX_LINES = 10_000  # records in one request, either way
MAX_READ_BYTES = 8 << 20  # of one answer
_FIRST_WAIT = 2.0  # seconds for the first record: a Kafka consumer needs 0.1 to 1 to start
_NEXT_WAIT = 0.25  # for the next: the end may be an open transaction, whose records do not show
_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    value: msgspec.Raw
    key: str | None = None


_line = msgspec.json.Decoder(_Line)
_any = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode


class Allowed(NamedTuple):
    """The topics that are shown over HTTP: outputs, which are read, and sources, which are written, too.

    Everything else on the brokers is somebody else's, or the system's own.
    """

    topics: Topics
    sources: frozenset[str]

    def check(self, name: str, *, write: bool) -> None:
        """Refuse all others.

        Raises:
            Problem: 400 for a name that Kafka does not allow, 403 for a topic that is none of these.
        """
        if not _NAME.fullmatch(name) or name in (".", ".."):
            raise Problem(400, "bad_topic", f"topic {name[:60]!r}: use 1 to 249 of a-z A-Z 0-9 . _ -")
        own = name.startswith(self.topics.prefix) and not name.startswith(self.topics.out(""))
        output = name.startswith(self.topics.out("")) or name in self.topics.outputs.values()
        if not own and (name in self.sources or (output and not write)):
            return
        what = "written" if write else "read"
        if own:
            raise Problem(
                403, "forbidden_topic", f"topic {name!r} belongs to the system and cannot be {what} over HTTP"
            )
        if output:
            raise Problem(
                403, "forbidden_topic",
                f"topic {name!r} is an output, which only actors write: host.emit in a handler does",
            )  # fmt: skip
        raise Problem(
            403, "forbidden_topic",
            f"topic {name!r} is neither an output of this installation nor subscribed to by its actors: it "
            f"cannot be {what} over HTTP; add it to topics in [http] of plexstream.toml if it may",
        )  # fmt: skip


def _refuse_foreign(log: Log, name: str) -> None:
    """Refuse what is inside of an installation, be it declared by mistake. Asks the log."""
    for kind in (*COPARTITIONED, "control"):
        prefix = name.removesuffix(kind)
        if prefix != name and log.partitions(f"{prefix}journal") and log.partitions(f"{prefix}mailbox"):
            raise Problem(
                403, "forbidden_topic",
                f"topic {name!r} belongs to the installation with the prefix {prefix!r}: nobody else may "
                "read or write it over HTTP",
            )  # fmt: skip


def parse_lines(body: bytes, max_bytes: int) -> list[tuple[str | None, bytes]]:
    """Keys and values of NDJSON lines ``{"key": string or null, "value": any}``. Empty lines are skipped.

    Raises:
        Problem: 400 naming the line that is wrong, 413 if it is too large or there are too many.
    """
    result: list[tuple[str | None, bytes]] = []
    for number, text in enumerate(body.split(b"\n"), 1):
        if not text.strip():
            continue
        try:
            line = _line.decode(text)
            text.decode()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(
                400, "bad_json", f'line {number} must be {{"key": string or null, "value": any}}: {error}'
            ) from None
        value = bytes(line.value)
        if len(value) + len(line.key or "") * 4 > max_bytes:
            raise Problem(
                413, "too_large", f"line {number} has {len(text)} bytes, at most {max_bytes} are allowed"
            )
        result.append((line.key, value))
        if len(result) > MAX_LINES:
            raise Problem(413, "too_large", f"more than {MAX_LINES} lines: send them in several requests")
    return result


def ensure_topic(log: Log, topics: Topics, name: str) -> int:
    """The number of partitions of topic `name`, created with the mailbox's number if missing. Blocks.

    Raises:
        Problem: 403 for a topic of another installation's inside.
    """
    _refuse_foreign(log, name)
    there = log.partitions(name)
    if not there:
        there = log.partitions(topics.mailbox) or 1
        log.create([TopicSpec(name, there, KEEPING["out"])])
    log.prepare([name])
    return there


def by_partition(lines: list[tuple[str | None, bytes]], partitions: int) -> dict[int, list[Item]]:
    """Records by partition: murmur2 of the key; those without a key all in one, chosen at random."""
    groups: dict[int, list[Item]] = {}
    keyless = random.randrange(partitions)
    for key, value in lines:
        partition = keyless if key is None else address.partition_of(key, partitions)
        groups.setdefault(partition, []).append(((key or "").encode(), value))
    return groups


def read_topic(log: Log, name: str, partition: int | None, start: int, limit: int) -> bytes:
    """Committed records of topic `name` as NDJSON, from offset `start` of each partition. Blocks up to 10 s.

    Raises:
        TopicMissing: there is no such topic.
        Problem: 404 for a partition that it does not have, 403 for another installation's inside.
    """
    _refuse_foreign(log, name)
    partitions = log.partitions(name)
    if not partitions:
        raise TopicMissing(f"there is no topic {name!r}")
    if partition is not None and partition >= partitions:
        raise Problem(404, "no_partition", f"topic {name!r} has the partitions 0 to {partitions - 1}")
    numbers = range(partitions) if partition is None else [partition]
    left: dict[Place, int] = {}  # partitions still to be read, and their ends
    for number in numbers:
        first, end = log.range((name, number))
        if max(start, first) < end:
            left[name, number] = end
    reader = log.reader(committed=True)
    lines: list[bytes] = []
    size = 0
    try:
        for place in left:
            reader.assign(place, start)
        deadline = time.monotonic() + 10.0
        while left and len(lines) < limit and size < MAX_READ_BYTES and time.monotonic() < deadline:
            records = reader.read(limit - len(lines), _NEXT_WAIT if lines else _FIRST_WAIT)
            if not records:
                break
            for record in records:
                lines.append(_encode_record(record))
                size += len(lines[-1])
                place = (record.topic, record.partition)
                if record.offset + 1 >= left.get(place, 0) and left.pop(place, None) is not None:
                    reader.release(place)
    finally:
        reader.close()
    return b"".join(line + b"\n" for line in lines)


def _encode_record(record: Record) -> bytes:
    """A line. A key that is no text, or a value that is no JSON, stands in base64 beside it."""
    line: dict[str, Any] = {"partition": record.partition, "offset": record.offset, "key": None}
    line["value"] = None
    if record.key:
        try:
            line["key"] = record.key.decode()
        except UnicodeDecodeError:
            line["key_base64"] = base64.b64encode(record.key).decode()
    if record.value is not None:
        try:
            _any.decode(record.value)
            line["value"] = msgspec.Raw(record.value.replace(b"\n", b" "))  # JSON has none within strings
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            line["value_base64"] = base64.b64encode(record.value).decode()
    line["time"] = record.time
    return _encode(line)
