"""A call goes through the files that the architecture names, in their order."""

from __future__ import annotations

import importlib
import re
import threading
from pathlib import Path

import httpx
import pytest

from plexstream.node.lanes.records import mailing
from plexstream.node.running.node import Node
from plexstream.node.setup.config import Config
from plexstream.processor import plain
from plexstream.processor.journal import ledger

PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()
WALK = re.findall(r"^\| `([\w/]+)\.py` `(\w+)\.(\w+)` \|", PAGE, flags=re.M)
APP = """
from plexstream import actor, handler, state

@actor
class Counter:
    count: int = state(default=0)

    @handler("add")
    def add(self):
        self.count += 1
        return self.count
"""


def test_a_call_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(WALK) >= 20
    gone_through: list[str] = []
    monkeypatch.setattr(ledger, "JOURNAL", None)  # the walk is through the Python code
    monkeypatch.setattr(plain, "COMPILED", False)
    monkeypatch.setattr(mailing, "ANSWERS", None)
    for path, owner, method in WALK:
        kind = getattr(importlib.import_module("plexstream." + path.replace("/", ".")), owner)
        monkeypatch.setattr(kind, method, _noted(getattr(kind, method), f"{owner}.{method}", gone_through))
    (tmp_path / "app.py").write_text(APP)
    node = Node(Config(app=tmp_path / "app.py", data=tmp_path / "data", partitions=1, http_port=0))
    done = threading.Event()
    looks = threading.Thread(target=lambda: node.wait(done.is_set))
    try:
        node.start()
        looks.start()
        url = f"{node.server.url}/v1/actors/counter/a/add"
        assert httpx.post(url, json={}, timeout=30).json() == 1
        gone_through.clear()
        assert httpx.post(url, json={}, timeout=30).json() == 2
        found = list(gone_through)
    finally:
        done.set()
        node.stop()
        looks.join()
    walk = [f"{owner}.{method}" for _, owner, method in WALK]
    assert _in_order(walk, found) == []


def _noted(method: object, name: str, into: list[str]) -> object:
    def noting(*arguments: object, **named: object) -> object:
        into.append(name)
        return method(*arguments, **named)  # type: ignore[operator]

    return noting


def _in_order(walk: list[str], found: list[str]) -> list[str]:
    """What of the walk does not come after what is before it."""
    at = 0
    for i, name in enumerate(walk):
        if name not in found[at:]:
            return walk[i:]
        at = found.index(name, at) + 1
    return []
