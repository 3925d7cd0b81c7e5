"""kill -9 while a topic feeds a space and callers write and take: the space's topic tells all of it, once."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from load import committed, read
from nodes import Cluster, Start
from serving import LONG, PARTITIONS, Served, until

from plexstream import Client
from plexstream.log.base import Log, TopicSpec
from plexstream.log.open import open_log
from plexstream.model.errors import PlexstreamError
from plexstream.model.messages.address import partition_of
from plexstream.model.messages.message import Applied
from plexstream.schema.codec import decode_applied, decode_dead_letter

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SPACE = "default/default/plex.space/jobs"
APP = """
from plexstream import actor, handler

@actor
class Nobody:
    @handler("nothing")
    def nothing(self) -> None: ...
"""
FEEDS = '[spaces.jobs]\nfrom = "{}"\n'
BAD = [b"{}", b"[1", b"[]", b"[" + b"0," * 64 + b"0]"]
"""No JSON list, no JSON, no tuple, and one that the space itself refuses."""


class Callers:
    """Those who write and take, and repeat each call under its key until it has an answer."""

    def __init__(self, node: Served) -> None:
        self.node = node
        self.written: list[Any] = []
        self.taken: list[Any] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(3)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(LONG)

    def more(self, calls: int) -> None:
        wanted = len(self.written) + calls
        until("more calls", lambda: len(self.written) >= wanted, 90)

    def _run(self, own: int) -> None:
        with Client(self.node.url) as client:
            number = 0
            while not self._stop.is_set():
                number += 1
                one = ["called", own, number]
                ttl = 0.5 if number % 5 == 0 else None
                self._call(client, f"w{own}.{number}", "write", tuple=one, ttl=ttl)
                self.written.append(one)
                if number % 3 == 0:
                    pattern = [["called", own, None], ["fed", None]][number % 2]
                    found = self._call(client, f"t{own}.{number}", "take", pattern=pattern, wait=0)
                    if found is not None:
                        self.taken.append(found["tuple"])

    def _call(self, client: Client, key: str, handler: str, **arguments: Any) -> Any:
        while True:
            try:
                return client.ask("plex.space/jobs", handler, arguments, timeout=5.0, idempotency_key=key)
            except PlexstreamError:
                if self._stop.wait(0.05) and self.node.status() is None:
                    raise


def told(log: Log, topic: str) -> list[Applied]:
    """What the topic has of the space, in order; it stands in the space's own partition alone."""
    home = partition_of(SPACE, PARTITIONS)
    found = []
    for partition in range(log.partitions(topic) or 0):
        place = (topic, partition)
        for batch in read(log, place, *log.range(place), committed=True):
            assert partition == home
            assert {record.key.decode() for record in batch} == {SPACE}
            found += [decode_applied(record.value or b"") for record in batch]
    return found


def content(records: Iterable[Applied]) -> list[Any]:
    """What is in the space, by its topic."""
    entries: dict[int, Any] = {}
    for record in records:
        if record.op in ("out", "renew"):
            entries[record.entry] = json.loads(record.tuple)
        else:
            assert json.loads(record.tuple) == entries.pop(record.entry)
    return list(entries.values())


def reckon(callers: Callers, fed: list[Any], records: list[Applied]) -> None:
    """Each change is told once, in its order: what was written, and what was taken."""
    assert [record.number for record in records] == list(range(1, len(records) + 1))
    wrote = Counter(record.tuple for record in records if record.op == "out")
    acknowledged = Counter(json.dumps(one, separators=(",", ":")) for one in [*callers.written, *fed])
    assert acknowledged - wrote == Counter()
    assert all(count == 1 for count in wrote.values())
    # Each caller may have been cut off in one call.
    assert (wrote - acknowledged).total() <= 3
    took = Counter(record.tuple for record in records if record.op == "in")
    had = Counter(json.dumps(one, separators=(",", ":")) for one in callers.taken)
    assert had - took == Counter()
    assert (took - had).total() <= 3


def in_the_space(node: Served) -> list[Any]:
    """What the space itself says."""
    found: list[Any] = []
    for pattern in (["called", None, None], ["fed", None]):
        after = None
        while True:
            answer = node.ask("plex.space/jobs", "read_all", pattern=pattern, limit=1000, after=after)
            assert answer.status_code == 200, answer.text
            page = answer.json()["result"] if "result" in answer.json() else answer.json()
            found += [entry["tuple"] for entry in page["entries"]]
            after = page["after"]
            if after is None:
                break
    return sorted(found)


def all_told(node: Served) -> bool:
    status = node.status() or {}
    return bool(status.get("ready")) and status.get("lag") == 0


def refused(log: Log, topic: str) -> list[tuple[str, bytes]]:
    return [(letter.reason, letter.payload) for letter in map(decode_dead_letter, committed(log, topic))]


