"""Coordination: tuple spaces, locks, queues and a store by one client process, and the same by Redis."""

from __future__ import annotations

import tempfile
from functools import cache

from bench import redis_server
from bench.asks import kafka_node
from bench.processes import measure
from bench.redis_server import Redis
from bench.venvs import Unavailable

KAFKA, EMBEDDED, REDIS = "Kafka", "embedded", redis_server.NAME
WAYS = (KAFKA, EMBEDDED, REDIS)
LARGE_S = 600.0


def large(way: str, tuples: int) -> str:
    """The name of the task that fills one space with so many."""
    return f"{way}, {tuples:,} tuples"


def works(way: str, address: str, seconds: float, tuples: int = 0) -> dict[str, float]:
    """One repetition of all works, or with `tuples` of those in a space of so many.

    Parameters:
        way: one of `WAYS`.

    Raises:
        Unavailable: Redis cannot be had here.
    """
    rest = (str(seconds), str(tuples))
    if way == KAFKA:
        with kafka_node(address) as (node, prefix, _):
            return measure("together.own", "kafka", address, prefix, str(node.pid), *rest, timeout=LARGE_S)
    if way == EMBEDDED:
        with tempfile.TemporaryDirectory(prefix="plexstream-bench-") as folder:
            return measure("together.own", "embedded", folder, "-", "0", *rest, timeout=LARGE_S)
    redis = _redis()
    if isinstance(redis, str):
        raise Unavailable(redis)
    with redis_server.served(redis) as (port, server):
        numbers = (str(port), str(server.pid))
        return measure("peers.redis_works", *numbers, *rest, timeout=LARGE_S, python=redis.python)


def stored(entries: int, reads: int) -> dict[str, float]:
    """Microseconds of a read of plexstream's store."""
    with tempfile.TemporaryDirectory(prefix="plexstream-bench-") as folder:
        return measure("together.stored", folder, str(entries), str(reads))


@cache
def _redis() -> Redis | str:
    """It, or why it is not here; asked for once."""
    try:
        return redis_server.find()
    except Unavailable as error:
        return str(error)
