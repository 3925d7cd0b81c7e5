from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "edge"))  # its stand-in for the processors serves here, too

from web import Node


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
