"""Compares what is compiled for records with its twin in Python, by seeds. A program."""

import random
import sys

from plexstream.log.base import Record
from plexstream.log.embedded.files import format as form
from plexstream.log.memory import local
from plexstream.model.errors import TopicMissing

COUNTS = {"a": 1, "b": 4, "many": 300}


class Text(str):
    """No plain text."""


class Raw(bytes):
    """No plain bytes."""


def content(random, odd):
    """Bytes of a key or a value; with `odd` perhaps of another class."""
    data = random.randbytes(random.choice([0, 1, 2, 3, 4, 5, 30, 3000]))
    return Raw(data) if odd and random.random() < 0.05 else data


def some_items(random, odd):
    found = [
        (content(random, odd), None if random.random() < 0.2 else content(random, odd))
        for _ in range(random.choice([0, 1, 2, 50]))
    ]
    return tuple(found) if odd and random.random() < 0.1 else found


def some_records(random, odd):
    """Records of a transaction, some of which nobody takes."""
    topics = ["".join(random.choice([*COUNTS])) for _ in range(3)]  # not always the same object
    if odd:
        topics += ["missing", Text("b")]
    return [
        (
            random.choice(topics),
            random.choice([None, None, 0, 3] + ([-1, 1 << 70] if odd else [])),
            content(random, odd),
            None if random.random() < 0.2 else content(random, odd),
        )
        for _ in range(random.choice([0, 1, 2, 80]))
    ]


def outcome(call, *arguments):
    """What a call comes to."""
    try:
        found = call(*arguments)
    except TopicMissing as error:
        return str(error)
    if isinstance(found, dict):
        return [*found.items()]
    return [(type(one), one) for one in found] if isinstance(found, list) else found


def both(module, call, *arguments):
    """What it comes to with what is compiled, and without."""
    compiled = module.RECORDS
    found = outcome(call, *arguments)
    module.RECORDS = None
    try:
        expected = outcome(call, *arguments)
    finally:
        module.RECORDS = compiled
    assert found == expected, (call.__name__, arguments, found, expected)
    return expected


def run(seed):
    """Compare a few of each."""
    rng = random.Random(seed)
    for _ in range(20):
        odd = rng.random() < 0.3
        first, time = rng.choice([0, 7, 1 << 40]), rng.choice([-1, 0, 1 << 41])
        items = some_items(rng, odd)
        data = both(form, form.encode_records, first, time, items)
        assert both(form, form.decode_records, ("t", 3), data) == [
            (Record, Record("t", 3, first + n, key, value, time)) for n, (key, value) in enumerate(items)
        ]
        both(form, form.decode_records, ("t", 3), data, first + rng.randrange(-1, 60), rng.randrange(60))
        both(local, local.by_place, some_records(rng, odd), COUNTS.get)


def damaged(seed):
    """Bytes that no checksum would vouch for are nothing to what is compiled, and harm nothing."""
    rng = random.Random(seed)
    data = bytearray(form.encode_records(0, 5, some_items(rng, False)))
    for _ in range(rng.randrange(3)):
        if data:
            data[rng.randrange(len(data))] = rng.choice([0, 127, 128, 255])
    cut = bytes(data[: rng.randrange(len(data) + 1)])
    form.RECORDS.decode(Record, "t", 0, cut, 0, 100)


if __name__ == "__main__":
    for seed in range(int(sys.argv[1]), int(sys.argv[2])):
        run(seed)
        if form.RECORDS is not None:
            damaged(seed)
    print("compiled" if form.RECORDS is not None and local.RECORDS is not None else "python")
