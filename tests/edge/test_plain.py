"""What takes the short way through the front is answered as what takes the long one, byte for byte."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import ClassVar

import httptools
import pytest
from echo import LONG, error, eventually, reply

from plexstream.edge.http.guard import Guard
from plexstream.edge.http.limits import LIMITS
from plexstream.edge.http.routes import plain
from plexstream.edge.http.routes.plain import WRITES, Leaving, PlainCalls
from plexstream.edge.http.serving.shared import Connections

sys.path.append(str(Path(__file__).parent / "hostile"))

from rough import JSON, PATH, connect, post, read, request, say

PLAIN = {
    "ask": post(b'{"amount": 5}'),
    "no arguments": request("POST", PATH, JSON, "content-length: 0"),
    "no length": request("POST", PATH, JSON),
    "full address": post(path="/v1/actors/acme/eu/account/al%20ice/deposit"),
    "key": post(b"{}", "idempotency-key: k-\xe4"),
    "id": post(b"{}", "x-request-id: r1"),
    "no type, but an id": request("POST", PATH, "x-request-id: r1", body=b"{}"),
    "time limit": post(path=PATH + "?timeout=2.5"),
    "tell": post(b'{"a": 1}', path=PATH + "/send"),
    "tell with key": post(b'{"a": 1}', "idempotency-key: k", "x-request-id: r", path=PATH + "/send"),
    "read": request("GET", PATH + "?a=1&b=%20x"),
    "read with key": request("GET", PATH, "idempotency-key: k"),
    "closes": post(b"{}", "connection: close"),
    "no json": post(b"{"),
    "a list": post(b"[1]"),
    "no text": post(b'{"a": "\xff"}'),
    "deep": post(b'{"a": ' + b"[" * 5_000 + b"}"),
    "bad key": post(b"{}", "idempotency-key: " + "k" * 300),
    "large": post(b'{"a":"' + b"x" * 9_900 + b'"}'),
    "json with more": request("POST", PATH, "content-type: application/json; charset=utf-8", body=b"{}"),
    "other headers": post(b"{}", "user-agent: x", "accept: */*", "cookie: a=b"),
}
LEFT = {
    "chunks": post(b"2\r\n{}\r\n0\r\n\r\n", "transfer-encoding: chunked"),
    "two keys": post(b"{}", "idempotency-key: a", "idempotency-key: b"),
    "empty key": post(b"{}", "idempotency-key:"),
    "two hosts": post(b"{}", "host: localhost"),
    "no host": request("POST", PATH, JSON, body=b"{}", host=""),
    "foreign": post(host="evil.example"),
    "origin": post(b"{}", "origin: http://localhost"),
    "foreign origin": post(b"{}", "origin: http://evil.example"),
    "no type": request("POST", PATH, body=b"{}"),
    "another type": request("POST", PATH, "content-type: text/plain", body=b"{}"),
    "prefer": post(b"{}", "prefer: wait=3"),
    "expect": post(b"{}", "expect: 100-continue"),
    "upgrade": request("GET", PATH, "connection: upgrade", "upgrade: websocket"),
    "too large": post(b'{"a":"' + b"x" * 10_000 + b'"}'),
    "1.0": post(version="1.0"),
    "delete": request("DELETE", PATH, JSON),
    "head": request("HEAD", PATH),
    "options": request("OPTIONS", PATH, JSON),
    "reads a tell": request("GET", PATH + "/send"),
    "reads with a body": request("GET", PATH, body=b"{}"),
    "no address": post(path="/v1/actors/a//b"),
    "no handler": post(path="/v1/actors/a"),
    "system's": post(path="/v1/actors/a/b/$load"),
    "bad limit": post(path=PATH + "?timeout=x"),
    "unknown parameter": post(path=PATH + "?a=1"),
    "twice": request("GET", PATH + "?a=1&a=2"),
    "fragment": post(path=PATH + "#x"),
    "whole url": post(path="http://localhost" + PATH),
    "elsewhere": request("GET", "/health/live"),
}
HEADERS = (
    "connection: keep-alive", "connection: Keep-Alive", "connection: close", "connection: x, upgrade",
    "proxy-connection: close", "transfer-encoding: chunked", "transfer-encoding : chunked",
    "content-length: 2", "content-length: 3", "content-length: 02", "content-length:2", "x: ", "x:", "x:  y",
    "x: y ", "x: y\tz", "x: y\r\n folded", "x y: z", "x_y: z", "x: \xe4", "host: 127.0.0.1", "upgrade: h2c",
    "trailer: x", "x-request-id: a", "x-request-id: b ", "idempotency-key: c", "content-type: text/plain",
)  # fmt: skip
PIECES = (
    b"\r\n", b"\n", b"\r", b"\r\n ", b":", b": ", b" ", b"\t", b"0", b"\x00", b"host: localhost\r\n", b"{}",
    b"/", b"?timeout=1", b"%", b"\xff", b"content-length: 1\r\n", b"connection: close\r\n", b"\r\n\r\n",
)  # fmt: skip
ANSWERS = {
    "result": lambda ask: reply(ask, ask.payload),
    "rejected": lambda ask: error(ask, "rejected", "no", {"n": 1}),
    "failed": lambda ask: error(ask, "failed", "no"),
    "not read-only": lambda ask: error(ask, "not_read_only", "no"),
    "nonsense": lambda ask: error(ask, "from_the_future", "\ud800"),
}
_VARIES = re.compile(rb"inv_[\w.-]+|\r\ndate: [^\r]*|\r\nconnection: close")
"""The last one depends here on whether the client's end is seen before the answer."""


