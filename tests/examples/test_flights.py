"""The flights example, end to end, as a user runs it: embedded, and on Kafka with kill and pause."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
FLIGHTS = 15_000


def run(folder: Path, *options: str) -> str:
    """What the example prints; it has found every figure right."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, str(ROOT / "examples/flights/run"), "--flights", str(FLIGHTS), *options]
    ended = subprocess.run(
        [*command, "--data", str(folder / "data")],
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=220, check=False,
    )  # fmt: skip
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout
    assert "✓ handled" in ended.stdout
    assert "✓ rebuilt" in ended.stdout
    return ended.stdout


def test_embedded(tmp_path: Path) -> None:
    run(tmp_path)


@pytest.mark.kafka
def test_on_kafka_with_kill_and_pause(tmp_path: Path, kafka: str) -> None:
    printed = run(tmp_path, "--kafka", kafka)
    assert "was killed with SIGKILL" in printed
    assert "was stopped past its session timeout" in printed
