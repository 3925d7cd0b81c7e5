"""Behaviours through kill -9: state timeouts, postponed events, event handlers, events and their folds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from load import committed
from nodes import Cluster, Start
from serving import PARTITIONS, Served, until

from plexstream.log.base import Log
from plexstream.log.open import open_log
from plexstream.schema.codec import decode_dead_letter

MACHINES = Path(__file__).with_name("machines.py")
Crash = Callable[[], None]


def done(node: Served, target: str, name: str, **arguments: Any) -> Any:
    answer = node.ask(target, name, **arguments)
    assert answer.status_code == 200, answer.text
    return answer.json()


def survive(node: Served, crash: Crash) -> None:
    """Each behaviour, with a crash after every step."""
    for number in (3, 1, -1, 2):
        node.tell("line/a", "send", number=number)
    done(node, "line/a", "report")  # behind them
    crash()
    done(node, "line/b", "dial", patience=4.0)
    done(node, "line/b", "up")  # which takes its timeout back: it would be over before the other's
    done(node, "line/a", "dial", patience=4.0)
    assert done(node, "shop/s", "add_handler", handler="sum", id="one") == "one"
    done(node, "shop/s", "add_handler", handler="sum", id="two", arguments={"total": 10})
    assert done(node, "purse/p", "pay", amount=5) == 5
    crash()
    # No message has loaded the actor since: the timer alone does.
    until("the state has timed out", lambda: node.report("book/a") == [3, 1, 2])
    assert node.report("line/a") == {"state": "online", "timeouts": 1}
    sold = done(node, "shop/s", "sync_notify", event="sold", arguments={"amount": 2})
    assert sold["handled"] == ["one", "two"]
    assert done(node, "purse/p", "pay", amount=7) == 12
    crash()
    assert node.report("line/a") == {"state": "online", "timeouts": 1}
    assert node.report("line/b") == {"state": "online", "timeouts": 0}
    assert node.report("book/a") == [3, 1, 2]
    done(node, "line/a", "send", number=4)
    until("it is noted", lambda: node.report("book/a") == [3, 1, 2, 4])
    assert len(done(node, "shop/s", "sync_notify", event="sold", arguments={"amount": -1})["removed"]) == 2
    assert done(node, "shop/s", "handlers")["handlers"] == []
    assert node.report("purse/p") == 12


def text(*arguments: str) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "plexstream", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def command(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text(*arguments).splitlines()]


def put_aside(log: Log, prefix: str) -> None:
    """The one postponed event that failed."""
    [letter] = [decode_dead_letter(value) for value in committed(log, f"{prefix}deadletter")]
    assert (letter.target, letter.handler) == ("default/default/line/a", "send")
    assert (json.loads(letter.payload), letter.reason) == ({"number": -1}, "failed")


def look(to: list[str]) -> None:
    """The journal holds the events, each offset has its state, and the code does it again."""
    assert "all as recorded" in text("replay", "--re-execute", str(MACHINES), *to)
    turns = command("journal", "show", "--actor", "purse/p", "--json", *to)
    events = [
        change["value"]["data"]
        for turn in turns
        for change in turn["patch"]
        if change["field"] == "@events" and change["key"] != "#"
    ]
    assert events == [{"amount": 5}, {"amount": 7}]
    for turn, balance in zip(turns, (5, 12), strict=True):
        [then] = command("state", "get", "purse/p", "--at", str(turn["offset"]), *to)
        assert then["state"]["balance"] == balance
        assert sum(e["data"]["amount"] for e in then["state"]["@events"]) == balance


def test_embedded(serve: Start, tmp_path: Path) -> None:
    app = tmp_path / "machines.py"
    app.write_text(MACHINES.read_text())
    node = serve("dev", "--partitions", str(PARTITIONS), app=app).ready(PARTITIONS)

    def crash() -> None:
        node.kill()
        node.start().ready(PARTITIONS)

    survive(node, crash)
    node.kill()
    look(["--data", str(node.folder)])
    app.write_text(MACHINES.read_text().replace("FOLD = 1", "FOLD = 10"))
    node.start().ready(PARTITIONS)
    assert node.report("purse/p") == 12  # a read changes nothing
    assert done(node, "purse/p", "pay", amount=1) == 130
    node.kill()
    log = open_log(f"embedded:{node.folder / 'log'}")
    put_aside(log, "plex.")
    log.close()


@pytest.mark.kafka
@pytest.mark.slow
def test_on_kafka(cluster: Cluster) -> None:
    node = cluster.node(app=MACHINES).ready(PARTITIONS)

    def crash() -> None:
        assert node.process is not None
        os.killpg(node.process.pid, signal.SIGKILL)
        node.process.wait()
        node.start().ready(PARTITIONS)

    survive(node, crash)
    look(["--kafka", cluster.address, "--prefix", cluster.prefix])
    put_aside(cluster.log, cluster.prefix)
