"""The proxy that stands before a broker ends with all of its connections, wherever they are."""

import contextlib
import gc
import socket
import struct
import threading
import warnings

import pytest

from plexstream.testing.kafka.proxy import KafkaProxy


@pytest.fixture
def full():
    """A port at which nobody is let in any more, and nobody is refused."""
    with socket.socket() as listens, socket.socket() as first, socket.socket() as second:
        listens.bind(("127.0.0.1", 0))
        listens.listen(0)
        for waits in (first, second):
            waits.setblocking(False)
            waits.connect_ex(listens.getsockname())
        yield listens.getsockname()[1]


@pytest.fixture
def echo():
    """A port at which a frame is answered by itself."""
    listens = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listens.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection):
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(1 << 16):
                connection.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    yield listens.getsockname()[1]
    listens.shutdown(socket.SHUT_RDWR)
    listens.close()


def free():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_who_is_served_is_let_go(echo):
    frame = struct.pack(">ihhi", 8, 18, 3, 7)  # of a request that it only passes on
    proxy = KafkaProxy(free(), echo)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        client.sendall(frame)
        assert client.recv(100) == frame
        proxy.close()
        with contextlib.suppress(ConnectionError):
            assert client.recv(1) == b""


@pytest.mark.parametrize("seconds", [0.0, 0.1])
def test_who_waits_for_the_broker_is_let_go(full, seconds):
    proxy = KafkaProxy(free(), full)
    clients = [socket.create_connection(("127.0.0.1", proxy.port), timeout=10) for _ in range(5)]
    if seconds:
        clients[0].settimeout(seconds)
        with pytest.raises(TimeoutError):
            clients[0].recv(1)
        clients[0].settimeout(10)
    proxy.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for client in clients:
            with contextlib.suppress(ConnectionError):
                assert client.recv(1) == b""
            client.close()
        del proxy
        gc.collect()
