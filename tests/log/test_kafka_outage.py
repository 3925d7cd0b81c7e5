"""What is said of brokers that are away."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import KafkaError

from plexstream.log.base import TopicSpec
from plexstream.log.kafka.common import outage
from plexstream.log.kafka.common.outage import QUIET_S, Outage
from plexstream.log.kafka.log import KafkaLog

REFUSED = KafkaError(KafkaError._TRANSPORT, "connection refused")
ALL_DOWN = KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")
NO_LOGIN = KafkaError(KafkaError._AUTHENTICATION, "wrong password")


@pytest.fixture
def said(caplog):
    caplog.set_level("INFO", "plexstream.kafka")
    return lambda: [r.getMessage() for r in caplog.records if r.name == "plexstream.kafka"]


def test_a_line_when_it_begins_and_one_when_it_is_over(said):
    now = [0.0]
    away = Outage("a reader", lambda: now[0])
    away.look()
    for _ in range(2):
        for _ in range(100):
            now[0] += QUIET_S - 0.1
            away.look()
            away.error(REFUSED)
            away.error(ALL_DOWN)
        away.look()
        now[0] += QUIET_S
        away.look()
        away.look()
        now[0] += 1000.0
    began, over, *again = said()
    assert began == "a reader: connection refused"
    assert over == f"a reader: no more errors, after {99 * (QUIET_S - 0.1):.1f} s of them"
    assert again == [began, over]


def test_another_kind_of_error_is_told_too(said):
    away = Outage("a reader", lambda: 0.0)
    for error in (REFUSED, NO_LOGIN, REFUSED, NO_LOGIN):
        away.error(error)
    assert said() == ["a reader: connection refused", "a reader: wrong password"]


@pytest.mark.kafka
def test_each_client_tells_of_an_outage_once(local_broker, topic_prefix, said, monkeypatch):
    log = KafkaLog(local_broker.address)
    place = (f"{topic_prefix}t", 0)
    log.create([TopicSpec(place[0], 1)])
    reader, appender = log.reader(), log.appender()
    reader.assign(place, 0)
    appender.append(place, [(b"", b"before")], None)

    def told(client: str) -> list[str]:
        return [line for line in said() if line.split(": ")[0].endswith(f", {client}")]

    def use_until(done) -> None:
        end = time.monotonic() + 60
        while not done():
            assert time.monotonic() < end, said()
            reader.read(10, 0.05)
            appender.poll(0.05)

    try:
        use_until(lambda: reader._positions[place] == 1)
        local_broker.kill()
        use_until(lambda: told("reader") and told("appender"))
        for _ in range(80):  # 8 s, in which each of them tries to connect several times
            reader.read(10, 0.05)
            appender.poll(0.05)
        assert [len(told("reader")), len(told("appender"))] == [1, 1]
        local_broker.start()
        appender.append(place, [(b"", b"after")], None)
        use_until(lambda: reader._positions[place] == 2)
        # What has been tried is that it is not over before. A broker may take longer than this to start.
        monkeypatch.setattr(outage, "QUIET_S", 5.0)
        use_until(lambda: len(told("reader")) == len(told("appender")) == 2)
    finally:
        reader.close()
        appender.close()
        log.close()
    # Clients that ask, for a reader that hears nothing, tell for themselves.
    assert all("no more errors" in told(client)[1] for client in ("reader", "appender"))
