"""Nodes and edges on one broker."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from load import committed
from serving import PARTITIONS, Served

from plexstream.log.base import Log
from plexstream.log.open import open_log

Start = Callable[..., Served]


class Cluster:
    """Nodes and edges on one broker, with topics of their own."""

    def __init__(self, serve: Start, address: str, prefix: str) -> None:
        self.address = address
        self.prefix = prefix
        self._serve = serve
        self.log: Log = open_log(f"kafka://{address}")

    def node(self, name: str = "node", workers: int = 1, *options: str, **more: Any) -> Served:
        return self._serve(
            "run", "--kafka", self.address, "--prefix", self.prefix, "--partitions", str(PARTITIONS),
            "--workers", str(workers), "--node", name, *options, name=name, **more,
        )  # fmt: skip

    def edge(self, name: str = "edge") -> Served:
        return self._serve("edge", "--kafka", self.address, "--prefix", self.prefix, name=name)

    def outputs(self) -> list[dict[str, Any]]:
        return [json.loads(value) for value in committed(self.log, f"{self.prefix}out.entries")]
