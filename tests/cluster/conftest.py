from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# pytest's import mode adds no directories
sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "faults")]

import stalls
from room import Room

from plexstream.testing.cluster import LocalCluster


@pytest.fixture(scope="session")
def brokers() -> Iterator[LocalCluster]:
    with LocalCluster() as brokers:
        yield brokers


@pytest.fixture(scope="session")
def room(brokers: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    room = Room(brokers, tmp_path_factory.mktemp("cluster"))
    yield room
    room.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    calls = [report for report in reports if getattr(report, "when", "") == "call"]
    for line in stalls.table(dict(report.user_properties) for report in calls):
        terminalreporter.write_line(line)
