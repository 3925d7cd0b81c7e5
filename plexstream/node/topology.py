"""The topics that a system needs, made where they are missing."""

from __future__ import annotations

from plexstream.log.base import Log, TopicSpec
from plexstream.model.errors import ConfigError
from plexstream.model.topics import COPARTITIONED, KEEPING, Topics

_MIB = 1 << 20
ROOM = {"mailbox": 5 * _MIB, "reply": 5 * _MIB, "deadletter": 8 * _MIB, "out": 8 * _MIB}
"""Bytes of a record, by kind of topic. A payload may have 4 MiB, and what is around it comes on top: a record
that a turn has sent and that its topic refuses would hold up the partition for ever. What fits into a mailbox
fits into the dead letters, and into the turn that puts it there."""


def _config(kind: str) -> dict[str, str]:
    return KEEPING[kind] | ({"max.message.bytes": str(ROOM[kind])} if kind in ROOM else {})


def specs(topics: Topics, partitions: int) -> list[TopicSpec]:
    """The system's own topics, with their settings."""
    found = [TopicSpec(f"{topics.prefix}{name}", partitions, _config(name)) for name in COPARTITIONED]
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


def refuse_other(topics: Topics, count: int, asked: int | None) -> None:
    """Raises ConfigError where another number of partitions is asked for than there is: it is fixed."""
    if asked is not None and asked != count:
        raise ConfigError(
            f"partitions = {asked}, but {topics.mailbox} has {count}, which is fixed: "
            f"give --partitions {count}, or another --prefix for a new installation"
        )


def output(topic: str, partitions: int) -> TopicSpec:
    """An output topic."""
    return TopicSpec(topic, partitions, _config("out"))