@pytest.fixture
def taken(monkeypatch):
    """What has been looked at: True for each that was plain."""
    found = []
    real, real_whole = PlainCalls.take, PlainCalls.take_whole

    def noting(self, *request):
        call = real(self, *request)
        found.append(call is not None)
        return call

    def noting_whole(self, *request):
        call = real_whole(self, *request)
        if call is not None:  # else the parser has it
            found.append(True)
        return call

    monkeypatch.setattr(PlainCalls, "take", noting)
    monkeypatch.setattr(PlainCalls, "take_whole", noting_whole)
    return found


def exchange(node, data: bytes) -> bytes:
    """All that is answered to `data`, without what differs each time."""
    got = b""
    with connect(node) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        try:
            while more := connection.recv(65536):
                got += more
        except ConnectionError:
            pass
    return _VARIES.sub(b"", got)


def both(node, data: bytes) -> tuple[bytes, list, bytes, list]:
    """What is answered, and what is sent on, the short way and the long one."""
    way_of_plain = node.server.connections.plain
    found = []
    try:
        for way in (way_of_plain, None):
            node.server.connections.plain = way
            before = len(node.responder.seen)
            answer = exchange(node, data)
            expected = answer.count(b"HTTP/1.1 202")
            eventually(lambda b=before, n=expected: len(node.responder.seen) >= b + n)
            sent = [
                (m.kind, m.target, m.handler, m.payload, m.headers, m.idempotency_key.replace(m.id, "ID"))
                for m in node.responder.seen[before:]
            ]
            found += [answer, sent]
    finally:
        node.server.connections.plain = way_of_plain
    return tuple(found)


@pytest.mark.parametrize("answers", ANSWERS)
@pytest.mark.parametrize("name", [*PLAIN, *LEFT])
def test_both_ways_give_the_same(node, name, answers):
    node.responder.answer = ANSWERS[answers]
    short, sent, long, sent_long = both(node, (PLAIN | LEFT)[name])
    assert short == long
    assert sent == sent_long
    assert short.startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize("name", PLAIN)
def test_both_ways_have_the_same_headers(node, name):
    way_of_plain = node.server.connections.plain
    heads = []
    try:
        for way in (way_of_plain, None):
            node.server.connections.plain = way
            found = dict(say(node, PLAIN[name]).headers)
            assert found.pop("date")
            found.pop("location", None)
            heads.append(list(found.items()))
    finally:
        node.server.connections.plain = way_of_plain
    assert heads[0] == heads[1]


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_usual_goes_the_short_way(node, taken, name):
    exchange(node, PLAIN[name])
    assert taken == [True]


@pytest.mark.parametrize("name", LEFT)
def test_what_is_not_is_left_alone(node, taken, name):
    exchange(node, LEFT[name])
    assert True not in taken


def test_what_was_mutated_gives_the_same_both_ways(node):
    chance = random.Random(7)
    known = [*PLAIN.values(), *LEFT.values()]
    for _ in range(300):
        data = bytearray(chance.choice(known))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(data))
            if chance.random() < 0.5:
                data[at : at + chance.randint(0, 4)] = chance.choice(PIECES)
            else:
                data[at : at + 1] = bytes([chance.randrange(256)])
        short, sent, long, sent_long = both(node, bytes(data))
        assert short == long, bytes(data)
        assert sent == sent_long, bytes(data)


class Parsed:
    """What the parser makes of bytes: one plain call that ends where they do, or None."""

    loop: ClassVar = None

    def __init__(self, calls: PlainCalls, data: bytes) -> None:
        self.url, self.headers, self.body = b"", [], b""
        self.whole = self.other = 0
        self.plain = None
        self._calls = calls
        self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.other = 1

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        self.headers.append((name.lower(), value))

    def on_headers_complete(self):
        keeps, method = self._parser.should_keep_alive(), self._parser.get_method()
        if self._parser.get_http_version() == "1.1" and keeps:
            self.plain = self._calls.take(self, method, self.url, self.headers, keeps)

    def on_body(self, body):
        self.body += body

    def on_message_begin(self):
        self.other += self.whole

    def on_message_complete(self):
        self.whole += 1

    def found(self):
        if self.plain is None or self.whole != 1 or self.other:
            return None
        return self.plain.call, self.plain.marks, self.body or self.plain.call.arguments


