"""A lag that is not known is not called 0."""

from __future__ import annotations

import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from installation import wait_until

from plexstream.log.base import TopicSpec
from plexstream.log.memory.memory import MemoryLog
from plexstream.node.ingest.sources import subscribed
from plexstream.node.running.lags import Lags
from plexstream.node.running.node import Node
from plexstream.node.setup.config import Config

APP = '''
from plexstream import actor, handler, state, subscribe

@subscribe("readings", key="id", handler="take", into="reading")
@actor
class Meter:
    count: int = state(default=0)

    @handler("take")
    def take(self, reading: dict) -> None:
        self.count += 1

    @handler("hold")
    def hold(self) -> None:
        HELD.set()
        GO_ON.wait(30)


HELD = GO_ON = None
'''


def status(node: Node) -> dict[str, Any]:
    """As of now."""
    node.refresh().result(10)
    return node.status()


def test_records_of_a_topic_that_ingest_has_not_begun_with_are_no_lag_of_0(tmp_path: Path, monkeypatch):
    file = tmp_path / "meter.py"
    file.write_text(APP)
    node = Node(Config(app=file, data=tmp_path / "data", partitions=2, http_port=0))
    try:
        node.start()
        wait_until(lambda: status(node)["lag"] == 0)  # there is no such topic: nothing to feed
        monkeypatch.setattr(subscribed, "LOOK_S", 1e9)
        node.log.create([TopicSpec("readings", 3, {})])
        appender = node.log.appender()
        appender.append(("readings", 2), [(b"", b'{"id": "m"}')] * 5, None)
        wait_until(lambda: bool(appender.poll(0.1)))
        appender.close()
        wait_until(lambda: [row["ingest_lag"] for row in status(node)["partitions"]] == [None, None])
        assert status(node)["lag"] is None
        monkeypatch.setattr(subscribed, "LOOK_S", 0.0)
        wait_until(lambda: status(node)["lag"] == 0)
        assert sum(row["position"] for row in node.status()["partitions"]) == 5
    finally:
        node.stop()


def test_lags_are_those_of_now_however_long_nobody_has_looked(tmp_path: Path):
    file = tmp_path / "meter.py"
    file.write_text(APP)
    node = Node(Config(app=file, data=tmp_path / "data", partitions=1, http_port=0))
    held, go_on = threading.Event(), threading.Event()
    module = sys.modules[next(iter(node.types.values())).cls.__module__]
    module.HELD, module.GO_ON = held, go_on
    try:
        node.start()
        wait_until(lambda: node.status()["ready"] and status(node)["lag"] == 0)
        node.calls.tell("meter/m", "hold", b"{}").result(10)
        assert held.wait(10)
        for _ in range(7):
            node.calls.tell("meter/m", "take", b'{"reading": {}}').result(10)
        text = httpx.get(f"{node.server.url}/metrics").text  # the first look since the lag was none
        assert re.search(r"^plexstream_mailbox_lag{[^}]*} [78]\.0$", text, re.M), text
        assert httpx.get(f"{node.server.url}/v1/status").json()["partitions"][0]["mailbox_lag"] >= 7
    finally:
        go_on.set()
        node.stop()


def test_an_end_that_is_old_says_nothing_of_now(monkeypatch):
    log = MemoryLog()
    log.create([TopicSpec("m", 1, {})])
    lags = Lags(log, "m", 1, [])
    lags.start()
    lags.fresh().result(10)
    assert lags.behind(("m", 0), 0) == 0
    assert not lags.lost_s()
    now = time.monotonic()
    monkeypatch.setattr("plexstream.node.running.lags.time.monotonic", lambda: now + 60)
    lags.stop()
    lags.thread.join()
    assert lags.behind(("m", 0), 0) is None
    assert lags.lost_s() > 50
