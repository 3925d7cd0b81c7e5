"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="Configuration file (default: the nearest plexstream.toml)."
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Folder of the log and the state stores (default ./.plexstream)."
    ),
]
Kafka = Annotated[
    str | None,
    typer.Option(
        "--kafka", metavar="ADDRESS", help="Kafka brokers, host:port[,host:port] (default: the embedded log)."
    ),
]
Brokers = Annotated[
    str | None,
    typer.Option(
        "--kafka", metavar="ADDRESS", help="Kafka brokers, host:port[,host:port] (default: as configured)."
    ),
]
OverKafka = Annotated[
    str | None,
    typer.Option(
        "--kafka",
        metavar="ADDRESS",
        help="Call over these Kafka brokers, host:port[,host:port], not over HTTP.",
    ),
]
Host = Annotated[
    str | None,
    typer.Option("--host", metavar="ADDRESS", help="Address to serve HTTP on (default 127.0.0.1)."),
]
Port = Annotated[
    int | None,
    typer.Option("--port", "-p", metavar="N", min=0, max=65535, help="Port to serve HTTP on (default 8000)."),
]
Prefix = Annotated[
    str | None,
    typer.Option("--prefix", metavar="TEXT", help="Begins the name of every topic (default plex.)."),
]
Partitions = Annotated[
    int | None,
    typer.Option(
        "--partitions", metavar="N", min=1, help="Partitions of topics that are created (default 8)."
    ),
]
ReplicationFactor = Annotated[
    int | None,
    typer.Option(
        "--replication-factor",
        metavar="N",
        min=1,
        help="Copies of each partition of topics that are created (default: as the brokers do).",
    ),
]
MinInsyncReplicas = Annotated[
    int | None,
    typer.Option(
        "--min-insync-replicas",
        metavar="N",
        min=1,
        help="Copies that must have a record before it counts (default: as the brokers do).",
    ),
]
Workers = Annotated[
    int | None, typer.Option("--workers", "-w", metavar="N", min=1, help="Worker processes (default 1).")
]
NodeName = Annotated[
    str | None,
    typer.Option(
        "--node", metavar="NAME", help="Name of this node, the same after a restart (default: the host name)."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]
Partition = Annotated[
    int | None, typer.Option("--partition", metavar="P", min=0, help="Only this partition (default: all).")
]
At = Annotated[
    int | None,
    typer.Option(
        "--at", metavar="OFFSET", min=0, help="After this journal offset of its partition (default: now)."
    ),
]
