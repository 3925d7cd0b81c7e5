"""A call over a connection that breaks: repeated only where that cannot double an effect."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from unittest.mock import Mock

import pytest

from plexstream.client import AsyncClient, Client
from plexstream.client.http import asynchronous as http_async
from plexstream.client.http import over_http
from plexstream.client.http import sync as http_sync
from plexstream.client.http.over_http import Attempt, Failed, Fault, Pause, exchange
from plexstream.client.request import request
from plexstream.model.errors import CallError, LogUnavailable, TimedOut, TooLarge
from plexstream.testing.kafka.process.ports import free_port

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1\r\nconnection: close\r\n\r\n7"


class Server:
    """Answers each connection's first request with the next of `answers`; None breaks the connection."""

    def __init__(self, *answers, port=0):
        self.requests = []
        self._answers = list(answers)
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        for answer in self._answers:
            connection, _ = self._socket.accept()
            with connection:
                connection.settimeout(30)
                got = b""
                while b"\r\n\r\n" not in got or not got.endswith(b"}"):
                    got += connection.recv(65536)
                self.requests.append(got)
                if answer is not None:
                    connection.sendall(answer)
        self._socket.close()


def test_a_broken_call_with_a_key_is_repeated_with_the_same_key():
    server = Server(None, None, OK)
    with Client(server.url) as client:
        assert client.ask("a/b", "c", idempotency_key="k1", n=1) == 7
    assert len(server.requests) == 3
    for sent in server.requests:
        assert b"idempotency-key: k1" in sent
        assert sent.endswith(b'{"n":1}')


def test_a_broken_call_without_a_key_is_not_repeated():
    server = Server(None, OK)
    with Client(server.url) as client, pytest.raises(LogUnavailable, match=r"unknown.*idempotency key"):
        client.ask("a/b", "c")
    time.sleep(0.05)
    assert len(server.requests) == 1


def test_a_refused_connection_is_tried_again_until_the_server_is_there():
    port = free_port()
    servers = []
    timer = threading.Timer(0.15, lambda: servers.append(Server(OK, port=port)))
    timer.start()
    with Client(f"http://127.0.0.1:{port}") as client:
        assert client.ask("a/b", "c") == 7
    timer.join()
    assert len(servers[0].requests) == 1


def test_a_server_that_is_never_there_is_an_error_within_the_timeout():
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url) as client, pytest.raises(LogUnavailable, match=r"not reached within 0\.2 s"):
        client.ask("a/b", "c", timeout=0.2)


def test_asyncio_retries_alike():
    server = Server(None, OK)

    async def main():
        async with AsyncClient(server.url) as client:
            return await client.ask("a/b", "c", idempotency_key="k1")

    assert asyncio.run(main()) == 7
    assert len(server.requests) == 2


def test_an_outcome_that_stays_unknown_is_a_timeout():
    server = Server(None)  # later attempts are refused
    with Client(server.url) as client, pytest.raises(TimedOut, match="may still take effect"):
        client.ask("a/b", "c", idempotency_key="k", timeout=0.2)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (502, b"<html>", LogUnavailable),
        (503, b"", LogUnavailable),
        (504, b"", TimedOut),
        (413, b"", TooLarge),
        (500, b'{"code":"from_the_future","detail":"d"}', CallError),
        (503, b'{"code":"log_unavailable","detail":"d"}', LogUnavailable),
        (400, b"\xff", CallError),
    ],
)
def test_answers_of_proxies_and_of_newer_servers(status, body, expected):
    answer = b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (status, len(body)) + body
    with Client(Server(answer).url) as client, pytest.raises(expected) as caught:
        client.ask("a/b", "c")
    assert type(caught.value) is expected


class Keeping(threading.Thread):
    """A server that answers any number of requests on each connection; `connections` counts these."""

    def __init__(self):
        super().__init__(daemon=True)
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.start()

    def run(self):
        while True:
            connection, _ = self._socket.accept()
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            while got := connection.recv(65536):
                if got.endswith(b"}"):
                    connection.sendall(OK.replace(b"connection: close\r\n", b""))


@pytest.mark.parametrize(("idle", "connections"), [(30.0, 1), (0.001, 3)])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch, kind, idle, connections):
    monkeypatch.setattr(http_sync, "IDLE_S", idle)
    monkeypatch.setattr(http_async, "IDLE_S", idle)
    server = Keeping()

    async def on_a_loop():
        async with AsyncClient(server.url) as client:
            for _ in range(3):
                assert await client.ask("a/b", "c") == 7
                await asyncio.sleep(0.02)

    if kind == "async":
        asyncio.run(on_a_loop())
    else:
        with Client(server.url) as client:
            for _ in range(3):
                assert client.ask("a/b", "c") == 7
                time.sleep(0.02)
    assert server.connections == connections


def test_attempts_share_one_deadline_and_pauses_grow(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(over_http, "time", Mock(monotonic=lambda: now[0]))
    monkeypatch.setattr(over_http, "random", Mock(random=lambda: 1.0))
    steps = exchange(request(False, "a/b", "c", None, {}, 0.5, "k"))
    step = next(steps)
    timeouts, pauses = [], []

    def advance():
        if isinstance(step, Pause):
            pauses.append(step.seconds)
            now[0] += step.seconds
            return steps.send(None)
        assert isinstance(step, Attempt)
        timeouts.append(step.timeout)
        return steps.send(Failed(Fault.NOT_SENT, "refused"))

    with contextlib.suppress(LogUnavailable):
        while True:
            step = advance()
    assert pauses == pytest.approx([0.02, 0.04, 0.08, 0.16])  # the next one would be too long
    assert timeouts == pytest.approx([1.5, 1.48, 1.44, 1.36, 1.2])
