"""Calls over a real Kafka."""

from __future__ import annotations

import asyncio
import time

import pytest
from echo import LONG, Responder, create_topics

from plexstream.edge.calls.calls import Calls
from plexstream.edge.calls.loop import LoopCalls
from plexstream.log.open import open_log
from plexstream.model.errors import TimedOut, TooLarge
from plexstream.model.messages.message import TELL
from plexstream.model.topics.topics import Topics

pytestmark = pytest.mark.kafka


def test_asks_and_tells(kafka, topic_prefix):
    topics = Topics(topic_prefix)
    log = open_log(f"kafka://{kafka}")
    create_topics(log, topics)
    calls = Calls(log, topics)
    other = Calls(log, topics)
    with Responder(log, topics) as responder:
        assert calls.ask("account/alice", "deposit", b'{"amount":5}').result(LONG) == b'{"amount":5}'
        calls.tell("account/alice", "note", b"{}").result(LONG)

        async def many():
            mine, others = LoopCalls(calls), LoopCalls(other)
            payloads = [b"%d" % i for i in range(2000)]
            asked = [(mine if i % 2 else others).ask(f"a/{i % 50}", "c", p) for i, p in enumerate(payloads)]
            assert await asyncio.gather(*asked) == payloads

        asyncio.run(many())
        sink = Sink()
        calls.append(topics.mailbox, 0, [(b"k", b"x" * (1 << 21))], sink=sink, waiter=None)
        assert isinstance(sink.outcome(), TooLarge)
        assert calls.ask("account/alice", "deposit", b"6").result(LONG) == b"6"
    assert [m.handler for m in responder.seen if m.kind == TELL] == ["note"]
    assert calls.appender_failures == 0
    calls.close()
    other.close()
    log.close()


class Sink:
    def __init__(self):
        self._done = []

    def deliver(self, done):
        self._done += done

    def outcome(self):
        deadline = time.monotonic() + LONG
        while not self._done:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return self._done[0][2]


def test_a_broker_that_is_killed_and_comes_back(local_broker, topic_prefix):
    topics = Topics(topic_prefix)
    log = open_log(f"kafka://{local_broker.address}")
    create_topics(log, topics)
    calls = Calls(log, topics)
    with Responder(log, topics) as responder:
        assert calls.ask("account/alice", "deposit", b"1").result(LONG) == b"1"
        local_broker.kill()
        with pytest.raises(TimedOut, match="may still take effect"):
            calls.ask("account/alice", "deposit", b"2", timeout=0.3).result(LONG)
        kept = calls.tell("account/alice", "note", b"3", timeout=60)
        asked = calls.ask("account/alice", "deposit", b"4", timeout=60)
        local_broker.start()
        kept.result(60)
        assert asked.result(60) == b"4"
        # The call that timed out took effect all the same, before those that were made after it.
        assert [m.payload for m in responder.seen] == [b"1", b"2", b"3", b"4"]
    calls.close()
    log.close()
