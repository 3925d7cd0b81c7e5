"""Tells when a Kafka broker is ready to serve, in Kafka's own protocol.

A client library would do, but hides its retries: its timers would decide how long a start takes.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator

_METADATA, _FIND_COORDINATOR, _INIT_PRODUCER_ID = 3, 10, 22
_GROUP, _TRANSACTION = 0, 1
_CLIENT = b"probe"
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


def _steps(target: tuple[str, int], cluster_id: str | None) -> Iterator[Callable[[], bool]]:
    yield lambda: _serves(target, cluster_id)
    for kind in (_GROUP, _TRANSACTION):
        body = struct.pack(">h1sb", 1, b"-", kind)
        yield lambda body=body: _succeeds(target, _FIND_COORDINATOR, body)  # type: ignore[misc]
    yield lambda: _succeeds(target, _INIT_PRODUCER_ID, struct.pack(">hi", -1, 60_000))


def _serves(target: tuple[str, int], cluster_id: str | None) -> bool:
    no_topics = struct.pack(">i?", 0, False)
    answer = _ask(target, _METADATA, 4, no_topics)
    _throttled, brokers = struct.unpack_from(">ii", answer)
    return brokers > 0 and (cluster_id or "").encode() in answer


def _succeeds(target: tuple[str, int], api: int, body: bytes) -> bool:
    _throttled, error = struct.unpack_from(">ih", _ask(target, api, 1, body))
    return bool(error == 0)


def _ask(target: tuple[str, int], api: int, version: int, body: bytes) -> bytes:
    """Send one request, of a version from before the compact encodings, and return the answer's body."""
    request = struct.pack(">hhih", api, version, 0, len(_CLIENT)) + _CLIENT + body
    with socket.create_connection(target, 2) as connection:
        connection.settimeout(5)
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as stream:
            size, _correlation = struct.unpack(">ii", stream.read(8))
            return stream.read(size - 4)
