"""Nodes that begin an installation at the same time begin the same one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from plexstream.log import installation
from plexstream.log.base import TopicSpec
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.topics.topics import Topics
from plexstream.node.setup import topology

TOPICS = Topics()


class Interrupted(MemoryLog):
    """A log on which somebody else acts right before or after topics are created."""

    def __init__(self, before: Callable[[], object], after: Callable[[], object]) -> None:
        super().__init__()
        self.before, self.after = before, after

    def create(self, topics: Iterable[TopicSpec]) -> list[str]:
        before, after = self.before, self.after
        self.before = self.after = lambda: None
        before()
        there = self.topics()
        created = super().create(spec for spec in topics if spec.name not in there)
        after()
        return created


@pytest.mark.parametrize("when", ["before", "after"])
def test_two_that_begin_at_once_agree(when: str) -> None:
    seen: list[tuple[installation.Installation | None, dict[bytes, bytes]]] = []

    def look() -> None:
        seen.append((installation.read(log, TOPICS), installation.entries(log, TOPICS)))

    def other() -> None:
        topology.apply(log, TOPICS, 2)
        look()

    nothing: Callable[[], object] = lambda: None  # noqa: E731
    log = Interrupted(other if when == "before" else nothing, other if when == "after" else nothing)
    topology.apply(log, TOPICS, 2)
    look()
    # What the workers of either node read: how many partitions, whose random numbers, and that origins name
    # the life of the journal. If one of them had taken the installation for one of old, what both relay, the
    # one and then the other, would have different origins, and be done twice.
    (first, entries), (second, later) = seen
    assert first == second
    assert first is not None
    assert first.partitions == 2
    assert first.id
    assert installation.unnamed_key(TOPICS.journal) not in {*entries, *later}


def test_an_installation_of_old_keeps_its_names() -> None:
    log = MemoryLog()
    log.create(topology.specs(TOPICS, 2))
    appender = log.appender()
    appender.append((TOPICS.journal, 1), [(b"", b"a record of old")], None)
    while not appender.poll(0.1):
        pass
    topology.apply(log, TOPICS, 2)
    life = log.topic_id(TOPICS.journal)
    assert installation.Control(log, TOPICS).unnamed(TOPICS.journal, life)
    found = installation.read(log, TOPICS)
    assert found is not None
    assert found.id == ""


def test_an_installation_whose_control_topic_was_deleted_keeps_its_names(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = MemoryLog()
    topology.apply(log, TOPICS, 2)
    before = installation.read(log, TOPICS)
    appender = log.appender()
    appender.append((TOPICS.journal, 1), [(b"", b"a record")], None)
    while not appender.poll(0.1):
        pass
    log.delete_now(TOPICS.control)
    topology.apply(log, TOPICS, 2)
    # Were it taken for one of old, what is relayed again would have another origin, and be done twice.
    assert not installation.Control(log, TOPICS).unnamed(TOPICS.journal, log.topic_id(TOPICS.journal))
    assert installation.read(log, TOPICS) == before
    assert f"topic {TOPICS.control} was deleted" in caplog.text
