"""Serving the HTTP front by uvicorn, in the main thread, where it heeds signals, or in another."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import uvicorn

from plexstream.edge.http.limits import LIMITS, HttpLimits
from plexstream.edge.http.serving.connection import Connection
from plexstream.edge.http.serving.shared import Connections
from plexstream.model.errors import ConfigError
from plexstream.model.process.threads import Lasting

BACKLOG = 2048
GRACE = 3  # seconds that requests under way are given at the end

_LAST_S = 1.0  # after which connections are cut, whatever is unsent

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    failure: BaseException | None = None

    async def main_loop(self) -> None:
        """Whatever goes wrong here, what is open is closed: uvloop waits for that without end."""
        try:
            await super().main_loop()
        except BaseException as error:
            self.failure = error

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, which cancels tasks after the grace. What has no task ends here, and so do
        connections, for which uvloop would wait without end."""
        await super().shutdown(sockets)
        open = cast("set[Connection]", self.server_state.connections)
        for connection in list(open):
            connection.stop()
        end = time.monotonic() + _LAST_S
        while open and time.monotonic() < end:
            await asyncio.sleep(0.01)
        for connection in list(open):
            connection.transport.abort()
        await asyncio.sleep(0)

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
        failed: told what went wrong, where it serves in a thread that had to end.
        limits: of what is taken of clients; of its connections no more than half the process's files.

    Raises:
        ConfigError: the address cannot be listened on.
    """

    def __init__(
        self, app: Callable[..., Any], host: str = "127.0.0.1", port: int = 8080, *, grace: float = GRACE,
        access_log: bool = False, limits: HttpLimits = LIMITS,
        failed: Callable[[BaseException], None] = lambda _: None,
    ) -> None:  # fmt: skip
        plain = None if access_log else getattr(app, "plain", None)  # uvicorn logs what goes through it
        self.connections = Connections(limits.below_the_file_limit(), plain)
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
                app, http=partial(Connection, self.connections), loop="uvloop",  # type: ignore[arg-type]
                lifespan="off", ws="none", interface="asgi3", proxy_headers=False, server_header=False,
                access_log=access_log, log_config=None, backlog=BACKLOG,
                timeout_graceful_shutdown=max(1, int(grace)),
            )
        )  # fmt: skip
        self.thread: Lasting | None = None
        self._failed = failed

    @property
    def url(self) -> str:
        """Where it can be reached from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def run(self) -> None:
        """Serve until `stop`, or SIGINT or SIGTERM where this is the main thread; then finish gracefully."""
        try:
            self._server.run(sockets=[self._socket])
            if self._server.failure is not None:
                raise self._server.failure
        finally:
            self._socket.close()

    def start(self) -> None:
        """Serve in a thread of its own; returns when it does."""
        self.thread = Lasting("http", self.run, lambda: self._server.should_exit, self.port, self._broken)
        self.thread.start()
        while not self._server.started and not self.thread.failures:
            time.sleep(0.005)

    def _broken(self, error: BaseException) -> None:
        """Its socket is closed, so that it cannot begin anew."""
        self._server.should_exit = True
        self._failed(error)

    def stop(self) -> None:
        """Take no new requests and finish those under way. Waits for that if `start` was used."""
        self._server.should_exit = True
        if self.thread is None:
            return
        self.thread.join(self._grace + 5.0)


def serve(
    app: Callable[..., Any], host: str = "127.0.0.1", port: int = 8080, *, access_log: bool = False
) -> None:
    """Serve `app` in this thread until it is told to end. Raises ConfigError, as `HttpServer` does."""
    HttpServer(app, host, port, access_log=access_log).run()
