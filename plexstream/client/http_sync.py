"""Requests of threads, on urllib3: each caller has a connection of its own."""

from __future__ import annotations

import time
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from plexstream.client.over_http import IDLE_S, Answer, Attempt, Failed, Fault, closed, failed

_KEPT = 1_000
"""Connections that are kept while no caller has them."""


class _Idle:
    """A connection that counts as lost once it was idle for long."""

    used = 0.0

    @property
    def is_connected(self) -> bool:
        fresh = time.monotonic() - self.used < IDLE_S
        return fresh and super().is_connected  # type: ignore[misc]

    def getresponse(self) -> Any:
        answer = super().getresponse()  # type: ignore[misc]
        self.used = time.monotonic()
        return answer


class _Plain(_Idle, HTTPConnection):
    pass


class _Secure(_Idle, HTTPSConnection):
    pass


class Http:
    """Sends to the server at `url`. Thread-safe."""

    def __init__(self, url: str) -> None:
        goes = urllib3.util.parse_url(url)
        self._prefix = goes.path or ""
        self._closed = False
        secure = goes.scheme == "https"
        kind = urllib3.HTTPSConnectionPool if secure else urllib3.HTTPConnectionPool
        self._pool: urllib3.HTTPConnectionPool = kind(goes.host or "", goes.port, maxsize=_KEPT, block=False)
        self._pool.ConnectionCls = _Secure if secure else _Plain

    def send(self, attempt: Attempt) -> Answer | Failed:
        """Make one attempt. Raises LogUnavailable after `close`."""
        if self._closed:
            raise closed()
        try:
            answer = self._pool.urlopen(
                attempt.method, self._prefix + attempt.path, attempt.content or None, attempt.headers,
                retries=False, redirect=False, timeout=attempt.timeout,
            )  # fmt: skip
            return Answer(answer.status, answer.data)
        except (NewConnectionError, ConnectTimeoutError, SSLError, ClosedPoolError) as error:
            return failed(Fault.NOT_SENT, error)
        except ReadTimeoutError as error:
            return failed(Fault.LATE, error)
        except ProtocolError as error:
            late = any(isinstance(cause, TimeoutError) for cause in error.args)  # while it was sent
            return failed(Fault.LATE if late else Fault.BROKEN, error)
        except HTTPError as error:
            return failed(Fault.BROKEN, error)

    def close(self) -> None:
        """End it. What is under way is not waited for."""
        self._closed = True
        self._pool.close()
