"""A deadline of 1 s is 1 s, whatever a broker does."""

from __future__ import annotations

import os
import signal
import time

import pytest

from plexstream.edge.calls.calls import Calls
from plexstream.log.kafka.log import KafkaLog
from plexstream.model.errors import LogUnavailable, TimedOut
from plexstream.model.topics.topics import Topics
from plexstream.node.setup import topology

FAR = 10.0
"""Far beyond a deadline of 1 s, and far below librdkafka's and the log's own time limits, 15 s and more."""


def test_the_first_calls_while_the_broker_does_not_answer_end_at_their_deadlines(local_broker, topic_prefix):
    log, topics = KafkaLog(local_broker.address), Topics(topic_prefix)
    topology.apply(log, topics, 2)
    calls = Calls(log, topics)
    broker = local_broker._process.pid
    os.kill(broker, signal.SIGSTOP)
    try:
        asked = []
        for _ in range(3):
            asked.append((time.monotonic(), calls.ask("a/x", "inc", b"{}", timeout=1.0)))
            time.sleep(0.2)
        for began, future in asked:
            with pytest.raises((LogUnavailable, TimedOut)):
                future.result(60)
            assert time.monotonic() - began < FAR
    finally:
        os.kill(broker, signal.SIGCONT)
    calls.close()
    log.close()
