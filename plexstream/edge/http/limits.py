"""How much the HTTP front takes of anybody."""

from __future__ import annotations

import resource
from collections.abc import Container
from typing import NamedTuple

MAX_CONNECTIONS = 10_000
_FILES_OF_OTHERS = 0.5
"""The part of the files that a process may have open that connections leave to logs, stores and brokers."""

WAITS = "plexstream.waits"
"""In the scope of a request whose answer may take as long as it likes: a client that ends the connection
meanwhile is rather one that was killed than one that sends no more and wants its answer."""
GONE_S = 1.0
"""Seconds that such a client has."""


class HttpLimits(NamedTuple):
    """Limits of the HTTP front.

    Attributes:
        connections: open at once. The longest idle one is closed for a new one; where all are busy, a new
            one is answered with 503.
        header_bytes: of a request's line and headers together; more is 431.
        headers: how many; more is 431.
        url_bytes: of path and query; more is 414.
        body_bytes: of all requests that have no answer yet, together; more is 503.
        request_s: seconds for a request to arrive as a whole, and for a client to take an answer.
        keep_alive_s: seconds that an idle connection is kept: more than common clients and proxies keep it.
        half_closed_s: seconds that a client is still worked for that sends no more: it may wait for its
            answer, or be gone, which cannot be told apart.
    """

    connections: int = MAX_CONNECTIONS
    header_bytes: int = 32 << 10
    headers: int = 100
    url_bytes: int = 8 << 10
    body_bytes: int = 128 << 20
    request_s: float = 30.0
    keep_alive_s: float = 75.0
    half_closed_s: float = 30.0

    def below_the_file_limit(self) -> HttpLimits:
        """The same with no more connections than this process may have files open for."""
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if files == resource.RLIM_INFINITY:
            return self
        return self._replace(connections=max(1, min(self.connections, int(files * (1 - _FILES_OF_OTHERS)))))

    def patience(self, scope: Container[str]) -> float:
        """Seconds until a client is gone that sends no more while its request is handled."""
        return GONE_S if WAITS in scope else self.half_closed_s


LIMITS = HttpLimits()
"""The defaults."""
