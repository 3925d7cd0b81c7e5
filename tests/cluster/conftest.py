from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# pytest's import mode adds no directories
sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "faults")]

from room import Room

from plexstream.testing.kafka.cluster import LocalCluster


@pytest.fixture(scope="session")
def brokers() -> Iterator[LocalCluster]:
    with LocalCluster() as brokers:
        yield brokers


@pytest.fixture(scope="session")
def room(brokers: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    room = Room(brokers, tmp_path_factory.mktemp("cluster"))
    yield room
    room.close()
