"""What stands in a journal twice, as librdkafka or a broker may put it there, counts once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer
from load import committed, read
from nodes import Cluster, Start
from serving import PARTITIONS, Served, until

from plexstream.log.base import Item, Log, Place
from plexstream.log.open import open_log
from plexstream.model.journal.journal import Claim
from plexstream.schema.codec import decode_journal

pytestmark = pytest.mark.slow
LEDGERS = 6


def reigns(log: Log, topic: str) -> dict[Place, list[Item]]:
    """What each journal has behind its latest claim."""
    found = {}
    for partition in range(PARTITIONS):
        place = (topic, partition)
        records = [record for batch in read(log, place, *log.range(place)) for record in batch]
        claims = [n for n, r in enumerate(records) if type(decode_journal(r.value or b"")) is Claim]
        found[place] = [(r.key, r.value) for r in records[claims[-1] + 1 :]]
    return found


def claims(log: Log, topic: str) -> int:
    batches = [
        batch for p in range(PARTITIONS) for batch in read(log, (topic, p), *log.range((topic, p)))
    ]
    return sum(type(decode_journal(record.value or b"")) is Claim for batch in batches for record in batch)


def add(node: Served, number: int) -> None:
    for n in range(LEDGERS):
        answer = node.ask(f"ledger/{n}", "add", caller="a", number=number)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"count": number + 1}


def reckon(node: Served, rounds: int, outputs: Callable[[], list[dict[str, Any]]]) -> None:
    counts = {f"ledger/{n}": rounds for n in range(LEDGERS)}
    expected = {"total": rounds * LEDGERS, "disorder": 0, "counts": counts}
    for tally in ("tally/a", "tally/all"):
        until(tally, lambda t=tally: node.report(t)["total"] >= rounds * LEDGERS)
        assert node.report(tally) == expected
    for ledger in counts:
        report = node.report(ledger)
        assert (report["count"], report["doubles"], report["disorder"]) == (rounds, 0, 0), ledger
    until("every output", lambda: len(outputs()) >= rounds * LEDGERS, 60)
    found = sorted((o["ledger"], o["count"]) for o in outputs())
    assert found == [(ledger, count) for ledger in counts for count in range(1, rounds + 1)]


def test_on_the_embedded_log(serve: Start) -> None:
    node = serve("dev", "--partitions", str(PARTITIONS)).ready(PARTITIONS)

    def outputs() -> list[dict[str, Any]]:
        return [r["value"] for r in node.topic("plex.out.entries")]

    add(node, 0)
    add(node, 1)
    node.kill()
    log = open_log(f"embedded:{node.folder / 'log'}")
    appender = log.appender()
    for place, items in reigns(log, "plex.journal").items():
        appender.append(place, items, None)
        until("appended", lambda: appender.poll(0.1))
    appender.close()
    log.close()
    node.start().ready(PARTITIONS)
    add(node, 2)
    reckon(node, 3, outputs)


@pytest.mark.kafka
def test_on_kafka(cluster: Cluster) -> None:
    """Behind a node that serves, which goes on in its reign, and behind one that has ended."""
    node = cluster.node().ready(PARTITIONS)
    journal = f"{cluster.prefix}journal"
    producer = Producer({"bootstrap.servers": cluster.address})

    def copy() -> None:
        for (topic, partition), items in reigns(cluster.log, journal).items():
            for key, value in items:
                producer.produce(topic, value, key, partition)
        assert not producer.flush(20)

    add(node, 0)
    before = claims(cluster.log, journal)
    copy()
    add(node, 1)
    reckon(node, 2, lambda: [json.loads(o) for o in committed(cluster.log, f"{cluster.prefix}out.entries")])
    assert claims(cluster.log, journal) == before, "it has given up its reign"
    assert "once more" in node.log()
    node.kill()
    copy()
    node.start().ready(PARTITIONS)
    add(node, 2)
    reckon(node, 3, cluster.outputs)
