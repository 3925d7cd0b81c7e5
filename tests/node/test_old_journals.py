"""Journals of versions whose records have no numbers: they count, and what is written now has numbers."""

import io

import fastavro
import pytest
from installation import PARTITIONS, Installation, wait_until

from plexstream.log.memory.memory import MemoryLog
from plexstream.model.journal.journal import Claim, Mark, Turn
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.records.encode import journal_items
from plexstream.node.setup import topology
from plexstream.schema import avro
from plexstream.schema.codec import decode_journal

T = Topics("test.")
JOURNALS = [(T.journal, partition) for partition in range(PARTITIONS)]


def records(log, place):
    reader = log.reader()
    at, end = log.range(place)
    reader.assign(place, at)
    found = []
    while at < end:
        found += reader.read(1000, 1.0)
        at = found[-1].offset + 1
    return found


def of_before(value):
    """The record as the version before wrote it."""
    name = type(decode_journal(value)).__name__
    if name == "Claim":
        return value
    before, written = [(p, s) for p, s in avro._versions(name).items() if p != avro.prefix(name)][-1]
    body = io.BytesIO()
    fastavro.schemaless_writer(body, written, avro.decode(name, value))
    return before + body.getvalue()


@pytest.mark.parametrize("keep", [True, False], ids=["with its store", "without"])
def test_a_journal_of_before_is_gone_on_with(tmp_path, keep):
    log, old = MemoryLog(), MemoryLog()
    with Installation(log, tmp_path / "a") as i:
        for amount in (1, 2):
            i.ask("account/1", "deposit", amount=amount)
    topology.apply(old, T, PARTITIONS)
    for topic in (T.mailbox, T.journal):
        for partition in range(PARTITIONS):
            for record in records(log, (topic, partition)):
                value = of_before(record.value) if topic == T.journal else record.value
                old.append_now((topic, partition), [(record.key, value)])
    written = [decode_journal(r.value) for place in JOURNALS for r in records(old, place)]
    assert {r.ordinal for r in written if type(r) is not Claim} == {0}
    with Installation(old, tmp_path / "b") as i:
        assert i.ask("account/1", "deposit", amount=4) == {"balance": 7}
    with Installation(old, tmp_path / ("b" if keep else "c")) as i:
        assert i.ask("account/1", "deposit", amount=8) == {"balance": 15}


def test_each_reign_numbers_what_it_writes(tmp_path):
    log = MemoryLog()
    for _ in range(2):
        with Installation(log, tmp_path) as i:
            for _ in range(3):
                i.ask("account/1", "deposit", amount=1)
    reigns = {}
    for place in JOURNALS:
        for record in records(log, place):
            found = decode_journal(record.value)
            if type(found) is not Claim:
                reigns.setdefault((place, found.claim), []).append(found.ordinal)
    assert len(reigns) > 1
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in reigns.values())


def test_what_is_missing_is_told_and_what_follows_is_done_again(tmp_path, caplog):
    log, cut = MemoryLog(), MemoryLog()
    with Installation(log, tmp_path / "a") as i:
        for amount in (1, 2, 4):
            i.ask("account/1", "deposit", amount=amount)
    topology.apply(cut, T, PARTITIONS)
    lost = 0
    for place in JOURNALS:
        for record in records(log, place):
            found = decode_journal(record.value)
            if type(found) is Turn and found.patch and found.patch[0].value == b"3":
                lost = record.offset
                (void,) = journal_items([Mark(-2, 0, (), 0, 0, -1, "", False)])
                cut.append_now(place, [void])
                continue
            cut.append_now(place, [(record.key, record.value)])
    for place in [(T.mailbox, partition) for partition in range(PARTITIONS)]:
        for record in records(log, place):
            cut.append_now(place, [(record.key, record.value)])
    assert lost
    with Installation(cut, tmp_path / "b") as i:
        wait_until(lambda: i.ask("account/1", "balance") == 7)
    assert f"offset {lost + 1} is record" in caplog.text
    assert "of it is not there" in caplog.text
