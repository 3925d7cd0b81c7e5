"""The proxy that stands before a broker ends with all of its connections, wherever they are."""

import contextlib
import gc
import socket
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


def free():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


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
