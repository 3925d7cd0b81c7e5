"""Ports on 127.0.0.1 for processes that tests kill and start again."""

import contextlib
import random
import socket

# Below the range from which systems draw outgoing ports: while a process is down nobody else gets its port,
# and no client that tries to reconnect can connect to itself.
_PORTS = range(20_000, 32_000)
_TRIES = 200


def free_port() -> int:
    """Return a port on which nobody listens.

    Raises:
        OSError: none is found.
    """
    for port in random.sample(_PORTS, _TRIES):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no free port among {_TRIES} between {_PORTS.start} and {_PORTS.stop} on 127.0.0.1")
