"""Misbehaving handlers cost their own turns: no partition, no thread, and nobody else."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from plexstream.node.running.node import Node
from plexstream.node.setup.config import Config
from plexstream.processor.journal.records import error_body, error_of

APP = Path(__file__).with_name("misbehaving.py")
BAD = {
    "mute": "failed", "mute_runtime": "failed", "exits": "failed", "interrupts": "failed",
    "generator_exit": "failed", "rejects_mute": "rejected", "rejects_without_text": "rejected",
    "rejects_deep": "rejected", "rejects_nan": "rejected", "rejects_surrogate": "rejected",
    "call_error": "error", "returns_mute": "failed", "returns_deep": "failed", "recursion": "failed",
    "memory": "failed", "emits_deep": "failed", "tells_mute": "failed", "wrong": "bad_arguments",
    "effect_mute": "step_failed", "effect_exits": "step_failed", "effect_returns_mute": "step_failed",
    "group": "failed",
}  # fmt: skip


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    node = Node(Config(app=APP, data=tmp_path_factory.mktemp("bad"), partitions=1, http_port=0))
    node.start()
    with httpx.Client(base_url=node.server.url, timeout=30) as web:
        while not web.get("/health/ready").is_success:
            pass
        yield node, web
    node.stop()


@pytest.mark.parametrize("name", BAD)
def test_a_handler_that_misbehaves(bad, name):
    node, web = bad
    claim = node.status()["partitions"][0]["phase"], node._unit.worker.status()[0].claim
    body = {"value": {"n": 1}} if name == "wrong" else {}
    answer = web.post(f"/v1/actors/bad/{name}/{name}?timeout=20", json=body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == BAD[name], answer.text
    assert answer.json()["detail"]
    assert web.post(f"/v1/actors/bad/{name}/fine", json={}).json() == 1  # nothing of it was kept
    assert (node.status()["partitions"][0]["phase"], node._unit.worker.status()[0].claim) == claim
    assert node.status()["ready"], node.status()["why"]
    # And as a tell, whose error goes to the dead letters.
    assert web.post(f"/v1/actors/bad/{name}/{name}/send", json=body).status_code == 202
    assert web.post(f"/v1/actors/bad/{name}/fine?timeout=20", json={}).status_code == 200
    assert node._unit.worker.status()[0].claim == claim[1]


class Mute(Exception):
    def __str__(self):
        raise RuntimeError

    __repr__ = __str__


def _deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


DATA = [
    _deep(), {"a": Mute()}, Mute(), float("nan"), [float("inf")], "\ud800", {1: object()}, {"k": {1}},
    10**5000,
]  # fmt: skip


@pytest.mark.parametrize("data", DATA, ids=range(len(DATA)))
def test_an_error_is_a_body_whatever_goes_with_it(data):
    body = error_body("rejected", "half \ud800 a pair", data)
    assert error_of(body)[0] == "rejected"
    assert b"NaN" not in body.replace(b'"nan"', b"")
    json.loads(body.decode())
