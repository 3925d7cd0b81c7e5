"""Tells when a Kafka broker is ready to serve."""

import contextlib
import struct
import time
from collections.abc import Callable, Iterator

from plexstream.testing.kafka.speaking.requests import (
    FIND_COORDINATOR,
    INIT_PRODUCER_ID,
    METADATA,
    Target,
    ask,
)

_GROUP, _TRANSACTION = 0, 1
_POLL_SECONDS = 0.02


def wait_until_ready(
    address: str, timeout: float, cluster_id: str | None = None, alive: Callable[[], bool] = lambda: True
) -> bool:
    """Wait until the broker serves clients, its group and transaction coordinators included.

    A broker creates the coordinators' topics when the first client asks for them, which makes that client
    wait for seconds by its own retry timers. Asking here makes every later start of a client quick.

    Args:
        address: `host:port` of the broker.
        timeout: seconds to wait at most.
        cluster_id: the cluster that must answer; it tells our broker from another one on the same port.
        alive: asked between attempts; waiting is pointless once it returns False.

    Returns:
        Whether the broker is ready.
    """
    host, _, port = address.rpartition(":")
    target = (host, int(port))
    end = time.monotonic() + timeout
    steps = _steps(target, cluster_id)
    step = next(steps, None)
    while step is not None:
        if time.monotonic() > end or not alive():
            return False
        # Not listening yet, or gone in the middle of an answer.
        with contextlib.suppress(OSError, struct.error):
            if step():
                step = next(steps, None)
                continue
        time.sleep(_POLL_SECONDS)
    return True


def _steps(target: Target, cluster_id: str | None) -> Iterator[Callable[[], bool]]:
    yield lambda: _serves(target, cluster_id)
    for kind in (_GROUP, _TRANSACTION):
        body = struct.pack(">h1sb", 1, b"-", kind)
        yield lambda body=body: _succeeds(target, FIND_COORDINATOR, body)  # type: ignore[misc]
    yield lambda: _succeeds(target, INIT_PRODUCER_ID, struct.pack(">hi", -1, 60_000))


def _serves(target: Target, cluster_id: str | None) -> bool:
    no_topics = struct.pack(">i?", 0, False)
    answer = ask(target, METADATA, 4, no_topics)
    _throttled, brokers = struct.unpack_from(">ii", answer)
    return brokers > 0 and (cluster_id or "").encode() in answer


def _succeeds(target: Target, api: int, body: bytes) -> bool:
    _throttled, error = struct.unpack_from(">ih", ask(target, api, 1, body))
    return bool(error == 0)
