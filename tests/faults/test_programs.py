"""Random programs on nodes that are killed meanwhile: each comes to what it must, on every log."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from load import committed
from nodes import Cluster, Start
from serving import PARTITIONS

from plexstream import AsyncClient
from plexstream.log.base import Log
from plexstream.log.open import open_log
from plexstream.model.journal.journal import OutKind
from plexstream.testing.programs import draw
from plexstream.testing.programs.operations.sends import OUTPUT
from plexstream.testing.programs.outside import outside
from plexstream.testing.programs.runs.served import Served as Playing
from plexstream.testing.programs.runs.served import apart

pytestmark = pytest.mark.slow

APP = Path(__file__).with_name("programs.py")
EMBEDDED, KAFKA = range(50), range(100, 105)
KILLS = 6


def play(url: str, seeds: range, file: Path, left: Callable[[], list[Any]]) -> None:
    """Play programs at once, until they are what they must be."""

    def seen() -> list[Any]:
        outside.begin(file)
        return left()

    async def run() -> None:
        async with AsyncClient(url) as client:
            playing = [Playing(apart(draw(seed)), client) for seed in seeds]
            await asyncio.wait_for(asyncio.gather(*(p.play() for p in playing)), 240)
            found = await asyncio.gather(*(p.judge(seen) for p in playing), return_exceptions=True)
            wrong = [f"{seed}: {why!r}" for seed, why in zip(seeds, found, strict=True) if why is not None]
            assert not wrong, "\n".join(wrong)

    asyncio.run(run())


class Killing:
    """Kills and starts again while something goes on."""

    def __init__(self, kill: Callable[[random.Random], object]) -> None:
        self._kill = kill
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Killing:
        self._thread.start()
        return self

    def _run(self) -> None:
        random_ = random.Random(7)
        try:
            for _ in range(KILLS):
                time.sleep(random_.uniform(0.5, 3))
                self._kill(random_)
        except BaseException as error:
            self._failed.append(error)

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        assert not self._failed, self._failed[0]


@pytest.mark.timeout(420)
def test_embedded(serve: Start, tmp_path: Path) -> None:
    file = tmp_path / "outside"
    env = {"FAULTS_OUTSIDE": str(file)}
    node = serve("dev", "--partitions", str(PARTITIONS), app=APP, env=env).ready(PARTITIONS)

    def kill(_: random.Random) -> None:
        node.kill()
        node.start().ready(PARTITIONS)

    def left() -> list[Any]:
        return [(OutKind.EMIT, row["value"], "") for row in node.topic(f"plex.out.{OUTPUT}")]

    with Killing(kill):
        play(node.url, EMBEDDED, file, left)


@pytest.mark.kafka
@pytest.mark.timeout(420)
def test_on_kafka(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "outside"
    node = cluster.node("node", 2, app=APP, env={"FAULTS_OUTSIDE": str(file)}).ready(PARTITIONS)

    def left() -> list[Any]:
        log: Log = open_log(f"kafka://{cluster.address}")
        try:
            values = committed(log, f"{cluster.prefix}out.{OUTPUT}")
        finally:
            log.close()
        return [(OutKind.EMIT, json.loads(value), "") for value in values]

    with Killing(node.kill_worker):
        play(node.url, KAFKA, file, left)


