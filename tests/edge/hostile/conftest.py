"""A real server, and clients that are nobody's friend."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for rough.py: pytest's import mode adds no directories
sys.path.append(str(Path(__file__).parent.parent))

from web import Node

from plexstream.edge.http.limits import LIMITS


@pytest.fixture
def server() -> Iterator[Callable[..., Node]]:
    """Makes servers with limits of their own."""
    with ExitStack() as stack:

        def make(**limits: float) -> Node:
            node = Node(LIMITS._replace(**limits))
            stack.callback(node.stop)
            node.fresh()
            stack.enter_context(node.responder)
            return node

        yield make