def test_what_is_taken_without_the_parser_is_what_the_parser_finds():
    async def main():
        class Limited:
            max_body = 10_000
            calls = None

        calls, chance = PlainCalls(Limited(), Guard("127.0.0.1")), random.Random(11)
        known = [*PLAIN.values(), *LEFT.values(), post(b"{}") * 2, post() + b"\r\n", b"\r\n" + post()]
        known += [post(b"{}", h) for h in HEADERS]
        taken = Counter()
        for number in range(40_000):
            data = bytearray(chance.choice(known))
            for _ in range(0 if number % 5 == 0 else chance.randint(1, 3)):
                head = max(1, data.find(b"\r\n\r\n") + 6)  # what is in the body is no matter of these
                at = chance.randrange(min(head, len(data)))
                if chance.random() < 0.5:
                    data[at : at + chance.randint(0, 4)] = chance.choice(PIECES)
                else:
                    data[at : at + 1] = bytes([chance.randrange(256)])
            plain = calls.take_whole(None, bytes(data))
            taken[plain is not None] += 1
            if plain is not None:
                assert Parsed(calls, bytes(data)).found() == (plain.call, plain.marks, plain.body), data
                assert plain.keep_alive
        assert min(taken.values()) > 2_000

    asyncio.run(main())


@pytest.mark.parametrize("name", ["key", "tell with key", "other headers", "read"])
def test_usual_requests_need_no_parser(node, monkeypatch, name):
    monkeypatch.delattr(PlainCalls, "take")
    if name == "key":  # not ASCII
        with connect(node) as connection:
            connection.sendall(post(b"{}", "idempotency-key: k"))
            assert read(connection).status == 200
        return
    with connect(node) as connection:
        for _ in range(2):
            connection.sendall(PLAIN[name])
            assert read(connection).status in (200, 202)


def test_limits_below_what_is_looked_at_leave_all_to_the_parser():
    assert Connections(LIMITS).takes_whole
    for few in ({"headers": 10}, {"header_bytes": 1_000}, {"url_bytes": 200}):
        assert not Connections(LIMITS._replace(**few)).takes_whole


class Written:
    """A transport to one end of a pair of sockets."""

    def __init__(self, buffered=0, closing=False):
        self.socket, self.other = socket.socketpair()
        self.socket.setblocking(False)
        self.other.settimeout(LONG)
        self.written = b""
        self.get_write_buffer_size = lambda: buffered
        self.is_closing = lambda: closing
        self.get_extra_info = lambda name: getattr(self, name)

    def write(self, data):
        self.written += data

    def arrived(self, count):
        data = b""
        while len(data) < count:
            data += self.other.recv(count - len(data))
        return data

    def close(self):
        self.socket.close()
        self.other.close()


def test_answers_leave_together_and_what_a_socket_does_not_take_is_its_transport_s():
    large = b"x" * (8 << 20)
    plain, waits, closes, full, gone = ways = (
        Written(), Written(buffered=1), Written(closing=True), Written(), Written()
    )  # fmt: skip
    gone.other.close()
    leaving = Leaving()
    leaving.write(plain, b"0")
    assert plain.written == b"0"  # nobody gathers
    leaving.gather()
    for way, data in (
        (plain, b"1"),
        (waits, b"2"),
        (closes, b"3"),
        (full, large),
        (gone, b"4"),
        (plain, b"5"),
    ):
        leaving.write(way, data)
    assert (waits.written, closes.written) == (b"2", b"3")  # in order: behind what it has, or not at all
    leaving.go()
    leaving.write(plain, b"6")
    if WRITES is None:
        assert plain.written == b"0156"
    else:
        assert plain.written == b"06"
        assert plain.arrived(2) == b"15"
        assert 0 < len(full.written) < len(large)
        assert full.arrived(len(large) - len(full.written)) + full.written == large
    assert gone.written == b"4"  # which tells what is wrong
    leaving.go()
    for way in ways:
        way.close()


@pytest.mark.skipif(WRITES is None, reason="not compiled")
def test_a_transport_that_raises_leaves_the_others_their_answers():
    class Raises(Written):
        aborted = False

        def write(self, data):
            raise RuntimeError("not any more")

        def abort(self):
            self.aborted = True

    large = b"x" * (1 << 22)
    ways = raises, full = Raises(), Written()
    leaving = Leaving()
    leaving.gather()
    for way in ways:
        leaving.write(way, large)
    leaving.go()
    assert raises.aborted, "what comes next must not follow half of an answer"
    assert full.arrived(len(large) - len(full.written)) + full.written == large
    for way in ways:
        way.close()


