"""The counter's work: what goes in, and what must come out."""

from __future__ import annotations

import random
from collections.abc import Iterable

import msgspec

from plexstream.model.messages.address import partition_of
from plexstream.model.messages.message import TELL, Envelope
from plexstream.schema.codec import encode_envelope

PARTITIONS = 4


class Output(msgspec.Struct):
    """An output record."""

    key: str
    count: int


decode_output = msgspec.json.Decoder(Output).decode


class Work:
    """Records of about 100 bytes over `keys` keys, the same in each run.

    Attributes:
        sent: how many of each key there were so far.
    """

    def __init__(self, keys: int) -> None:
        self.sent: dict[str, int] = {}
        self._keys = keys
        self._random = random.Random(1)
        self._number = 0

    def next(self) -> tuple[str, int, bytes]:
        """The next record: its key, the count that must come back, its value."""
        # Each key once before any comes twice: a run of `keys` records knows all of them.
        chosen = self._number if self._number < self._keys else self._random.randrange(self._keys)
        key = f"k{chosen:06d}"
        count = self.sent[key] = self.sent.get(key, 0) + 1
        self._number += 1
        value = b'{"key":"%s","seq":%07d,"amount":%d,"pad":"%s"}' % (
            key.encode(), self._number + 1_000_000, self._random.randrange(1000, 10000), b"x" * 38,
        )  # fmt: skip
        return key, count, value


def wrong(outputs: Iterable[bytes], sent: dict[str, int]) -> str:
    """What is wrong with the outputs; "" if each key's are 1, 2, …, n in this order."""
    seen: dict[str, int] = {}
    total = disorder = 0
    for value in outputs:
        record = decode_output(value)
        disorder += record.count != seen.get(record.key, 0) + 1
        seen[record.key] = max(record.count, seen.get(record.key, 0))
        total += 1
    low = sum(seen.get(key, 0) < n for key, n in sent.items())
    high = sum(seen.get(key, 0) > n for key, n in sent.items())
    due = sum(sent.values())
    if disorder or low or high or total != due:
        return (
            f"{low} keys counted too few, {high} too many, {disorder} outputs out of sequence, "
            f"{total} outputs for {due} inputs"
        )
    return ""


def mail(key: str, value: bytes, number: int, time_ms: int) -> tuple[bytes, bytes, int]:
    """The mailbox record of a piece of work: key, value, partition."""
    target = f"default/default/counter/{key}"
    envelope = Envelope(TELL, f"bench-{number}", target, "add", value, time=time_ms)
    return target.encode(), encode_envelope(envelope), partition_of(target, PARTITIONS)
