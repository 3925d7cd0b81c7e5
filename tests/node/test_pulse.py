"""A handler that runs long is told, with its name; one that never ends takes its node out of service."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
from installation import wait_until
from typer.testing import CliRunner

from plexstream.cli.app import app
from plexstream.cli.calls.running import held_up
from plexstream.node.running.node import Node
from plexstream.node.running.processes.supervisor import STALE_S, Supervisor, _Child, _late
from plexstream.node.setup.config import Config
from plexstream.node.worker.health.pulse import Pulse

BUSY = Path(__file__).with_name("busy.py")


class Seen:
    def __init__(self):
        self.now = 100.0
        self.rounds = 0
        self.turn = None
        self.pulse = Pulse(lambda: self.rounds, lambda: self.turn, 5.0, 30.0, lambda: self.now)

    def run(self, address, handler, seq=1):
        bound = SimpleNamespace(name=handler)
        self.turn = SimpleNamespace(address=address, bound=bound, seq=seq)

    def after(self, seconds):
        self.now += seconds
        return self.pulse.look()


def test_a_handler_is_told_now_and_then_and_in_the_end_its_worker_is_stuck(caplog):
    seen = Seen()
    seen.run("t/n/account/a", "deposit")
    assert seen.after(0.25) == ""
    assert seen.pulse.running is None
    assert seen.after(2) == ""
    assert seen.pulse.running == ("t/n/account/a", "deposit", 2.0)
    assert not caplog.text
    seen.after(4)
    assert "t/n/account/a: its handler deposit has been running for 6 s" in caplog.text
    seen.after(1)
    assert len(caplog.records) == 1
    seen.after(6)
    assert len(caplog.records) == 2
    assert "handler deposit has been running for 33 s" in seen.after(20)
    seen.turn = None
    seen.rounds += 1
    assert seen.after(0.25) == ""
    assert seen.pulse.running is None


def test_many_short_ones_are_not_a_long_one():
    seen = Seen()
    for seq in range(1000):
        seen.run("t/n/account/a", "deposit", seq)
        assert seen.after(0.25) == ""
        assert seen.pulse.running is None


def test_what_hangs_without_a_handler_is_told_as_well():
    seen = Seen()
    seen.after(0)
    assert "runs no handler" in seen.after(31)
    seen.rounds += 1
    assert seen.after(1) == ""


def test_a_node_whose_handler_does_not_end(tmp_path, caplog):
    config = Config(app=BUSY, data=tmp_path, partitions=1, http_port=0, long_handler="1s", stuck_handler="2s")
    node = Node(config)
    done = threading.Event()
    looking = threading.Thread(target=lambda: node.wait(done.is_set))
    try:
        node.start()
        looking.start()
        wait_until(lambda: node.status()["ready"])
        node.calls.tell("meter/slow", "hold", b'{"seconds": 4}').result(10)
        wait_until(lambda: bool(node.status()["running"]))
        (row,) = node.status()["running"]
        assert (row["address"], row["handler"]) == ("default/default/meter/slow", "hold")
        assert 'plexstream_handler_seconds{handler="hold",type="meter"' in httpx.get(
            f"{node.server.url}/metrics"
        ).text
        (said,) = held_up(node.server.url, "meter/any")
        assert "meter/slow: its handler hold has been running for" in said
        command = ["why", "meter/any", "--data", str(tmp_path), "--url", node.server.url]
        result = CliRunner().invoke(app, command)
        assert "its handler hold has been running for" in result.output, result.output
        wait_until(lambda: not node.status()["ready"])
        answer = httpx.get(f"{node.server.url}/health/ready")
        assert answer.status_code == 503
        assert "meter/slow: its handler hold has been running for" in answer.json()["detail"]
        wait_until(lambda: node.status()["ready"])
        assert "give what it calls a timeout" in caplog.text
    finally:
        done.set()
        looking.join()
        node.stop()


def test_a_worker_that_does_not_report_is_not_ready():
    child = _Child(SimpleNamespace(member="one"))
    supervisor = Supervisor([])
    supervisor._children = [child]
    assert not supervisor.status()[0]["ready"]
    child.status, child.reported = {"ready": True, "why": []}, time.monotonic()
    assert supervisor.status()[0]["ready"]
    child.reported -= STALE_S + 1
    assert "has not reported for 6 s" in _late(child)["why"][0]
    assert not supervisor.status()[0]["ready"]
