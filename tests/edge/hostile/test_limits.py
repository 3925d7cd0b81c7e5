"""What a client may take: connections, headers, bodies, time."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

import pytest
from echo import eventually, reply
from rough import JSON, PATH, connect, is_closed, post, read, request, say

from plexstream.edge.http.limits import HttpLimits
from plexstream.edge.http.serving.connection import SLICE


def is_served(node):
    answer = say(node, request("GET", "/health/live"), "GET")
    return answer.status == 200


def until_closed(act, pause=0.0):
    """How often `act` can be done before the server ends the connection."""
    for times in range(16_000):
        try:
            act()
        except ConnectionError:
            return times
        time.sleep(pause)
    return 16_000


def test_an_idle_connection_makes_room_for_a_new_one(server):
    node = server(connections=4)
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(node)) for _ in range(4)]
        eventually(lambda: len(node.server.connections.open) == 4)
        assert is_served(node)
        assert is_closed(idle[0])
        idle[3].sendall(post())
        assert read(idle[3]).status == 200


def test_a_connection_over_the_limit_is_told_so(server):
    node = server(connections=3, half_closed_s=0.2)
    answers = []
    node.responder.answer = lambda ask: answers.append(ask)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connect(node)).sendall(post())
        eventually(lambda: len(answers) == 3)
        answer = say(node, b"")
        assert (answer.status, answer.code) == (503, "overloaded")
        assert "max_connections" in answer.problem()["detail"]
        assert answer.headers["retry-after"] == "1"
        assert node.server.connections.refused == 1
    eventually(lambda: not node.server.connections.open)
    assert is_served(node)


def test_connections_are_fewer_than_the_files(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    assert HttpLimits().below_the_file_limit().connections == 512
    assert HttpLimits(connections=5).below_the_file_limit().connections == 5


def test_many_idle_connections_lock_nobody_out(server):
    node = server(connections=50)
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connect(node))
        assert is_served(node)
        eventually(lambda: len(node.server.connections.open) <= 51)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    ("headers", "path", "status", "code"),
    [
        ([f"x-{i}: 1" for i in range(101)], PATH, 431, "headers_too_large"),
        (["x: " + "a" * 40_000], PATH, 431, "headers_too_large"),
        ([f"x-{i}: " + "a" * 1000 for i in range(40)], PATH, 431, "headers_too_large"),
        ([], PATH + "?a=" + "b" * 9000, 414, "url_too_long"),
        ([], "/" + "b" * 9000, 414, "url_too_long"),
    ],
)
def test_headers_and_urls_over_the_limit(node, version, headers, path, status, code):
    answer = say(node, request("GET", path, *headers, version=version), "GET")
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["connection"] == "close"
    assert is_served(node)


@pytest.mark.parametrize("begin", [b"GET /", b"GET / HTTP/1.1\r\nhost: localhost\r\nx: "])
def test_a_head_without_an_end_is_ended_by_its_size(node, begin):
    """What is over the limit is never parsed, nor kept."""
    with connect(node) as connection:
        connection.sendall(begin)
        assert until_closed(lambda: connection.send(b"a" * 4096)) < 16_000
    assert is_served(node)


def test_a_trailer_without_an_end_is_ended_by_its_size(node):
    with connect(node) as connection:
        connection.sendall(post(b"2\r\n{}\r\n0\r\nx: ", "transfer-encoding: chunked"))
        connection.sendall(b"a" * 100_000)
        answer = read(connection)
    assert (answer.status, answer.code) == (400, "bad_request")


def test_small_chunks_are_a_body_as_well(node):
    body = b'{"amount": 5}'
    chunks = b"".join(b"1\r\n%c\r\n" % c for c in body) + b"0\r\n\r\n"
    assert say(node, post(chunks, "transfer-encoding: chunked")).body == body


def test_bodies_in_flight_are_bounded_together(server):
    node = server(body_bytes=25_000, half_closed_s=0.2)
    asked = []
    node.responder.answer = lambda ask: asked.append(ask)
    body = b'{"a":"' + b"x" * 9_000 + b'"}'
    with ExitStack() as stack:
        two = [stack.enter_context(connect(node)) for _ in range(2)]
        for connection in two:
            connection.sendall(post(body))
        eventually(lambda: len(asked) == 2)
        answer = say(node, post(body))
        assert (answer.status, answer.code) == (503, "overloaded")
        assert "25000 bytes" in answer.problem()["detail"]
        assert say(node, request("GET", "/health/live"), "GET").status == 200
    eventually(lambda: not node.server.connections.body_bytes)


def test_bodies_that_have_their_answer_count_no_more(server):
    node = server(body_bytes=25_000)
    with connect(node) as connection:
        for _ in range(10):
            connection.sendall(post(b'{"a":"' + b"x" * 9_000 + b'"}'))
            assert read(connection).status == 200
    assert node.server.connections.body_bytes == 0


@pytest.mark.parametrize(
    "data",
    [
        b"G",
        b"POST " + PATH.encode() + b" HTTP/1.1\r\nhost: localhost\r\n",
        post(b"{}")[:-1],
        request("POST", PATH, JSON, "content-length: 100"),
        request("POST", PATH, JSON, "transfer-encoding: chunked"),
    ],
)
def test_a_request_that_does_not_arrive(server, data):
    node = server(request_s=0.3)
    began = time.monotonic()
    answer = say(node, data)
    assert (answer.status, answer.code) == (408, "request_too_slow")
    assert time.monotonic() - began > 0.2
    eventually(lambda: not node.server.connections.open)


def test_a_request_that_arrives_byte_by_byte(server):
    node = server(request_s=0.3)
    with connect(node) as connection:
        connection.sendall(b"GET /")
        assert until_closed(lambda: connection.sendall(b"x"), 0.02) < 1_000
    eventually(lambda: not node.server.connections.open)


@pytest.mark.parametrize("data", [b"", b"\r\n"])
def test_who_never_asks_is_let_go(server, data):
    node = server(request_s=0.3)
    with connect(node) as connection:
        connection.sendall(data)
        assert is_closed(connection)


def test_who_sends_nothing_but_empty_lines_is_idle(server):
    node = server(keep_alive_s=1)
    with connect(node) as connection:
        connection.sendall(post())
        assert read(connection).status == 200
        assert until_closed(lambda: connection.sendall(b"\r\n"), 0.02) < 1_000


def test_who_does_not_read_is_let_go(server):
    node = server(request_s=0.3)
    node.responder.answer = lambda ask: reply(ask, b'"' + b"x" * 900_000 + b'"')
    with connect(node) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(post() * 30)
        eventually(lambda: node.server.connections.open)
        eventually(lambda: not node.server.connections.open)


def test_a_slow_body_of_one_does_not_hold_up_others(server):
    node = server(request_s=5.0)
    with connect(node) as slow:
        slow.sendall(request("POST", PATH, JSON, "content-length: 100") + b"{")
        assert is_served(node)
        slow.sendall(b" " * 98 + b"}")
        assert read(slow).status == 200


def test_a_pipelined_request_is_not_late_because_others_are(server):
    node = server(request_s=0.3)
    def later(ask):
        time.sleep(0.5)
        return reply(ask, ask.payload)

    node.responder.answer = later
    with connect(node) as connection:
        connection.sendall(post(b'{"a": 1}') + post(b'{"a": 2}'))
        assert read(connection).body == b'{"a": 1}'
        assert read(connection).body == b'{"a": 2}'


def test_half_closed_clients_have_their_answer(node):
    with connect(node) as connection:
        connection.sendall(post(b'{"a": 1}'))
        connection.shutdown(socket.SHUT_WR)
        answer = read(connection)
        assert (answer.status, answer.body) == (200, b'{"a": 1}')
        assert is_closed(connection)


def test_half_closed_in_the_middle_of_a_request(node):
    with connect(node) as connection:
        connection.sendall(post(b"{}")[:-1])
        connection.shutdown(socket.SHUT_WR)
        answer = read(connection)
        assert (answer.status, answer.code) == (400, "bad_request")
    eventually(lambda: not node.server.connections.open)


def test_the_slice_is_below_the_limit():
    assert HttpLimits().header_bytes > SLICE
