"""What there is of the declared topics, against how they should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from plexstream.log.base import Log, TopicSpec
from plexstream.model.topics import Topics
from plexstream.node.topology import specs


class TopicState(NamedTuple):
    """One topic that is declared, and what there is of it."""

    spec: TopicSpec
    partitions: int | None  # None: there is no such topic
    differs: dict[str, str]  # settings with another value than declared, where settings can be read

    @property
    def wrong(self) -> list[str]:
        """What is not as declared, for people; empty if all is well."""
        if self.partitions is None:
            return ["missing"]
        found = [f"{key} is {value}, declared {self.spec.config[key]}" for key, value in self.differs.items()]
        if self.partitions != self.spec.partitions:
            found.insert(0, f"{self.partitions} partitions, declared {self.spec.partitions}")
        return found


def states(
    log: Log, topics: Topics, partitions: int, settings: Mapping[str, Mapping[str, str]] | None = None
) -> list[TopicState]:
    """Every declared topic with what there is of it.

    Parameters:
        settings: of the topics that there are, by name, where they can be read.
    """
    there = log.topics()
    found = []
    for spec in specs(topics, partitions):
        actual = (settings or {}).get(spec.name, {})
        differs = {k: actual[k] for k, v in spec.config.items() if k in actual and actual[k] != v}
        found.append(TopicState(spec, there.get(spec.name), differs))
    return found


def outputs(log: Log, topics: Topics) -> dict[str, int]:
    """The output topics that there are, with their numbers of partitions."""
    start = topics.out("")
    return {name: count for name, count in sorted(log.topics().items()) if name.startswith(start)}
