"""Records that are none, in every topic: service goes on, and each bad message is in `deadletter` once."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from load import committed
from nodes import Cluster
from serving import PARTITIONS, Served, until

from plexstream.log.base import Item, Place, TopicSpec
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.model.messages.address import full, partition_of
from plexstream.model.messages.message import ASK, REPLY, TELL, DeadLetter, Envelope
from plexstream.model.topics.topics import Topics
from plexstream.node.partition.sums.snapshots import PARTITION_KEY, snapshot_key
from plexstream.schema.codec import decode_dead_letter, encode_envelope, encode_snapshot

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

HUGE = b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"  # a varint: some 10^18


def bad_values(good: bytes, other: bytes) -> list[bytes | None]:
    """What is not the record `good`, nor any other of its kind."""
    random_ = random.Random(8)
    return [
        None,
        b"",
        b"\x00",
        b"\xc3\x01",
        random_.randbytes(3),
        random_.randbytes(500),
        b'{"this": "is JSON"}',
        other,
        good[:10],  # the fingerprint alone
        *(good[:cut] for cut in random_.sample(range(11, len(good)), 5)),
        good + b"\x00",
        good[:10] + HUGE,
        good[:11] + HUGE + good[12:],
        good[:11] + b"\x01" + good[12:],  # a negative length
        good[:10] + b"\xff" * 40,
        good[:10] + b"\x00\x04\xff\xfe" + good[12:],  # text that is no UTF-8
    ]


def append(cluster: Cluster, place: Place, items: Sequence[Item]) -> range:
    """Write records; returns their offsets."""
    appender = cluster.log.appender()
    appender.append(place, items, None)
    acks = until("the records are written", lambda: appender.poll(0.5))
    assert acks[0].error is None, acks[0].error
    appender.close()
    return range(acks[0].offset - len(items) + 1, acks[0].offset + 1)


def letters(cluster: Cluster, number: int) -> list[DeadLetter]:
    """All dead letters, as soon as there are so many."""
    topic = Topics(cluster.prefix).deadletter
    until("dead letters", lambda: len(committed(cluster.log, topic)) >= number)
    return [decode_dead_letter(value) for value in committed(cluster.log, topic)]


def tell(to: str, handler: str = "receive", payload: bytes = b'{"text": "x"}', **more: object) -> Envelope:
    return Envelope(TELL, "an-id", full(to), handler, payload)._replace(**more)  # type: ignore[arg-type]


def home(target: str) -> int:
    return partition_of(full(target), PARTITIONS)


def serves(node: Served) -> None:
    """Actors of every partition answer."""
    for number in range(12):
        answer = node.ask(f"trouble/{number}", "slow", seconds=0)
        assert answer.status_code == 200, answer.text


def restart_without_stores(node: Served) -> None:
    assert node.terminate() == 0
    shutil.rmtree(node.folder / "state")
    node.start().ready(PARTITIONS)


def test_the_mailbox(cluster: Cluster) -> None:
    node = cluster.node().ready(PARTITIONS)
    topics = Topics(cluster.prefix)
    good = encode_envelope(tell("trouble/a"))
    snapshot = encode_snapshot(Snapshot(0, full("trouble/a"), "", None, 1, 1, 1, b"{}"))
    bad = bad_values(good, snapshot)
    expected: Counter[tuple[int, str]] = Counter()
    for partition in range(PARTITIONS):
        offsets = append(cluster, (topics.mailbox, partition), [(b"key", value) for value in bad])
        expected.update((offset, "malformed") for offset in offsets)

    messages = [
        (home("trouble/a"), tell("trouble/a")),  # the one good message
        ((home("trouble/a") + 1) % PARTITIONS, tell("trouble/a"), "bad_arguments"),  # another's partition
        (0, tell("trouble/a", target="trouble/a"), "bad_arguments"),  # not in the full form
        (0, tell("trouble/a", target=""), "bad_arguments"),
        (0, tell("trouble/a", target="a/b/c/d/e"), "bad_arguments"),
        (0, tell("trouble/a", target="\n\x00/" * 300), "bad_arguments"),
        (home("nobody/a"), tell("nobody/a"), "unknown_type"),
        (home("trouble/a"), tell("trouble/a", "nothing"), "unknown_handler"),
        (home("trouble/a"), tell("trouble/a", payload=b'{"other": 1}'), "bad_arguments"),
        (home("trouble/a"), tell("trouble/a", payload=b'{"text": 5}'), "bad_arguments"),
        (home("trouble/a"), tell("trouble/a", payload=b"\xff no JSON"), "bad_arguments"),
        (home("trouble/a"), tell("trouble/a", payload=b""), "bad_arguments"),
        (home("trouble/a"), tell("trouble/a", payload=b"[" * 100_000), "bad_arguments"),
        (home("trouble/a"), tell("trouble/a", kind=REPLY), "bad_arguments"),
        # Whoever asks must say whom to answer; nobody is told, and nothing breaks.
        (home("trouble/a"), tell("trouble/a", kind=ASK, reply_to="")),
        (home("trouble/a"), tell("trouble/a", "nothing", kind=ASK, reply_to="no\x00body")),
    ]  # fmt: skip
    for partition, message, *reason in messages:
        [offset] = append(cluster, (topics.mailbox, partition), [(b"key", encode_envelope(message))])
        expected.update((offset, text) for text in reason)

    found = letters(cluster, expected.total())
    assert Counter((letter.cause_offset, letter.reason) for letter in found) == expected
    assert all(letter.detail for letter in found)
    raw = {letter.payload for letter in found if letter.reason == "malformed"}
    assert raw == {value or b"" for value in bad}
    serves(node)
    restart_without_stores(node)
    serves(node)
    assert len(letters(cluster, expected.total())) == expected.total()
    assert node.report("trouble/a") == 2  # the tell, and the ask that nobody hears of


def test_the_other_topics(cluster: Cluster) -> None:
    node = cluster.node().ready(PARTITIONS)
    topics = Topics(cluster.prefix)
    serves(node)
    good = encode_envelope(tell("trouble/a"))
    other = encode_snapshot(Snapshot(0, full("trouble/a"), "", None, 1, 1, 1, b"{}"))
    random_ = random.Random(9)
    numbers = b"a\x00" + b"9" * 5000 + b"\x00\x00"
    keys = [b"", b"\xff\xfe", b"a\x00b", b"\xff\x000\x00\x00", numbers, b"\x00restore"]
    for topic in (topics.journal, topics.snapshot, topics.reply, topics.deadletter):
        for partition in range(PARTITIONS):
            # A tombstone with a key of its own would delete: that is no malformed record.
            values = bad_values(other, good) if topic == topics.snapshot else bad_values(good, other)
            items = [(random_.choice(keys), value) for value in values]
            items += [(key, None) for key in keys]
            append(cluster, (topic, partition), items)
            serves(node)
    append(cluster, (topics.control, 0), [(b"key", value) for value in bad_values(good, other) if value])
    # A piece that says how far a partition is, and cannot be read.
    for partition in range(PARTITIONS):
        piece = encode_snapshot(Snapshot(Piece.PARTITION, "", "", None, 1, 0, 0, b"nothing"))
        append(cluster, (topics.snapshot, partition), [(snapshot_key(PARTITION_KEY), piece)])
    serves(node)
    counts = [node.report(f"trouble/{number}") for number in range(12)]
    restart_without_stores(node)
    assert [node.report(f"trouble/{number}") for number in range(12)] == counts
    serves(node)


def test_a_source(cluster: Cluster) -> None:
    source = f"{cluster.prefix}source"
    cluster.log.create([TopicSpec(source, 2, {"max.message.bytes": "3000000"})])
    node = cluster.node(env={"FAULTS_TOPIC": source}).ready(PARTITIONS)
    bad: list[tuple[bytes | None, str]] = [
        (None, "malformed"),
        (b"", "malformed"),
        (b"no JSON", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[1, 2]", "malformed"),
        (b"{}", "malformed"),
        (b'{"id": "a/b"}', "malformed"),
        (b'{"id": ""}', "malformed"),
        (b'{"id": "\\ud800"}', "malformed"),
        (b'{"id": null}', "malformed"),
        (b'{"id": 1.5}', "malformed"),
        (b"[" * 100_000, "malformed"),
        (json.dumps({"id": "x" * 5000}).encode(), "bad_arguments"),
        (b'{"id": "a", "text": 5}', "bad_arguments"),
        (b'{"id": "a", "more": 5}', "bad_arguments"),
        (json.dumps({"id": "a", "text": "x" * 1_100_000}).encode(), "malformed"),  # too large
    ]
    good = (b"key", json.dumps({"id": "a", "text": "x" * 1_048_500}).encode())  # just below the limit
    for partition in range(2):
        append(cluster, (source, partition), [(b"key", value) for value, _ in bad])
        append(cluster, (source, partition), [good] * 3)
    found = letters(cluster, 2 * len(bad))
    assert Counter(letter.reason for letter in found) == Counter([reason for _, reason in bad] * 2)
    until("the good ones arrive", lambda: node.report("sink/a") == 6)
    restart_without_stores(node)
    append(cluster, (source, 0), [good])
    until("another one arrives", lambda: node.report("sink/a") == 7)
    assert len(letters(cluster, 2 * len(bad))) == 2 * len(bad)


def test_malformed_records_are_named_in_the_log(cluster: Cluster, tmp_path: Path) -> None:
    node = cluster.node().ready(PARTITIONS)
    serves(node)
    topics = Topics(cluster.prefix)
    [offset] = append(cluster, (topics.journal, 0), [(b"", b"nothing of a journal")])
    serves(node)
    restart_without_stores(node)
    assert f"{topics.journal}[0] offset {offset} counts for nothing" in node.log()