def check_letters(letters: list[tuple[str, bytes]]) -> None:
    """Each bad record is there once, with a reason."""
    assert sorted(reason for reason, _ in letters) == ["malformed", "malformed", "malformed", "rejected"]
    assert sorted(payload for reason, payload in letters if reason == "malformed") == sorted(BAD[:3])


def run(
    node: Served, give: Callable[[list[bytes]], None], kill: Callable[[int], None]
) -> tuple[Callers, list[Any]]:
    fed: list[Any] = []
    with Callers(node) as callers:
        for round in range(5):
            some = [["fed", round * 100 + number] for number in range(100)]
            values = [json.dumps(one).encode() for one in some]
            if round < len(BAD):
                values.insert(50, BAD[round])
            give(values)
            fed += some
            callers.more(40)
            kill(round)
        callers.more(40)
    until("all is done", lambda: all_told(node), 90)
    return callers, fed


@pytest.mark.kafka
def test_on_kafka(cluster: Cluster, tmp_path: Path) -> None:
    topic, source = f"{cluster.prefix}tuplespace", f"{cluster.prefix}orders"
    config = tmp_path / "plexstream.toml"
    config.write_text(FEEDS.format(source))
    (tmp_path / "app.py").write_text(APP)
    node = cluster.node("node", 2, "--config", str(config), app=tmp_path / "app.py").ready(PARTITIONS)
    random_ = random.Random(3)

    def give(values: list[bytes]) -> None:
        appender = cluster.log.appender()
        for half in (0, 1):
            appender.append((source, half), [(b"", value) for value in values[half::2]], None)
        acks: list[Any] = []
        until("the source has them", lambda: acks.extend(appender.poll(0.1)) or len(acks) == 2)
        assert [ack.error for ack in acks] == [None, None]
        appender.close()

    def kill(round: int) -> None:
        if round == 3:
            node.kill_all()
            node.start()
        else:
            node.kill_worker(random_)

    cluster.log.create([TopicSpec(source, 2)])
    callers, fed = run(node, give, kill)
    until("all of it is told", lambda: sorted(content(told(cluster.log, topic))) == in_the_space(node))
    records = told(cluster.log, topic)
    reckon(callers, fed, records)
    assert sorted(content(records)) == in_the_space(node)
    check_letters(refused(cluster.log, f"{cluster.prefix}deadletter"))
    # Somebody with nothing but Kafka's client, an Avro library and the schema.
    page = (ROOT / "docs" / "schemas.md").read_text()
    (script,) = re.findall(r"<!-- file: read_spaces.py -->\n```python\n(.*?)```", page, re.S)
    (tmp_path / "read_spaces.py").write_text(script)
    (tmp_path / "tuplespace.avsc").write_bytes((ROOT / "schemas" / "avro" / "tuplespace.avsc").read_bytes())
    said = subprocess.run(
        [sys.executable, "-I", "read_spaces.py", cluster.address, topic, "tuplespace.avsc"], cwd=tmp_path,
        capture_output=True, text=True, timeout=120, check=True, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert said.stderr == ""
    address, _, listed = said.stdout.strip().partition(" ")
    assert address == SPACE
    assert sorted(json.loads(listed)) == in_the_space(node)


def test_on_the_embedded_log(serve: Start, tmp_path: Path) -> None:
    config = tmp_path / "plexstream.toml"
    config.write_text(FEEDS.format("orders"))
    (tmp_path / "app.py").write_text(APP)
    options = "--partitions", str(PARTITIONS), "--config", str(config)
    node = serve("dev", *options, app=tmp_path / "app.py").ready(PARTITIONS)

    def give(values: list[bytes]) -> None:
        bad = [value for value in values if value in BAD[1:2]]
        lines = [b'{"key":null,"value":%b}' % (b'"no list"' if value in bad else value) for value in values]

        def posted() -> bool:
            headers = {"Content-Type": "application/json"}
            url = f"{node.url}/v1/topics/orders"
            return httpx.post(url, content=b"\n".join(lines), headers=headers, timeout=LONG).is_success

        until("the source has them", posted)

    def kill(round: int) -> None:
        node.kill()
        node.start().ready(PARTITIONS)

    callers, fed = run(node, give, kill)
    there = in_the_space(node)
    assert node.terminate() == 0
    log = open_log(f"embedded:{node.folder / 'log'}")
    try:
        records = told(log, "plex.tuplespace")
        letters = refused(log, "plex.deadletter")
    finally:
        log.close()
    reckon(callers, fed, records)
    assert [one for one in sorted(content(records)) if one not in there] == []
    check_letters([(reason, BAD[1] if payload == b'"no list"' else payload) for reason, payload in letters])
