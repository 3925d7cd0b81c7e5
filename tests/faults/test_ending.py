"""A node that is told to end does so within 10 s, whatever hangs, and tells its callers."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from serving import Served, alive

from plexstream.testing.kafka.broker import LocalBroker

pytestmark = pytest.mark.slow
APP = Path(__file__).with_name("stubborn.py")
END_S = 10.0
"""What orchestrators give at the least before they kill."""


def asking(node: Served, handler: str) -> tuple[threading.Thread, list[object]]:
    """A call on a connection of its own."""
    found: list[object] = []

    def ask() -> None:
        answer = node.ask(f"stubborn/{handler}", handler, timeout=60)
        found.append((answer.status_code, answer.headers["content-type"], answer.json()["code"]))

    thread = threading.Thread(target=ask)
    thread.start()
    return thread, found


def ends(node: Served, number: signal.Signals) -> float:
    assert node.process is not None
    began = time.monotonic()
    node.process.send_signal(number)
    node.process.wait(60)
    return time.monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_with_a_handler_that_never_ends_and_open_connections(tmp_path: Path, number: signal.Signals) -> None:
    node = Served(tmp_path / "data", "dev", "--partitions", "2", app=APP)
    try:
        node.start().ready(2)
        calls = [asking(node, handler) for handler in ("waits", "hangs", "spin")]
        with socket.create_connection(("127.0.0.1", node.port)) as idle, \
                socket.create_connection(("127.0.0.1", node.port)) as half:  # fmt: skip
            half.sendall(b"POST /v1/actors/stubborn/a/fine HTTP/1.1\r\nhost: localhost\r\n")
            time.sleep(0.5)  # until the calls are under way
            assert ends(node, number) < END_S, node.log()
            assert b"shutting_down" in half.recv(65536)
            assert idle.recv(1) == b""
        for thread, found in calls:
            thread.join()
            assert found == [(503, "application/problem+json", "shutting_down")]
    finally:
        node.end()


@pytest.mark.kafka
def test_on_kafka_with_a_handler_that_never_ends(kafka, topic_prefix, tmp_path: Path) -> None:
    options = ["--kafka", kafka, "--prefix", topic_prefix, "--partitions", "2", "--workers", "2"]
    node = Served(tmp_path / "data", "run", *options, app=APP)
    try:
        node.start().ready(2)
        workers = node.workers()
        thread, found = asking(node, "spin")
        time.sleep(0.5)
        assert ends(node, signal.SIGTERM) < END_S, node.log()
        thread.join()
        assert json.dumps(found).count("shutting_down") == 1
        assert not any(map(alive, workers))
    finally:
        node.end()


@pytest.mark.kafka
def test_with_brokers_away(tmp_path: Path) -> None:
    with LocalBroker(tmp_path / "kafka") as broker:
        node = Served(tmp_path / "data", "run", "--kafka", broker.address, "--partitions", "2", app=APP)
        try:
            node.start().ready(2)
            workers = node.workers()
            broker.stop()
            thread, found = asking(node, "fine")
            until_not_ready(node)
            assert ends(node, signal.SIGTERM) < END_S, node.log()
            thread.join()
            assert [code for code, _, _ in found] == [503]  # type: ignore[misc]
            end = time.monotonic() + END_S
            while any(map(alive, workers)):
                assert time.monotonic() < end
                time.sleep(0.05)
        finally:
            node.end()


def until_not_ready(node: Served) -> None:
    """Brokers that are away for long are told, and take the node out of service."""
    end = time.monotonic() + 60
    while not any("has not answered" in reason for reason in (node.status() or {}).get("why", ())):
        assert time.monotonic() < end, node.status()
        time.sleep(0.2)
    assert not (node.status() or {})["ready"]
