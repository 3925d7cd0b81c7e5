"""Connections of event loops: the first of several addresses, and none is forgotten when it is given up."""

import asyncio
import contextlib
import gc
import socket
import time

import pytest

from plexstream.client.http import connecting
from plexstream.client.http.asynchronous import AsyncHttp
from plexstream.client.http.over_http import Attempt


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield server.getsockname()[1]


def open_to(port):
    """The sockets of this process that are connected to a port."""
    found = [o for o in gc.get_objects() if isinstance(o, socket.socket) and o.fileno() >= 0]
    return [s for s in found if s.family == socket.AF_INET and _peer(s) == ("127.0.0.1", port)]


def _peer(s):
    with contextlib.suppress(OSError):
        return s.getpeername()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("turns", range(12))
def test_none_is_forgotten_where_the_time_is_over_as_it_is_made(port, host, turns):
    """The loop stands still after so many of its turns, so that both have happened when it goes on."""

    async def main():
        http = AsyncHttp(f"http://{host}:{port}")
        attempt = Attempt("/", {}, b"", 0.1)
        sending = asyncio.ensure_future(http.send(attempt))
        for _ in range(turns):
            await asyncio.sleep(0)
        time.sleep(0.15)
        await sending
        await http.close()

    asyncio.run(main())
    assert open_to(port) == []


@pytest.mark.parametrize("turns", range(12))
def test_none_is_forgotten_where_its_caller_is_cancelled(port, turns):
    async def main():
        http = AsyncHttp(f"http://localhost:{port}")
        sending = asyncio.ensure_future(http.send(Attempt("/", {}, b"", 5.0)))
        for _ in range(turns):
            await asyncio.sleep(0)
        time.sleep(0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await http.close()

    asyncio.run(main())
    assert open_to(port) == []


class Racing:
    """Connects as it is told: by address how long that takes, and whether it fails."""

    def __init__(self, **how):
        self.how, self.begun, self.closed = how, [], []

    async def connect(self, address):
        self.begun.append(address)
        seconds, fails = self.how[address]
        with contextlib.suppress(asyncio.CancelledError) if fails == "deaf" else contextlib.nullcontext():
            await asyncio.sleep(seconds)
        if fails is True:
            raise OSError(address)
        return Transport(self, address), address


class Transport:
    def __init__(self, race, address):
        self.race, self.address = race, address

    def abort(self):
        self.race.closed.append(self.address)


def won(race):
    async def main():
        try:
            return (await connecting.first(race.connect, list(race.how)))[1]
        finally:
            await asyncio.sleep(0.05)

    return asyncio.run(main())


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(connecting, "NEXT_ADDRESS_S", 0.02)


@pytest.mark.usefixtures("soon")
def test_the_next_address_is_tried_where_one_fails_or_takes_long():
    refused = Racing(a=(0, True), b=(0, False))
    assert (won(refused), refused.begun) == ("b", ["a", "b"])
    silent = Racing(a=(60, False), b=(0, False))
    assert (won(silent), silent.begun, silent.closed) == ("b", ["a", "b"], [])
    slow = Racing(a=(0.1, False), b=(60, False))  # and goes on meanwhile
    assert (won(slow), slow.begun, slow.closed) == ("a", ["a", "b"], [])
    at_once = Racing(a=(0, False), b=(0, False))
    assert (won(at_once), at_once.begun) == ("a", ["a"])
    last = Racing(a=(0, True), b=(0.05, True), c=(0.1, False))
    assert won(last) == "c"


@pytest.mark.usefixtures("soon")
def test_one_that_is_made_too_late_is_closed():
    late = Racing(a=(0.05, "deaf"), b=(0, False))
    assert (won(late), late.closed) == ("b", ["a"])


@pytest.mark.usefixtures("soon")
def test_where_none_is_reached_the_first_error_counts():
    with pytest.raises(OSError, match="a"):
        won(Racing(a=(0.05, True), b=(0, True)))


def test_addresses_of_hosts():
    async def main(host):
        return await connecting.addresses(asyncio.get_running_loop(), host, 80)

    assert asyncio.run(main("10.0.0.1")) == ["10.0.0.1"]
    assert asyncio.run(main("::1")) == ["::1"]
    assert "127.0.0.1" in asyncio.run(main("localhost"))
    with pytest.raises(socket.gaierror):
        asyncio.run(main("no.such.host.invalid"))