def test_whatever_is_raised_while_answers_are_gathered_they_leave():
    way, calls = Written(), [None]

    class Plain:
        def __init__(self, act):
            self.finish = lambda result, error: act()

    def leave():
        sink._leaving.write(way, b"1")

    def end():
        raise SystemExit(1)

    sink = plain._Sink(calls[0], calls[0], Leaving())
    with pytest.raises(SystemExit):
        sink._finish([(Plain(leave), None, None), (Plain(end), None, None)])
    sink._leaving.write(way, b"2")
    assert (way.written + way.arrived(1) if WRITES else way.written[::-1]) == b"21"
    way.close()


@pytest.mark.skipif(WRITES is None, reason="not compiled")
def test_what_is_no_list_of_answers_is_refused():
    pair = socket.socketpair()
    number = pair[0].fileno()
    assert WRITES.send([]) == []
    for wrong in (
        (),
        [1],
        [(number,)],
        [(number, "x")],
        [(-1, b"x")],
        [(1 << 40, b"x")],
        [(number, b"a"), (b"b", 1)],
    ):
        with pytest.raises((TypeError, OverflowError)):
            WRITES.send(wrong)
    assert WRITES.send([(number, b"whole")]) == []
    assert pair[1].recv(10) == b"whole"  # nothing of what was refused
    for end in pair:
        end.close()


def test_both_ways_are_counted_the_same(node):
    def counted():
        name = "plexstream_calls_total"
        kinds = [("ask", "ok"), ("ask", "bad_json"), ("tell", "ok"), ("read", "ok"), ("ask", "rejected")]
        return [node.registry.get_sample_value(name, {"kind": k, "outcome": o}) or 0 for k, o in kinds]

    way_of_plain = node.server.connections.plain
    grown = []
    try:
        for way in (way_of_plain, None):
            node.server.connections.plain = way
            node.responder.answer = ANSWERS["result"]
            before = counted()
            for name in ("ask", "no json", "tell", "read"):
                exchange(node, PLAIN[name])
            node.responder.answer = ANSWERS["rejected"]
            exchange(node, PLAIN["ask"])
            grown.append([now - then for now, then in zip(counted(), before, strict=True)])
    finally:
        node.server.connections.plain = way_of_plain
    assert grown == [[1, 1, 1, 1, 1]] * 2


def test_one_after_the_other_and_several_at_once(node, taken):
    with connect(node) as connection:
        for number in range(3):
            connection.sendall(post(b'{"n": %d}' % number))
            assert read(connection).body == b'{"n": %d}' % number
        connection.sendall(b"".join(post(b'{"n": %d}' % number) for number in range(5)))
        for number in range(5):
            assert read(connection).body == b'{"n": %d}' % number
        connection.sendall(post())
        assert read(connection).status == 200
    assert taken[:3] == [True] * 3


def test_an_answer_never_overtakes_another(node):
    node.responder.answer = lambda ask: reply(ask, b"1") if ask.handler == "quick" else None
    slow, quick = post(path=PATH + "?timeout=0.3"), post(path="/v1/actors/account/alice/quick")
    with connect(node) as connection:
        connection.sendall(slow + quick)
        assert [read(connection).status, read(connection).status] == [504, 200]


def test_a_body_in_parts(node, taken):
    body = b'{"a":"' + b"x" * 9_000 + b'"}'
    data = post(body)
    with connect(node) as connection:
        for at in range(0, len(data), 500):
            connection.sendall(data[at : at + 500])
        assert read(connection).body == body
    assert taken == [True]


def test_the_short_way_has_the_same_deadline(node):
    node.responder.answer = lambda ask: None
    short, _, long, _ = both(node, post(path=PATH + "?timeout=0.05"))
    assert short == long
    assert b"504" in short


def test_calls_of_one_look_at_the_sockets_go_together_and_in_order():
    class Calls:
        sent: ClassVar = []
        send = sent.append

    async def main():
        sink = plain._Sink(asyncio.get_running_loop(), Calls(), Leaving())
        for look in ([1, 2, 3], [4]):
            for sending in look:
                sink.put(sending)
            assert look not in Calls.sent
            await asyncio.sleep(0)
            assert Calls.sent[-1] == look
        await asyncio.sleep(0)
        assert len(Calls.sent) == 2

    asyncio.run(main())


def test_a_client_that_has_gone_harms_nobody(node):
    asked = []
    node.responder.answer = lambda ask: asked.append(ask)
    connection = connect(node)
    connection.sendall(post())
    eventually(lambda: asked)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # by a reset
    connection.close()
    eventually(lambda: not node.server.connections.open)
    node.responder.answer = ANSWERS["result"]
    assert node.web.post(PATH, json={"a": 1}, timeout=LONG).json() == {"a": 1}
