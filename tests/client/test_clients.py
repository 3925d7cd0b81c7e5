"""The same results and errors over HTTP and over a log, from threads and from asyncio."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from echo import Responder, create_topics, error, reply

from plexstream.client import AsyncClient, Client
from plexstream.log.embedded.log import EmbeddedLog
from plexstream.model.errors import (
    CALL_ERRORS,
    BadAddress,
    BadArguments,
    ConfigError,
    LogUnavailable,
    TimedOut,
    TopicMissing,
)
from plexstream.model.messages.idempotency import make_id, mark
from plexstream.model.messages.message import ASK, TELL


class Blocking:
    """An AsyncClient on a loop in a thread of its own, used like a Client: one set of tests for both."""

    def __init__(self, *args, **options):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._client = self._run(self._open(*args, **options))

    async def _open(self, *args, **options):
        return await AsyncClient(*args, **options).__aenter__()

    def _run(self, awaitable):
        return asyncio.run_coroutine_threadsafe(awaitable, self._loop).result(10)

    def ask(self, *args, **options):
        return self._run(self._client.ask(*args, **options))

    def tell(self, *args, **options):
        return self._run(self._client.tell(*args, **options))

    def close(self):
        self._run(self._client.close())

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._run(self._client.__aexit__(*exc))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(params=["http", "log"])
def way(request, node):
    return {"url": node.server.url} if request.param == "http" else {"log": node.log, "topics": node.topics}


@pytest.fixture(params=[Client, Blocking], ids=["sync", "async"])
def client(request, way):
    with request.param(**way) as client:
        yield client


def test_ask_in_both_forms(node, client):
    assert client.ask("account/alice", "deposit", {"amount": 5}) == {"amount": 5}
    assert client.ask("account/alice", "deposit", amount=5, memo="ä") == {"amount": 5, "memo": "ä"}
    assert client.ask("account/alice", "balance") == {}
    odd = {"timeout": 1, "target": 2}
    assert client.ask("acme/eu/account/al ice%?#", "deposit", odd) == odd
    message = node.responder.seen[-1]
    assert (message.kind, message.target, message.handler) == (ASK, "acme/eu/account/al ice%?#", "deposit")


@pytest.mark.parametrize("value", [None, 0, "x", [1, {"a": None}], 1.5, True])
def test_results_are_any_json(node, client, value):
    node.responder.answer = lambda ask: reply(ask, json.dumps(value).encode())
    assert client.ask("a/b", "c") == value


def test_tell(node, client):
    begun = client.tell("account/alice", "note", text="hi", idempotency_key="k9")
    assert client.ask("account/alice", "x") == {}
    message = node.responder.seen[0]
    assert (message.kind, message.payload, message.idempotency_key) == (TELL, b'{"text":"hi"}', "k9")
    assert begun.id == make_id(message.target, "note", mark("k9", b'{ "text": "hi" }'))
    assert client.tell("account/alice", "note").id.endswith(".")  # what has no key has no digest


@pytest.mark.parametrize("code", sorted(CALL_ERRORS))
def test_the_same_errors_either_way(node, client, code):
    node.responder.answer = lambda ask: error(ask, code, "because", {"n": 1})
    with pytest.raises(CALL_ERRORS[code]) as caught:
        client.ask("account/alice", "deposit")
    assert type(caught.value) is CALL_ERRORS[code]
    assert (caught.value.detail, caught.value.data) == ("because", {"n": 1})


def test_a_deadline(node, client):
    node.responder.answer = lambda ask: None
    with pytest.raises(TimedOut, match=r"account/alice\.deposit.*idempotency key"):
        client.ask("account/alice", "deposit", timeout=0.05)


def test_an_idempotency_key_goes_along(node, client):
    client.ask("account/alice", "deposit", idempotency_key="k1")
    assert node.responder.seen[0].idempotency_key == "k1"
    client.ask("account/alice", "deposit")
    assert node.responder.seen[1].idempotency_key == ""


def test_what_cannot_be_sent(node, client):
    with pytest.raises(BadAddress):
        client.ask("alice", "deposit")
    with pytest.raises(BadArguments, match="not both"):
        client.ask("a/b", "c", {"x": 1}, y=2)
    with pytest.raises(BadArguments, match="JSON"):
        client.ask("a/b", "c", x=object())
    with pytest.raises(BadArguments, match="list"):
        client.ask("a/b", "c", [1])
    with pytest.raises(BadArguments, match="timeout"):
        client.tell("a/b", "c", timeout=-1)
    assert not node.responder.seen


def test_many_callers_of_one_client(node, way):
    async def main():
        async with AsyncClient(**way) as client:
            results = await asyncio.gather(*[client.ask(f"a/{i}", "c", n=i) for i in range(200)])
            assert results == [{"n": i} for i in range(200)]

    asyncio.run(main())


def test_one_client_for_many_threads(node, way):
    results = []
    with Client(**way) as client:
        threads = [
            threading.Thread(target=lambda n=n: results.append((client.ask(f"a/{n}", "c", n=n), n)))
            for n in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == 16
    assert all(result == {"n": n} for result, n in results)


def test_a_client_in_the_process_of_an_embedded_log(tmp_path, node):
    log = EmbeddedLog(str(tmp_path / "log"))
    create_topics(log, node.topics)
    with Responder(log, node.topics), Client(log=log, topics=node.topics) as client:
        assert client.ask("account/alice", "deposit", amount=5) == {"amount": 5}
        client.tell("account/alice", "deposit", amount=5)
    log.close()  # the client has left it open


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_where_a_client_goes_must_be_clear(node, kind):
    for options in ({}, {"url": "http://x", "log": node.log}, {"url": "localhost:8080"}, {"url": "ftp://x"}):
        with pytest.raises(ConfigError):
            kind(**options)
    with pytest.raises(TopicMissing):
        kind(log=node.log)


def test_a_closed_client_says_so(client):
    client.close()
    with pytest.raises(LogUnavailable, match="closed"):
        client.ask("a/b", "c")
