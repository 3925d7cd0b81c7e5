"""The topics that a system needs, made where they are missing."""

from __future__ import annotations

from plexstream.log.base import Log, TopicSpec
from plexstream.model.topics import COPARTITIONED, KEEPING, Topics


def specs(topics: Topics, partitions: int) -> list[TopicSpec]:
    """The system's own topics, with their settings."""
    found = [TopicSpec(f"{topics.prefix}{name}", partitions, KEEPING[name]) for name in COPARTITIONED]
    return [*found, TopicSpec(topics.control, 1, KEEPING["control"])]


def apply(log: Log, topics: Topics, partitions: int) -> int:
    """Create what is missing; returns the number of partitions, which a system keeps for life.

    An existing mailbox says how many there are; `partitions` counts for a new system only.

    Raises:
        TopicMissing: the system's topics have different numbers of partitions.
        LogUnavailable: the log cannot be reached.
    """
    count = log.partitions(topics.mailbox) or partitions
    log.create(specs(topics, count))
    return count


def output(topic: str, partitions: int) -> TopicSpec:
    """An output topic."""
    return TopicSpec(topic, partitions, KEEPING["out"])
