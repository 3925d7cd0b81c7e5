"""Bytes that are no HTTP, or another one; and the same answers whatever the version."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack

import pytest
from echo import eventually
from rough import JSON, PATH, connect, is_closed, post, read, request, say

from plexstream.log.base import TopicSpec

REQUESTS = {
    "ask": post(b'{"a": 1}'),
    "read": request("GET", PATH + "?a=1"),
    "live": request("GET", "/health/live"),
    "head": request("HEAD", "/health/live"),
    "options": request("OPTIONS", PATH),
    "no route": request("GET", "/nothing"),
    "bad json": post(b"{"),
    "bad address": post(path="/v1/actors/a//b"),
    "not allowed": request("DELETE", PATH, JSON),
    "no json": request("POST", PATH, body=b"{}"),
    "foreign": request("GET", PATH, host="evil.example"),
    "too large": post(b'{"a":"' + b"x" * 20_000 + b'"}'),
    "topic": request("GET", "/v1/topics/none"),
    "system": request("GET", "/v1/topics/test.mailbox"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_same_answers_whatever_the_version(node, name):
    data = REQUESTS[name]
    method = data.split(b" ")[0].decode()
    plain = say(node, data, method)
    old = say(node, data.replace(b"HTTP/1.1", b"HTTP/1.0", 1), method)
    closed = say(node, data.replace(b"\r\n", b"\r\nconnection: close\r\n", 1), method)
    lasting = data.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\nconnection: keep-alive\r\n", 1)
    with connect(node) as connection:
        connection.sendall(data)
        kept = [read(connection, method)]
        connection.sendall(data)
        kept.append(read(connection, method))
        connection.sendall(data + data)  # both at once
        kept += [read(connection, method), read(connection, method)]
    answers = [plain, old, closed, say(node, lasting, method), *kept]
    seen = {(a.status, a.headers.get("content-type"), a.headers.get("allow"), a.body) for a in answers}
    assert len(seen) == 1, seen
    if plain.status >= 400:
        assert plain.problem()["instance"]
    assert old.headers.get("connection") == "close"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/3.0\r\nhost: localhost\r\n\r\n",
        post(version="2.0"),
        post(version="0.9"),
        post(b"{}", "idempotency-key: a", "idempotency-key: b"),
        post(b"{}", "origin: http://localhost", "origin: http://localhost"),
        b"\x00" * 50,
        b"GET / HTTP/1.1\r\nhost : localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\n folded: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: local\x00host\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET nothing HTTP/1.1\r\nhost: localhost\r\n\r\n",
        request("POST", PATH, JSON, "content-length: 2", "content-length: 3", "x: y") + b"{}",
        request("POST", PATH, JSON, "content-length: -1"),
        request("POST", PATH, JSON, "content-length: 99999999999999999999999"),
        request("POST", PATH, JSON, "content-length: 2", "transfer-encoding: chunked") + b"0\r\n\r\n",
        request("POST", PATH, JSON, "transfer-encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
        request("POST", PATH, JSON, "transfer-encoding: chunked, identity") + b"2\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_bytes_that_are_no_request(node, data):
    answer = say(node, data)
    assert (answer.status, answer.code) == (400, "bad_request")
    assert not node.responder.seen
    assert say(node, post()).status == 200


def test_what_follows_something_unreadable_is_not_heard(node):
    answer = say(node, b"\x00\r\n\r\n" + post())
    assert answer.code == "bad_request"
    assert not node.responder.seen


def test_an_answer_that_is_due_comes_before_the_refusal(node):
    with connect(node) as connection:
        connection.sendall(post(b'{"a": 1}') + b"\x00\x00\r\n\r\n")
        assert read(connection).body == b'{"a": 1}'
        assert read(connection).code == "bad_request"
        assert is_closed(connection)


def test_a_body_behind_an_upgrade_is_not_swallowed(node):
    answer = say(node, post(b'{"a": 1}', "connection: upgrade", "upgrade: h2c"))
    assert (answer.status, answer.code) == (501, "not_supported")
    assert not node.responder.seen
    with connect(node) as connection:
        connection.sendall(request("GET", "/health/live", "connection: upgrade", "upgrade: websocket"))
        assert read(connection, "GET").status == 200
        assert is_closed(connection)


@pytest.mark.parametrize("coding", ["gzip, chunked", "deflate,chunked", "x;q=1, chunked"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_coding_that_is_not_known_is_not_taken_for_the_body(node, coding, version):
    body = b"2\r\n{}\r\n0\r\n\r\n"
    data = request("POST", PATH, JSON, f"transfer-encoding: {coding}", body=body, version=version)
    answer = say(node, data)
    assert (answer.status, answer.code) == (501, "not_supported")
    assert not node.responder.seen


def test_an_empty_key_is_none(node):
    answer = say(node, post(b"{}", "idempotency-key:"))
    assert (answer.status, answer.code) == (422, "bad_arguments")
    assert not node.responder.seen


@pytest.mark.parametrize("path", [PATH, "/v1/topics/orders", "/v1/awakeables/x/resolve"])
@pytest.mark.parametrize("expect", [(), ("expect: 100-continue",)])
def test_who_declares_too_much_need_not_send_it(node, path, expect):
    with connect(node) as connection:
        connection.sendall(request("POST", path, JSON, "content-length: 999999999", *expect))
        answer = read(connection)
        assert (answer.status, answer.code) == (413, "too_large")
        assert is_closed(connection)


def test_who_waits_for_a_word_is_told_before_it_sends_too_much(node):
    with connect(node) as connection:
        connection.sendall(request("POST", PATH, JSON, "content-length: 20000", "expect: 100-continue"))
        assert read(connection).status == 413


def test_what_follows_a_body_is_no_header(node):
    body = b"2\r\n{}\r\n0\r\nidempotency-key: k\r\n\r\n"
    data = request("POST", PATH, "transfer-encoding: chunked", body=body)
    assert say(node, data).code == "unsupported_media_type"


def test_a_client_that_waits_for_a_word(node):
    with connect(node) as connection:
        connection.sendall(request("POST", PATH, JSON, "expect: 100-continue", "content-length: 2"))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"{}")
        assert read(connection).status == 200


@pytest.mark.parametrize(
    "name",
    ["other.mailbox", "other.journal", "other.control", "__consumer_offsets", "secrets", "test.outer",
     "test.mailbox", "test.snapshot", "test.control"],
)  # fmt: skip
def test_topics_of_others_are_neither_read_nor_written(node, name):
    node.log.create([TopicSpec(f"other.{kind}", 1) for kind in ("mailbox", "journal", "control")])
    for method, body in (("GET", b""), ("POST", b'{"value": 1}')):
        answer = say(node, request(method, f"/v1/topics/{name}", JSON, body=body), method)
        assert (answer.status, answer.code) == (403, "forbidden_topic")
    assert node.log.partitions("secrets") is None


def test_anothers_inside_is_not_shown_though_it_is_declared(node):
    node.log.create([TopicSpec(f"test.out.{kind}", 1) for kind in ("mailbox", "journal")])
    answer = say(node, request("GET", "/v1/topics/test.out.journal"), "GET")
    assert (answer.status, answer.code) == (403, "forbidden_topic")


def test_who_is_under_way_when_the_server_ends(server):
    """The answer that it can have, as a document, and soon."""
    node = server()
    connections = node.server.connections
    asked = []
    node.responder.answer = lambda ask: asked.append(ask)
    with ExitStack() as stack:
        waiting, sending, beginning, idle = [stack.enter_context(connect(node)) for _ in range(4)]
        waiting.sendall(post())
        sending.sendall(request("POST", PATH, JSON, "content-length: 100") + b"{")
        beginning.sendall(b"POST /v1/act")
        eventually(lambda: asked)
        eventually(lambda: (len(connections.open), len(connections.idle)) == (4, 1))
        began = time.monotonic()
        stopping = threading.Thread(target=node.server.stop)
        stopping.start()
        for connection in (waiting, sending, beginning):
            answer = read(connection)
            assert (answer.status, answer.code) == (503, "shutting_down")
            assert "idempotency key" in json.loads(answer.body)["detail"]
        assert is_closed(idle)
        stopping.join()
        assert time.monotonic() - began < 6
