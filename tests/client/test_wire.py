"""What a client makes of the bytes that come, however they come."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import threading
import time

import httptools
import pytest

from plexstream.client import AsyncClient, Client
from plexstream.client.http import asynchronous as http_async
from plexstream.client.http.over_http import Answer, Fault
from plexstream.client.http.wire import Answers, Origin
from plexstream.model.errors import BadArguments, ConfigError, LogUnavailable, TimedOut

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n7"

WHOLE = {
    "length": (OK, Answer(200, b"7"), True),
    "no body": (b"HTTP/1.1 202 X\r\nContent-Length: 0\r\n\r\n", Answer(202, b""), True),
    "chunks": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n7\r\n2\r\n89\r\n0\r\n\r\n",
        Answer(200, b"789"), True,
    ),
    "trailers": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n7\r\n0\r\nx: y\r\n\r\n",
        Answer(200, b"7"), True,
    ),
    "after interim ones": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + OK, Answer(200, b"7"), True,
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", Answer(204, b""), True),
    "close": (
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\n7", Answer(200, b"7"), False,
    ),
    "1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n7", Answer(200, b"7"), False),
}  # fmt: skip


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize(("sent", "answer", "keeps"), WHOLE.values(), ids=WHOLE)
def test_an_answer_is_whole_with_its_last_byte_and_not_before(sent, answer, keeps, step):
    answers = Answers()
    for time_ in range(2 if keeps else 1):
        found = [answers.feed(sent[at : at + step]) for at in range(0, len(sent), step)]
        assert found == [None] * (len(found) - 1) + [answer], time_
    assert answers.keeps is keeps


def test_an_answer_that_ends_with_its_connection():
    for head in (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"):
        answers = Answers()
        assert answers.feed(head + b"7") is None
        assert answers.feed(b"8") is None
        assert answers.end() == Answer(200, b"78")
        assert not answers.keeps


@pytest.mark.parametrize("cut", [0, 1, 20, 36, len(OK) - 1])
def test_an_answer_that_is_cut_is_none(cut):
    answers = Answers()
    assert answers.feed(OK[:cut]) is None
    assert answers.end() is None


def test_more_than_was_asked_for_ends_the_connection():
    answers = Answers()
    assert answers.feed(OK + OK.replace(b"7", b"8")) == Answer(200, b"7")
    assert not answers.keeps


@pytest.mark.parametrize(
    "junk", [b"SSH-2.0-x\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"]
)
def test_what_is_no_http(junk):
    with pytest.raises(httptools.HttpParserError):
        Answers().feed(junk)


def test_requests():
    origin = Origin("http://127.0.0.1:80/under")
    host = b"host: 127.0.0.1:80\r\n"
    sent = origin.request("POST", "/v1/x?y=1", {"a": "ä"}, b"{}")
    assert sent == b"POST /under/v1/x?y=1 HTTP/1.1\r\n%ba: \xe4\r\ncontent-length: 2\r\n\r\n{}" % host
    assert origin.request("GET", "/", {}, b"") == b"GET /under/ HTTP/1.1\r\n%b\r\n" % host
    assert b"content-length: 0\r\n" in origin.request("POST", "/", {}, b"")


@pytest.mark.parametrize(
    ("url", "host", "port", "said"),
    [
        ("http://Example.com", "example.com", 80, b"host: example.com\r\n"),
        ("https://example.com", "example.com", 443, b"host: example.com\r\n"),
        ("http://[::1]:8080", "::1", 8080, b"host: [::1]:8080\r\n"),
        ("http://bücher.example", "xn--bcher-kva.example", 80, b"host: xn--bcher-kva.example\r\n"),
        ("http://u:p%40@h:1", "h", 1, b"host: h:1\r\nauthorization: Basic dTpwQA==\r\n"),
    ],
)
def test_servers(url, host, port, said):
    origin = Origin(url)
    assert (origin.host, origin.port, origin.tls is not None) == (host, port, url.startswith("https"))
    assert said in origin.request("GET", "/", {}, b"")


@pytest.mark.parametrize("url", ["http://", "http://:80", "http://h:port", "http://h:70000", "http://a..b"])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_urls_that_name_no_server(kind, url):
    with pytest.raises(ConfigError, match="http://host:port"):
        kind(url)


class Peer:
    """Does with each connection as `serve` says, on a thread for each; `seen` counts them."""

    def __init__(self, serve, context=None):
        self.seen = 0
        self._serve, self._context = serve, context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http{'s' if context else ''}://localhost:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            connection, _ = self._socket.accept()
            self.seen += 1
            threading.Thread(target=self._one, args=(connection, self.seen), daemon=True).start()

    def _one(self, connection, number):
        try:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                self._serve(connection, number)
        except OSError:
            pass


def take(connection):
    """One request, up to the end of its arguments; nothing at the connection's end."""
    got = b""
    while not got.endswith(b"}"):
        part = connection.recv(65536)
        if not part:
            return b""
        got += part
    return got


