"""Callers from outside that go before their time is up: what they waited for is the next one's."""

import asyncio
import socket
import time

import httpx
import pytest

from plexstream import AsyncClient, Client
from plexstream.edge.http.limits import GONE_S

LONG = 60.0


def until(look):
    end = time.monotonic() + LONG
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def client(served):
    with Client(served.url) as client:
        yield client


def waiting(client, name):
    return client.ts.space(name).status()[0]["takes"]


def written_for_nobody(client, name):
    """What is written once who waits has gone stays."""
    time.sleep(GONE_S + 1)  # the node hears of it
    client.ts.space(name).write(["a"])
    assert client.ts.space(name).take(["a"]) == ["a"]


def test_a_connection_that_breaks_is_a_caller_that_is_gone(served, client):
    host, port = httpx.URL(served.url).host, httpx.URL(served.url).port
    body = b'{"pattern": ["a"], "wait": null}'
    with socket.create_connection((host, port)) as connection:
        connection.sendall(
            b"POST /v1/spaces/broken/take HTTP/1.1\r\nhost: %b\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (f"{host}:{port}".encode(), len(body), body)
        )
        until(lambda: waiting(client, "broken") == 1)
    written_for_nobody(client, "broken")


def test_a_task_that_is_cancelled_is_a_caller_that_is_gone(served, client):
    async def play():
        async with AsyncClient(served.url) as mine:
            task = asyncio.ensure_future(mine.ts.space("cancelled").take(["a"], wait=None))
            while not await asyncio.to_thread(waiting, client, "cancelled"):
                await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(play())
    written_for_nobody(client, "cancelled")


def test_who_is_there_still_gets_it(served, client):
    async def play():
        async with AsyncClient(served.url) as mine:
            ts = mine.ts.space("next")
            first, second = (asyncio.ensure_future(ts.take(["a"], wait=None)) for _ in range(2))
            while await asyncio.to_thread(waiting, client, "next") < 2:
                await asyncio.sleep(0.02)
            first.cancel()
            await asyncio.wait([first])
            await asyncio.sleep(GONE_S + 1)  # the node hears of it
            await ts.write(["a"])
            return await second

    assert asyncio.run(play()) == ["a"]
