"""Open a log by its address."""

from __future__ import annotations

from collections.abc import Mapping

from plexstream.log.base import AS_THE_BROKERS_DO, Log, Replication
from plexstream.model.errors import ConfigError


def open_log(
    url: str, settings: Mapping[str, str] | None = None, replication: Replication = AS_THE_BROKERS_DO
) -> Log:
    """Open the log at `url`: `memory:`, `embedded:/path` or a bare path, `kafka://host:port,host2:port`.

    `settings` are librdkafka's, such as `security.protocol`; only Kafka takes any. `replication` is
    that of topics which are created; only Kafka has any.

    Raises:
        ConfigError: if the address is none of these, or settings are given to a log that takes none.
        LogError: if the log cannot be opened.
    """
    scheme, colon, rest = url.partition(":")
    if settings and scheme != "kafka":
        raise ConfigError(
            f"log {url!r} takes no Kafka settings, but {', '.join(settings)} is given: remove it"
        )
    # Imported when chosen: a process on Kafka needs no RocksDB, and the simulation neither.
    if url in ("memory", "memory:"):
        from plexstream.log.memory.memory import MemoryLog

        return MemoryLog()
    if scheme == "kafka" and colon:
        from plexstream.log.kafka.log import KafkaLog

        bootstrap = rest.removeprefix("//").rstrip("/")
        if not bootstrap or "/" in bootstrap:
            raise ConfigError(
                f"log {url!r} names no broker: write kafka://host:port or kafka://a:9092,b:9092"
            )
        return KafkaLog(bootstrap, settings or {}, replication)
    embedded = scheme == "embedded" and bool(colon)
    path = rest.removeprefix("//") if embedded else url
    if not path or (not embedded and "://" in url):
        raise ConfigError(f"log {url!r} is unknown: write memory:, embedded:/path or kafka://host:port")
    from plexstream.log.embedded.log import EmbeddedLog

    return EmbeddedLog(path)