def answer_all(connection, _=0):
    while take(connection):
        connection.sendall(OK)


class Looped:
    """`AsyncClient` for threads, on a loop of its own."""

    def __init__(self, url):
        self._runner = asyncio.Runner()
        self._client = AsyncClient(url)

    def ask(self, *args, **options):
        return self._runner.run(self._client.ask(*args, **options))

    def rest(self, seconds):
        self._runner.run(asyncio.sleep(seconds))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._runner.run(self._client.close())
        self._runner.close()


class Threaded(Client):
    def rest(self, seconds):
        time.sleep(seconds)


BOTH = pytest.mark.parametrize("kind", [Threaded, Looped], ids=["threads", "asyncio"])


@BOTH
def test_a_connection_that_the_server_has_closed_is_not_used_again(kind):
    def one_each(connection, _):
        take(connection)
        connection.sendall(OK)

    peer = Peer(one_each)
    with kind(peer.url) as client:
        for _ in range(3):
            assert client.ask("a/b", "c") == 7
            client.rest(0.1)
    assert peer.seen == 3


@BOTH
@pytest.mark.parametrize("unasked", [OK.replace(b"7", b"8"), OK[:10]], ids=["whole", "in part"])
def test_what_comes_unasked_is_not_taken_for_the_next_answer(kind, unasked):
    def twice(connection, number):
        take(connection)
        connection.sendall(OK)
        time.sleep(0.05)
        connection.sendall(unasked if number == 1 else b"")
        answer_all(connection)

    peer = Peer(twice)
    with kind(peer.url) as client:
        assert client.ask("a/b", "c") == 7
        client.rest(0.3)
        assert client.ask("a/b", "c") == 7
    assert peer.seen == 2


@BOTH
def test_a_late_answer_is_not_taken_for_the_next_one(kind):
    def first_is_late(connection, number):
        if number == 1:
            take(connection)
            time.sleep(1.6)
            connection.sendall(OK.replace(b"7", b"8"))
        answer_all(connection)

    with kind(Peer(first_is_late).url) as client:
        with pytest.raises(TimedOut):
            client.ask("a/b", "c", timeout=0.1)
        assert client.ask("a/b", "c") == 7


@BOTH
def test_an_answer_that_trickles_in_is_late_at_the_end_of_its_time(kind):
    def trickle(connection, _):
        take(connection)
        for byte in OK * 1000:
            connection.sendall(bytes([byte]))
            time.sleep(0.2)

    with kind(Peer(trickle).url) as client, pytest.raises(TimedOut):
        client.ask("a/b", "c", timeout=0.1)


@BOTH
@pytest.mark.parametrize("cut", [1, len(OK) - 1])
def test_an_answer_that_breaks_off_leaves_the_outcome_unknown(kind, cut):
    def serve(connection, _):
        take(connection)
        connection.sendall(OK[:cut])

    with kind(Peer(serve).url) as client, pytest.raises(LogUnavailable, match="unknown"):
        client.ask("a/b", "c")


@BOTH
def test_what_answers_something_else_than_http(kind):
    def serve(connection, _):
        take(connection)
        connection.sendall(b"SSH-2.0-OpenSSH\r\n")
        time.sleep(0.5)

    with kind(Peer(serve).url) as client, pytest.raises(LogUnavailable, match="unknown"):
        client.ask("a/b", "c")


@BOTH
def test_large_arguments_and_results(kind):
    text = "x" * (3 << 20)

    def echo(connection, _):
        body = take(connection).partition(b"\r\n\r\n")[2]
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    with kind(Peer(echo).url) as client:
        assert client.ask("a/b", "c", text=text) == {"text": text}


@BOTH
@pytest.mark.parametrize("key", ["a\r\nx-evil: 1", "a\nb", "€", "x" * 257])
def test_a_key_that_no_header_can_hold_is_refused_before_anything_is_sent(kind, key):
    peer = Peer(answer_all)
    with kind(peer.url) as client, pytest.raises(BadArguments, match="idempotency key"):
        client.ask("a/b", "c", idempotency_key=key)
    assert peer.seen == 0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    made += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made += ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return folder / "cert", context


