"""Serving the HTTP front by uvicorn, in the main thread, where it heeds signals, or in another."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from plexstream.edge.connection import Connections
from plexstream.edge.limits import LIMITS, HttpLimits
from plexstream.model.errors import ConfigError

BACKLOG = 2048
GRACE = 4  # seconds that requests under way are given at the end

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Heed signals while serving. Unlike uvicorn's own, does not raise them again afterwards: that would
        end the process before its other parts are closed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class HttpServer:
    """Listens from the moment it is made, so that `port` is known, and serves once it is run.

    Args:
        app: an ASGI application.
        host: an address of this machine; all of them by "0.0.0.0" or "::".
        port: 0 for any that is free.
        grace: seconds that requests under way are given at the end.
        limits: of what is taken of clients; of its connections no more than half the process's files.

    Raises:
        ConfigError: the address cannot be listened on.
    """

    def __init__(
        self, app: Callable[..., Any], host: str = "127.0.0.1", port: int = 8080, *, grace: float = GRACE,
        access_log: bool = False, limits: HttpLimits = LIMITS,
    ) -> None:  # fmt: skip
        self.connections = Connections(limits.below_the_file_limit())
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host} port {port}: {error.strerror or error}; choose another host or port"
            ) from error
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self._grace = grace
        self._server = _Server(
            uvicorn.Config(
                app, http=self.connections, loop="uvloop", lifespan="off", ws="none",  # type: ignore[arg-type]
                access_log=access_log, log_config=None, server_header=False, backlog=BACKLOG,
                timeout_keep_alive=int(limits.keep_alive_s), timeout_graceful_shutdown=max(1, int(grace)),
            )
        )  # fmt: skip
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it can be reached from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def run(self) -> None:
        """Serve until `stop`, or SIGINT or SIGTERM where this is the main thread; then finish gracefully."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def start(self) -> None:
        """Serve in a thread of its own; returns when it does."""
        self._thread = threading.Thread(target=self.run, name=f"plexstream-http-{self.port}", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)

    def stop(self) -> None:
        """Take no new requests and finish those under way. Waits for that if `start` was used."""
        self._server.should_exit = True
        if self._thread is None:
            return
        self._thread.join(self._grace + 5.0)
        self._thread = None


def serve(
    app: Callable[..., Any], host: str = "127.0.0.1", port: int = 8080, *, access_log: bool = False
) -> None:
    """Serve `app` in this thread until it is told to end. Raises ConfigError, as `HttpServer` does."""
    HttpServer(app, host, port, access_log=access_log).run()
