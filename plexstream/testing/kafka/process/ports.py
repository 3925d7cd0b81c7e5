"""Ports of this machine for processes that tests kill and start again."""

import contextlib
import random
import socket

# Below the range from which systems draw outgoing ports: while a process is down nobody else gets its port,
# and no client that tries to reconnect can connect to itself.
_PORTS = range(20_000, 32_000)
_TRIES = 200
_given: set[int] = set()


def free_port() -> int:
    """Return a port on which nobody listens, on whatever address, and that was not returned before.

    Raises:
        OSError: none is found.
    """
    for port in random.sample(_PORTS, _TRIES):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            if port not in _given:  # who got it may not listen yet
                _given.add(port)
                return port
    raise OSError(f"no free port among {_TRIES} between {_PORTS[0]} and {_PORTS[-1]}")
