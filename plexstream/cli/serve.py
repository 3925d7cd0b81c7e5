"""``dev``, ``run`` and ``edge``: the commands that serve until they are stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from plexstream.cli import options
from plexstream.cli.output import stderr

if TYPE_CHECKING:
    from plexstream.node.config import Config
    from plexstream.node.node import Node

AppFile = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="Python file that declares actors (default: as configured)."),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"] | None,
    typer.Option("--log-level", help="How much to log on standard error (default info, for dev warning)."),
]


def dev(
    file: AppFile = None,
    port: options.Port = None,
    host: options.Host = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    partitions: options.Partitions = None,
    node: options.NodeName = None,
    log_level: LogLevel = None,
    config: options.ConfigFile = None,
) -> None:
    """Serve the actors of a file on the embedded log: durable, one process, no broker.

    [bold]Examples[/]

      plexstream dev bank.py
      plexstream dev bank.py --port 9000 --data /var/lib/bank
    """
    from plexstream.node.config import load_config

    settings = load_config(
        config, app=file, http_port=port, http_host=host, data=data, prefix=prefix, partitions=partitions,
        node=node, kafka="", kafka_settings={}, workers=1,
    )  # fmt: skip
    _serve(settings, "plexstream dev", log_level or "warning")


def run(
    file: AppFile = None,
    kafka: options.Kafka = None,
    workers: options.Workers = None,
    port: options.Port = None,
    host: options.Host = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    partitions: options.Partitions = None,
    node: options.NodeName = None,
    log_level: LogLevel = None,
    config: options.ConfigFile = None,
) -> None:
    """Serve the actors of a file on Kafka, with as many nodes as you like, or on the embedded log.

    Start it on several machines: they share the partitions. A node that is restarted under the same name
    and data folder has its partitions back at once.

    [bold]Examples[/]

      plexstream run bank.py --kafka localhost:9092 --workers 2
      plexstream run --config /etc/plexstream.toml
    """
    from plexstream.model.errors import ConfigError
    from plexstream.node.config import load_config

    settings = load_config(
        config, app=file, kafka=kafka, workers=workers, http_port=port, http_host=host, data=data,
        prefix=prefix, partitions=partitions, node=node,
    )  # fmt: skip
    if not settings.kafka and settings.workers > 1:
        raise ConfigError(
            f"workers = {settings.workers}: only one process can hold the embedded log; "
            "give --workers 1, or --kafka ADDRESS"
        )
    _serve(settings, "plexstream run", log_level or "info")


def edge(
    kafka: options.Kafka = None,
    port: options.Port = None,
    host: options.Host = None,
    prefix: options.Prefix = None,
    node: options.NodeName = None,
    log_level: LogLevel = None,
    config: options.ConfigFile = None,
) -> None:
    """Serve HTTP alone: calls go to nodes elsewhere, over Kafka.

    [bold]Example[/]

      plexstream edge --kafka localhost:9092 --port 8080
    """
    from plexstream.model.errors import ConfigError
    from plexstream.node.config import load_config

    settings = load_config(config, kafka=kafka, http_port=port, http_host=host, prefix=prefix, node=node)
    if not settings.kafka:
        raise ConfigError("kafka is not set: an edge reaches its nodes over Kafka; give --kafka ADDRESS")
    _prepare(log_level or "info")
    from plexstream.node.node import run_edge

    raise typer.Exit(run_edge(settings, lambda node: _greet("plexstream edge", node)))


def _serve(config: Config, title: str, level: str) -> None:
    from plexstream.model.errors import ConfigError

    if config.app is None:
        raise ConfigError(f"app is not set: name the file of your actors, as in `{title} bank.py`")
    _prepare(level)
    from plexstream.node.node import run_node

    raise typer.Exit(run_node(config, lambda node: _greet(title, node)))


def _greet(title: str, node: Node) -> None:
    from plexstream.cli.banner import banner

    stderr().print(banner(title, node.config, node.server.url, node.types))


def _prepare(level: str) -> None:
    """Logging, and hints that concern the environment."""
    import logging

    from plexstream.node.config import unknown_variables

    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=getattr(logging, level.upper())
    )
    # What handlers log is meant to be seen.
    logging.getLogger("plexstream.actor").setLevel(min(logging.INFO, logging.root.level))
    for line in unknown_variables():
        stderr().print(f"[yellow]warning[/]: {line}")
