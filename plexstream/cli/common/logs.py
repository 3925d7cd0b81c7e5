"""Opening the log of an installation that a command looks at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from plexstream.model.errors import ConfigError, LogError, TopicMissing

if TYPE_CHECKING:
    from plexstream.log.base import Log
    from plexstream.node.setup.config import Config


@contextmanager
def open_installation(config: Config, *, create: bool = False) -> Iterator[Log]:
    """The log that `config` names. An embedded log is made only with `create`.

    Raises:
        ConfigError: there is no embedded log.
        LogError: it is in use, or Kafka cannot be reached.
    """
    from plexstream.log.open import open_log

    if not config.kafka and not create and not config.log_dir.is_dir():
        raise ConfigError(
            f"no embedded log in {config.log_dir}: name the data folder with --data DIR, "
            "or brokers with --kafka ADDRESS"
        )
    try:
        settings = config.kafka_settings if config.kafka else None
        log = open_log(config.log_url(), settings, config.replication())
    except LogError as error:
        if "lock" in str(error).lower():
            raise LogError(
                f"the embedded log in {config.log_dir} is in use by a node, and only one process can hold "
                "it: stop that node first (over HTTP it serves calls, status and output topics, no journal)"
            ) from error
        raise
    try:
        yield log
    finally:
        log.close()


def partitions_of(log: Log, config: Config) -> int:
    """The number of partitions of an installation. Raises TopicMissing where there is none."""
    from plexstream.log.installation import count_of

    count = count_of(log, config.topics())
    if count is None:
        raise TopicMissing(
            f"{where(config)} has no topic {config.topics().mailbox!r}: is --prefix right? "
            "`plexstream topics apply` creates the topics, `plexstream dev` and `run` do too"
        )
    return count


def where(config: Config) -> str:
    """The log, for messages."""
    return f"Kafka at {config.kafka}" if config.kafka else f"the embedded log in {config.log_dir}"


def load(
    file: Path | None, data: Path | None, kafka: str | None, prefix: str | None, **more: int | None
) -> Config:
    """The configuration of a command that looks at a log; `more` are other flags, by key."""
    from plexstream.node.setup.config import load_config

    return load_config(file, data=data, kafka=kafka, prefix=prefix, **more)
