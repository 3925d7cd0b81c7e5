"""A lag that is not known is not called 0."""

from __future__ import annotations

from pathlib import Path

from installation import wait_until

from plexstream.log.base import TopicSpec
from plexstream.node import ingest
from plexstream.node.config import Config
from plexstream.node.node import Node

APP = '''
from plexstream import actor, handler, state, subscribe

@subscribe("readings", key="id", handler="take", into="reading")
@actor
class Meter:
    count: int = state(default=0)

    @handler("take")
    def take(self, reading: dict) -> None:
        self.count += 1
'''


def test_records_of_a_topic_that_ingest_has_not_begun_with_are_no_lag_of_0(tmp_path: Path, monkeypatch):
    file = tmp_path / "meter.py"
    file.write_text(APP)
    node = Node(Config(app=file, data=tmp_path / "data", partitions=2, http_port=0))
    try:
        node.start()
        wait_until(lambda: node.status()["lag"] == 0)  # there is no such topic: nothing to feed
        monkeypatch.setattr(ingest, "LOOK_S", 1e9)
        node.log.create([TopicSpec("readings", 3, {})])
        appender = node.log.appender()
        appender.append(("readings", 2), [(b"", b'{"id": "m"}')] * 5, None)
        wait_until(lambda: bool(appender.poll(0.1)))
        appender.close()
        wait_until(lambda: [row["ingest_lag"] for row in node.status()["partitions"]] == [None, None])
        assert node.status()["lag"] is None
        monkeypatch.setattr(ingest, "LOOK_S", 0.0)
        wait_until(lambda: node.status()["lag"] == 0)
        assert sum(row["position"] for row in node.status()["partitions"]) == 5
    finally:
        node.stop()
