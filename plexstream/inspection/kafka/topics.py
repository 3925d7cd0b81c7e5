"""What there is of the declared topics, against how they should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from plexstream.log.base import AS_THE_BROKERS_DO, Log, Replication, TopicSpec
from plexstream.model.errors import ConfigError
from plexstream.model.topics.declaration import Declaration
from plexstream.model.topics.topics import Topics
from plexstream.node.setup.topology import specs


class TopicState(NamedTuple):
    """One topic that is declared, and what there is of it."""

    spec: TopicSpec
    partitions: int | None  # None: there is no such topic
    differs: dict[str, str]  # settings with another value than declared, where settings can be read
    asked: Replication = AS_THE_BROKERS_DO
    copies: int | None = None  # of each partition, where that can be asked

    @property
    def wrong(self) -> list[str]:
        """What is not as declared, for people; empty if all is well."""
        if self.partitions is None:
            return ["missing"]
        found = [f"{key} is {value}, declared {self.spec.config[key]}" for key, value in self.differs.items()]
        if self.partitions != self.spec.partitions:
            found.insert(0, f"{self.partitions} partitions, declared {self.spec.partitions}")
        return [*found, self.other_factor] if self.other_factor else found

    @property
    def other_factor(self) -> str:
        """What to do about another replication factor than the one asked for; empty if it is that one."""
        if self.copies is None or self.asked.factor in (None, self.copies):
            return ""
        return (
            f"replication factor {self.copies}, not {self.asked.factor}, which counts for new topics only: "
            "Kafka's kafka-reassign-partitions changes it"
        )

    def refuse_more_in_sync_than_copies(self) -> None:
        """Raises ConfigError if more replicas are asked to be in sync than the topic has."""
        wanted = self.asked.min_in_sync
        if wanted is not None and self.copies is not None and self.copies < wanted:
            raise ConfigError(
                f"min_insync_replicas = {wanted}, but {self.spec.name} has replication factor {self.copies}: "
                "nothing could be appended to it; change that first, with Kafka's kafka-reassign-partitions"
            )


def states(
    log: Log,
    topics: Topics,
    partitions: int,
    settings: Mapping[str, Mapping[str, str]] | None = None,
    replication: Replication = AS_THE_BROKERS_DO,
    copies: Mapping[str, int] = {},
    declared: Declaration | None = None,
) -> list[TopicState]:
    """Every declared topic with what there is of it.

    Parameters:
        settings: of the topics that there are, by name, where they can be read.
        replication: what is asked for.
        copies: the replication factor of topics that there are, by name, where it can be asked.
        declared: how they are to be; by default as the package has it.
    """
    there = log.topics()
    found = []
    for spec in specs(topics, partitions, declared):
        spec = spec._replace(config={**spec.config, **replication.config})
        actual = (settings or {}).get(spec.name, {})
        differs = {k: actual[k] for k, v in spec.config.items() if k in actual and actual[k] != v}
        found.append(
            TopicState(spec, there.get(spec.name), differs, replication, copies.get(spec.name))
        )
    return found


def outputs(log: Log, topics: Topics) -> dict[str, int]:
    """The output topics that there are, with their numbers of partitions."""
    start = topics.out("")
    return {name: count for name, count in sorted(log.topics().items()) if name.startswith(start)}
