"""The small examples, their process killed with SIGKILL before and after every single step in turn."""

from __future__ import annotations

import importlib.util
import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from outside import Outside
from serving import Served
from stage import Stage

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

STORIES = [
    ("orders", "cancelled", 12, 1),
    ("payments", "rich", 6, 1),
    ("signup", "prompt", 10, 1),
    ("subscription", "alice", 8, 1),
    ("workers", "monday", 10, 1),
    ("chat", "lobby", 12, 7),
    ("election", "argo", 12, 7),
    ("jobs", "monday", 12, 7),
    ("philosophers", "athens", 12, 7),
    ("pipeline", "monday", 12, 7),
    ("paramserver", "short", 40, 11),
]
"""Example, what its ids begin with, up to which point there is a chance to die, at least, and at every which
of these it dies: where many actors take part there are hundreds."""


def story_of(example: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{example}_story", EXAMPLES / example / "story.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Undying:
    """A node that is started again whenever it dies."""

    def __init__(self, node: Served) -> None:
        self.node = node.start()
        self._ending = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while True:
            assert self.node.process is not None
            self.node.process.wait()
            with self._lock:
                if self._ending:
                    return
                self.node.start()

    def end(self) -> None:
        with self._lock:
            self._ending = True
            self.node.end()
        self._thread.join()


Perform = Callable[..., None]


@pytest.fixture
def perform(tmp_path: Path) -> Iterator[Perform]:
    """Plays a story over and over, until no point is left to die at."""
    nodes: list[Undying] = []

    def play(example: str, ids: str, points: range, command: str, *options: str) -> None:
        story, fuse = story_of(example), tmp_path / "fuse"
        with Outside() as outside:
            env = {"EXAMPLE": str(story.APP), "FUSE": str(fuse), "OUTSIDE": outside.url}
            served = Served(
                tmp_path / "node", command, *options, *story.OPTIONS, "--partitions", "2",
                app=Path(__file__).with_name("deadly.py"), env=env,
            )  # fmt: skip
            nodes.append(Undying(served))
            served.ready(2)
            with Stage(served.url, outside) as stage:
                for point in itertools.count(points.start, points.step):
                    fuse.write_text(str(point))
                    story.play(stage, f"{ids}-{point}")
                    if fuse.exists():
                        break
            print(f"{example}: {point - points.step} points")
            assert point >= points.stop, "it has fewer steps than it should have"

    yield play
    for node in nodes:
        node.end()
        sys.stdout.write(node.node.log()[-5000:])


@pytest.mark.parametrize(("example", "ids", "points", "step"), STORIES)
def test_embedded(perform: Perform, example: str, ids: str, points: int, step: int) -> None:
    perform(example, ids, range(1, points, step), "dev")


@pytest.mark.kafka
@pytest.mark.parametrize(("example", "ids", "points", "step"), STORIES)
def test_on_kafka(
    perform: Perform, kafka: str, topic_prefix: str, example: str, ids: str, points: int, step: int
) -> None:
    after = range(2, points, 2 * step)  # once a record is there, not before: what differs on Kafka comes then
    perform(example, ids, after, "run", "--kafka", kafka, "--prefix", topic_prefix)
