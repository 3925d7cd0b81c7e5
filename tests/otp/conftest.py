"""Each expectation is tried in one process, through crashes, and on nodes of both kinds."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.otp.systems import InProcess, Node, System

BACKENDS = ["process", "process that crashes", "embedded", pytest.param("kafka", marks=pytest.mark.kafka)]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node for the tests of the module, each of which has actors of its own."""
    node = Node(tmp_path_factory.mktemp("embedded"))
    yield node
    node.close()


@pytest.fixture(scope="module")
def on_kafka(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> Iterator[Node]:
    """The same on Kafka."""
    node = Node(tmp_path_factory.mktemp("kafka"), kafka, f"otp-{uuid.uuid4().hex[:8]}.")
    yield node
    node.close()


@pytest.fixture(params=BACKENDS)
def system(request: pytest.FixtureRequest) -> System:
    kind = request.param
    if kind.startswith("process"):
        return InProcess(0 if kind == "process" else 2)
    node: System = request.getfixturevalue("embedded" if kind == "embedded" else "on_kafka")
    return node