@BOTH
def test_tls(monkeypatch, kind, certificate):
    file, context = certificate
    text = "x" * (1 << 20)

    def echo(connection, _):
        while taken := take(connection):
            body = taken.partition(b"\r\n\r\n")[2]
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    peer = Peer(echo, context)
    with kind(peer.url) as client, pytest.raises(LogUnavailable, match=r"not reached.*CERTIFICATE"):
        client.ask("a/b", "c", timeout=0.2)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    before = peer.seen
    with kind(peer.url) as client:
        for _ in range(3):
            assert client.ask("a/b", "c", text=text) == {"text": text}
    assert peer.seen == before + 1
    with kind(peer.url.replace("localhost", "127.0.0.1")) as client, pytest.raises(LogUnavailable):
        client.ask("a/b", "c", timeout=0.2)  # another name than the certificate's


def test_a_forked_process_has_connections_of_its_own():
    peer = Peer(answer_all)
    with Client(peer.url) as client:
        assert client.ask("a/b", "c") == 7
        child = os.fork()
        if child == 0:
            os._exit(0 if client.ask("a/b", "c") == 7 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert peer.seen == 2
        assert client.ask("a/b", "c") == 7
    assert peer.seen == 2


def test_a_caller_that_is_cancelled_leaves_no_answer_behind():
    asked, gone = threading.Event(), threading.Event()

    def first_is_slow(connection, number):
        take(connection)
        asked.set()
        if number == 1:
            connection.settimeout(10)
            if not connection.recv(1):
                gone.set()
        connection.sendall(OK.replace(b"7", b"%d" % number))
        answer_all(connection)

    async def main():
        async with AsyncClient(Peer(first_is_slow).url) as client:
            call = asyncio.create_task(client.ask("a/b", "c"))
            assert await asyncio.to_thread(asked.wait, 9)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await asyncio.to_thread(gone.wait, 9)  # it need not work on
            assert await client.ask("a/b", "c") == 2

    asyncio.run(main())


def test_a_connection_that_is_just_closing_carries_nothing():
    """asyncio tells of an end one turn of the loop after it has heard of it; what is written then is lost."""

    class Closing:
        closing = False
        written = b""

        def is_closing(self):
            return self.closing

        def write(self, data):
            self.written += data

        def abort(self):
            self.closing = True

    async def main():
        loop = asyncio.get_running_loop()
        pool = http_async._Pool(loop)
        made = []
        for _ in range(2):
            connection = http_async._Connection(pool)
            connection.connection_made(Closing())
            pool.add(connection)
            pool.release(connection)
            made.append(connection)
        made[1]._transport.closing = True
        assert pool.take(loop.time()) is made[0]
        made[0]._transport.closing = True
        answer = await asyncio.wait_for(made[0].exchange(b"x", loop.time() + 60), 10)
        assert answer.fault is Fault.NOT_SENT
        assert made[0]._transport.written == b""
        for connection in made:
            connection.connection_lost(None)
        late = http_async._Connection(pool)
        late.connection_lost(None)
        pool.add(late)
        await asyncio.wait_for(pool.close(), 10)

    asyncio.run(main())


def test_closing_ends_what_waits():
    async def main():
        client = AsyncClient(Peer(lambda connection, _: time.sleep(5)).url)
        asks = [asyncio.ensure_future(client.ask("a/b", "c")) for _ in range(3)]
        await asyncio.sleep(0.2)
        await client.close()
        for ended in await asyncio.gather(*asks, return_exceptions=True):
            assert isinstance(ended, LogUnavailable)

    asyncio.run(main())


def test_one_loop_after_the_other(monkeypatch):
    made = []
    connection_made = http_async._Connection.connection_made

    def noted(self, transport):
        made.append(transport)
        connection_made(self, transport)

    monkeypatch.setattr(http_async._Connection, "connection_made", noted)
    client = AsyncClient(Peer(answer_all).url)
    assert asyncio.run(client.ask("a/b", "c")) == 7
    assert asyncio.run(client.ask("a/b", "c")) == 7
    asyncio.run(client.close())
    with pytest.raises(LogUnavailable, match="closed"):
        asyncio.run(client.ask("a/b", "c"))
    assert len(made) == 2
    # A connection cannot be closed once its loop is, and asyncio warns of it, as it should: in whatever test
    # is running when the collector comes by.
    for transport in made:
        transport._sock.close()
        transport._sock = None


def test_idle_connections_are_closed_by_themselves(monkeypatch):
    monkeypatch.setattr(http_async, "IDLE_S", 0.1)
    ended = threading.Semaphore(0)

    def until_closed(connection, _):
        answer_all(connection)
        ended.release()

    async def main():
        async with AsyncClient(Peer(until_closed).url) as client:
            await asyncio.gather(*[client.ask("a/b", "c") for _ in range(5)])
            for _ in range(5):
                assert await asyncio.to_thread(ended.acquire, timeout=10)

    asyncio.run(main())
