"""Two nodes with different code: both serve, and it is said which code took over from which."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from nodes import Cluster
from serving import PARTITIONS, Served, until

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

CODE = """
from plexstream import actor, handler, state

@actor
class Counter:
    count: int = state(default=0)

    @handler("add")
    def add(self) -> dict:
        self.count += 1
        return {"count": self.count, "code": CODE}
"""
MORE = """
@actor
class Extra:
    @handler("ping")
    def ping(self) -> str:
        return "pong"
"""
COUNTERS = range(12)


def app(folder: Path, name: str, code: int, more: str = "") -> Path:
    path = folder / f"{name}.py"
    path.write_text(f"CODE = {code}\n{CODE}{more}")
    return path


def add(node: Served) -> list[dict[str, int]]:
    answers = [node.ask(f"counter/{number}", "add") for number in COUNTERS]
    assert all(a.status_code == 200 for a in answers), [a.text for a in answers]
    return [a.json() for a in answers]


def test_a_rolling_upgrade(cluster: Cluster, tmp_path: Path) -> None:
    first, second = app(tmp_path, "one", 1, MORE), app(tmp_path, "two", 2)
    old = cluster.node("old", app=first).ready(PARTITIONS)
    assert {a["code"] for a in add(old)} == {1}
    new = cluster.node("new", app=second).ready()
    until("both serve", lambda: old.active() and new.active() and old.active() + new.active() == PARTITIONS)
    answers = add(new)
    assert {a["code"] for a in answers} == {1, 2}
    assert {a["count"] for a in answers} == {2}
    changed = r"partition (\d): the code has changed from node old to node new: counter \w+ -> \w+"
    said = re.findall(changed, new.log())
    assert len(set(said)) == new.active()
    assert "node new has no actor type extra, which node old served here" in new.log()

    assert old.terminate() == 0
    new.kill_worker(random.Random(1))  # at once, instead of after the session of the other
    until("the new one serves all", lambda: new.active() == PARTITIONS)
    answers = add(new)
    assert {(a["code"], a["count"]) for a in answers} == {(2, 3)}
    answer = new.ask("extra/a", "ping")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_type")


def test_the_former_code_is_known_from_a_store(cluster: Cluster, tmp_path: Path) -> None:
    source = app(tmp_path, "app", 1)
    node = cluster.node(app=source).ready(PARTITIONS)
    add(node)
    assert node.terminate() == 0
    node.start().ready(PARTITIONS)
    add(node)
    assert "the code has changed" not in node.log()
    assert node.terminate() == 0
    app(tmp_path, "app", 2)
    node.start().ready(PARTITIONS)
    assert node.log().count("the code has changed from node node to node node") == PARTITIONS
