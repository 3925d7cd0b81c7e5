"""The three logs, for the tests that every one of them must pass."""

import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plexstream.log.base import Log, Place, TopicSpec
from plexstream.log.kafka.appending import produce
from plexstream.log.kafka.reading import consume
from plexstream.log.open import open_log

# For log_driving.py and compiled_parts.py: pytest's import mode adds no directories.
sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "processor")]


@pytest.fixture(params=["memory", "embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if backend == "kafka":
        return f"kafka://{request.getfixturevalue('kafka')}"
    return {"memory": "memory:", "embedded": f"embedded:{tmp_path / 'log'}"}[backend]


@pytest.fixture
def log(url: str) -> Iterator[Log]:
    log = open_log(url)
    yield log
    log.close()


@pytest.fixture
def make_topic(log: Log) -> Callable[..., str]:
    """A function that creates a topic of a new name."""

    def make(partitions: int = 1, **config: str) -> str:
        name = f"test-{uuid.uuid4().hex[:12]}"
        settings = {key.replace("_", "."): value for key, value in config.items()}
        assert log.create([TopicSpec(name, partitions, settings)]) == [name]
        return name

    return make


@pytest.fixture
def topic(make_topic: Callable[..., str]) -> str:
    """A topic with two partitions."""
    return make_topic(2)


@pytest.fixture
def witness(make_topic: Callable[..., str]) -> Place:
    """The first partition of a topic that is there for nothing else."""
    return make_topic(), 0


@pytest.fixture(params=["compiled", "in Python"])
def taking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How records come from librdkafka."""
    assert consume.AVAILABLE
    monkeypatch.setattr(consume, "COMPILED", request.param == "compiled")
    return request.param


@pytest.fixture(params=["compiled", "in Python"])
def handing_over(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How records come to librdkafka."""
    assert produce.AVAILABLE
    monkeypatch.setattr(produce, "COMPILED", request.param == "compiled")
    return request.param
