from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for echo.py: pytest's import mode adds no directories

from echo import create_topics
from web import Node

from plexstream.edge.calls.calls import Calls
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.topics.topics import Topics


@pytest.fixture
def topics() -> Topics:
    return Topics("test.")


@pytest.fixture
def log(topics: Topics) -> MemoryLog:
    log = MemoryLog()
    create_topics(log, topics)
    return log


@pytest.fixture
def calls(log: MemoryLog, topics: Topics) -> Iterator[Calls]:
    calls = Calls(log, topics)
    yield calls
    calls.close(timeout=0.3)  # some tests leave the log hanging


@pytest.fixture(scope="module")
def module_node() -> Iterator[Node]:
    node = Node()
    yield node
    node.stop()


@pytest.fixture
def node(module_node: Node) -> Iterator[Node]:
    module_node.fresh()
    with module_node.responder:
        yield module_node


@pytest.fixture
def own_node() -> Iterator[Node]:
    node = Node()
    node.fresh()
    with node.responder:
        yield node
    node.stop()
