from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))  # pytest's import mode adds no directories

from nodes import Cluster, Start
from serving import Served


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Start]:
    """Starts processes that end with the test."""
    served: list[Served] = []

    def start(command: str, *options: str, name: str = "node", **more: Any) -> Served:
        node = Served(tmp_path / name, command, *options, **more)
        served.append(node)
        return node.start()

    yield start
    for node in served:
        node.end()
        said = [line for line in node.log().splitlines() if "Connection refused" not in line]
        sys.stdout.write("\n".join([f"--- log of {node.folder.name}:", *said[-80:], ""]))


@pytest.fixture
def cluster(serve: Start, kafka: str, topic_prefix: str) -> Iterator[Cluster]:
    cluster = Cluster(serve, kafka, topic_prefix)
    yield cluster
    cluster.log.close()
