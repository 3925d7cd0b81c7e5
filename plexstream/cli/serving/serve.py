"""``dev``, ``run`` and ``edge``: the commands that serve until they are stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from plexstream.cli.common import options
from plexstream.cli.common.output import stderr

if TYPE_CHECKING:
    from plexstream.node.running.node import Node
    from plexstream.node.setup.config import Config

AppFile = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="Python file that declares actors (default: as configured)."),
]
Manifest = Annotated[
    Path | None,
    typer.Option("--app", metavar="FILE", help="Manifest with the tree of supervisors to start, in TOML."),
]
Strict = Annotated[
    bool | None,
    typer.Option("--strict", help="Refuse declarations that are most often a mistake, instead of a warning."),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    typer.Option("--log-level", help="How much to log on standard error."),
]


_SOON_S = 0.3

# Parameters are named as the keys of the configuration that they set: `_configured` takes them all.


def dev(
    ctx: typer.Context,
    app: AppFile = None,
    manifest: Manifest = None,
    strict: Strict = None,
    http_port: options.Port = None,
    http_host: options.Host = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    partitions: options.Partitions = None,
    node: options.NodeName = None,
    log_level: LogLevel = "warning",
    config: options.ConfigFile = None,
) -> None:
    """Serve the actors of a file on the embedded log: durable, one process, no broker.

    [bold]Examples[/]

      plexstream dev bank.py
      plexstream dev bank.py --port 9000 --data /var/lib/bank
      plexstream dev bank.py --app app-config.toml
    """
    _serve(_configured(ctx, config, kafka="", kafka_settings={}, workers=1), "plexstream dev", log_level)


def run(
    ctx: typer.Context,
    app: AppFile = None,
    manifest: Manifest = None,
    strict: Strict = None,
    kafka: options.Kafka = None,
    workers: options.Workers = None,
    http_port: options.Port = None,
    http_host: options.Host = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    partitions: options.Partitions = None,
    replication_factor: options.ReplicationFactor = None,
    min_insync_replicas: options.MinInsyncReplicas = None,
    node: options.NodeName = None,
    log_level: LogLevel = "info",
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

    settings = _configured(ctx, config)
    if not settings.kafka and settings.workers > 1:
        raise ConfigError(
            f"workers = {settings.workers}: only one process can hold the embedded log; "
            "give --workers 1, or --kafka ADDRESS"
        )
    if settings.kafka and settings.app is not None:
        from plexstream.node.running.processes import forking

        forking.begin()
    _serve(settings, "plexstream run", log_level)


def edge(
    ctx: typer.Context,
    kafka: options.Brokers = None,
    http_port: options.Port = None,
    http_host: options.Host = None,
    prefix: options.Prefix = None,
    node: options.NodeName = None,
    log_level: LogLevel = "info",
    config: options.ConfigFile = None,
) -> None:
    """Serve HTTP alone: calls go to nodes elsewhere, over Kafka.

    [bold]Example[/]

      plexstream edge --kafka localhost:9092 --port 8080
    """
    from plexstream.model.errors import ConfigError

    settings = _configured(ctx, config)
    if not settings.kafka:
        raise ConfigError("kafka is not set: an edge reaches its nodes over Kafka; give --kafka ADDRESS")
    _prepare(log_level)
    from plexstream.node.running.node import run_edge

    raise typer.Exit(run_edge(settings, lambda node: _greet("plexstream edge", node)))


def _configured(ctx: typer.Context, file: Path | None, **fixed: Any) -> Config:
    from plexstream.node.setup.config import load_config

    flags = {name: value for name, value in ctx.params.items() if name not in ("config", "log_level")}
    return load_config(file, **flags, **fixed)


def _serve(config: Config, title: str, level: str) -> None:
    from plexstream.model.errors import ConfigError

    if config.app is None:
        raise ConfigError(f"app is not set: name the file of your actors, as in `{title} bank.py`")
    _prepare(level)
    from plexstream.node.running.node import run_node

    raise typer.Exit(run_node(config, lambda node: _greet(title, node)))


def _greet(title: str, node: Node) -> None:
    import time

    # What draws this takes as long to load as the worker takes to get ready, and would hold it up.
    end = time.monotonic() + _SOON_S
    while time.monotonic() < end and not node.status()["ready"]:
        time.sleep(0.01)
    from plexstream.cli.serving.banner import banner

    stderr().print(banner(title, node.config, node.server.url, node.types))


def _prepare(level: str) -> None:
    """Logging, and hints that concern the environment."""
    import logging

    from plexstream.node.setup.config import unknown_variables

    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=getattr(logging, level.upper())
    )
    # What handlers log is meant to be seen.
    logging.getLogger("plexstream.actor").setLevel(min(logging.INFO, logging.root.level))
    for line in unknown_variables():
        stderr().print(f"[yellow]warning[/]: {line}")
