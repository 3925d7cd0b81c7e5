"""Requests of threads: each caller has a connection of its own."""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
from collections import deque

import httptools

from plexstream.client.http.over_http import IDLE_S, Answer, Attempt, Failed, Fault, closed, failed
from plexstream.client.http.wire import SLICE, Answers, Origin

_KEPT = 1_000
"""Connections that are kept while no caller has them."""


class _Connection:
    """Has one request on its way, or none. Its socket never waits: it asks `poll` when there is nothing to do
    but wait, which takes half the system calls of a socket with a time limit."""

    def __init__(self, to: Origin, timeout: float) -> None:
        self._socket = socket.create_connection((to.host, to.port), timeout)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if to.tls is not None:
                self._socket = to.tls.wrap_socket(self._socket, server_hostname=to.host)
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise
        self._answers = Answers()
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(self._socket, select.POLLIN)
        self._writable.register(self._socket, select.POLLOUT)
        self._used = time.monotonic()

    def is_fresh(self) -> bool:
        """Whether it was idle for short, and the server has not closed it, nor said something unasked."""
        return time.monotonic() - self._used < IDLE_S and not self._readable.poll(0)

    def keeps(self) -> bool:
        """Whether it may carry another request."""
        return self._answers.keeps

    def exchange(self, request: bytes, until: float) -> Answer:
        """Send a request, and wait for its answer until then, on the monotonic clock.

        Raises:
            OSError: the connection broke; TimeoutError: it is `until`.
            httptools.HttpParserError: what came is no HTTP.
        """
        self._send(request, until)
        _wait(self._readable, until)
        while True:
            try:
                data = self._socket.recv(SLICE)
            except (BlockingIOError, ssl.SSLWantReadError):
                _wait(self._readable, until)
                continue
            except ssl.SSLWantWriteError:
                _wait(self._writable, until)
                continue
            answer = self._answers.feed(data) if data else self._answers.end()
            if answer is not None:
                self._used = time.monotonic()
                return answer
            if not data:
                raise ConnectionError("the server closed the connection")

    def _send(self, request: bytes, until: float) -> None:
        left = memoryview(request)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                _wait(self._writable, until)
            except ssl.SSLWantReadError:
                _wait(self._readable, until)

    def close(self) -> None:
        self._socket.close()


def _wait(for_what: select.poll, until: float) -> None:
    left = until - time.monotonic()
    if left <= 0 or not for_what.poll(left * 1000):
        raise TimeoutError("the answer is late")


class Http:
    """Sends to the server at `url`. Thread-safe. Raises ConfigError for no such url."""

    def __init__(self, url: str) -> None:
        self._origin = Origin(url)
        self._idle: deque[_Connection] = deque(maxlen=_KEPT)  # the longest idle first
        self._process = os.getpid()
        self._closed = False

    def send(self, attempt: Attempt) -> Answer | Failed:
        """Make one attempt. Raises LogUnavailable after `close`."""
        if self._closed:
            raise closed()
        until = time.monotonic() + attempt.timeout
        request = self._origin.request(attempt.method, attempt.path, attempt.headers, attempt.content)
        connection = self._take()
        if connection is None:
            try:
                connection = _Connection(self._origin, attempt.timeout)
            except (OSError, ValueError) as error:  # no such name, refused, no certificate, late
                return failed(Fault.NOT_SENT, error)
        keeps = False
        try:
            answer = connection.exchange(request, until)
            keeps = connection.keeps()
            return answer
        except TimeoutError as error:
            return failed(Fault.LATE, error)
        except (OSError, httptools.HttpParserError) as error:
            return failed(Fault.BROKEN, error)
        finally:
            if keeps:
                self._release(connection)
            else:
                connection.close()

    def _take(self) -> _Connection | None:
        if self._process != os.getpid():  # forked: these are the parent's connections
            self._process = os.getpid()
            self._close_idle()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_fresh():
                return connection
            connection.close()

    def _release(self, connection: _Connection) -> None:
        self._idle.append(connection)
        if self._closed:
            self._close_idle()

    def _close_idle(self) -> None:
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def close(self) -> None:
        """End it. What is under way is not waited for."""
        self._closed = True
        self._close_idle()
