"""What only Kafka has and the log's interface does not: settings of topics and brokers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import NamedTuple, TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from plexstream.log.kafka.common.errors import log_error
from plexstream.log.kafka.common.settings import check_settings, client_settings, connect

TIMEOUT_S = 10.0

T = TypeVar("T")


class Brokers(NamedTuple):
    """A Kafka cluster as it answers.

    Attributes:
        version: "3.9", or "4.0 or later": newer brokers do not tell.
    """

    cluster: str
    number: int
    version: str
    settings: dict[str, str]


class KafkaAdmin:
    """Asks brokers for settings, and changes those of topics.

    Raises:
        ConfigError: a librdkafka setting is unknown, or not to be set.
    """

    def __init__(self, bootstrap: str, settings: Mapping[str, str]) -> None:
        check_settings(settings)
        self.bootstrap = bootstrap
        own = client_settings(bootstrap, {}, settings, "admin", lambda _: None)
        self._admin: AdminClient = connect(AdminClient, own)

    def brokers(self) -> Brokers:
        """Who answers. Raises LogError."""
        try:
            found = self._admin.list_topics(timeout=TIMEOUT_S)
        except KafkaException as error:
            raise log_error(error.args[0], self.bootstrap, "asking for the brokers") from error
        some = next(iter(found.brokers))
        resource = ConfigResource(ResourceType.BROKER, str(some))
        settings = self._describe([resource])[str(some)]
        version = settings.get("inter.broker.protocol.version", "").partition("-")[0]
        return Brokers(str(found.cluster_id), len(found.brokers), version or "4.0 or later", settings)

    def topic_settings(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """The settings of topics that exist. Raises LogError."""
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        return self._describe(resources) if resources else {}

    def copies(self, names: Iterable[str]) -> dict[str, int]:
        """The replication factor of topics that exist, the least of their partitions. Raises LogError."""
        try:
            found = self._admin.list_topics(timeout=TIMEOUT_S).topics
        except KafkaException as error:
            raise log_error(error.args[0], self.bootstrap, "asking for the replicas of topics") from error
        return {
            name: min(len(partition.replicas) for partition in found[name].partitions.values())
            for name in names
            if name in found and found[name].partitions
        }

    def set(self, changes: Mapping[str, Mapping[str, str]]) -> None:
        """Set settings of topics, by topic; others stay. Raises LogError."""
        resources = [
            ConfigResource(
                ResourceType.TOPIC,
                name,
                incremental_configs=[
                    ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                    for key, value in settings.items()
                ],
            )
            for name, settings in changes.items()
        ]
        if not resources:
            return
        for resource, future in self._admin.incremental_alter_configs(
            resources, request_timeout=TIMEOUT_S
        ).items():
            self._wait(future, f"changing the settings of topic {resource.name!r}")

    def delete(self, names: Iterable[str]) -> None:
        """Delete topics. Raises LogError."""
        listed = list(names)
        if not listed:
            return
        for name, future in self._admin.delete_topics(listed, request_timeout=TIMEOUT_S).items():
            self._wait(future, f"deleting topic {name!r}")

    def _describe(self, resources: list[ConfigResource]) -> dict[str, dict[str, str]]:
        futures = self._admin.describe_configs(resources, request_timeout=TIMEOUT_S)
        found = {}
        for resource, future in futures.items():
            entries = self._wait(future, f"reading the settings of {resource.name!r}")
            found[resource.name] = {name: str(entry.value) for name, entry in entries.items()}
        return found

    def _wait(self, future: Future[T], doing: str) -> T:
        try:
            return future.result(TIMEOUT_S + 5)
        except KafkaException as error:
            raise log_error(error.args[0], self.bootstrap, doing) from error
