"""Ports that are given to processes of tests are free, and stay so until these listen."""

import socket

import pytest

from plexstream.testing.kafka.process import ports


def test_a_port_is_given_once_and_never_one_that_somebody_listens_on(monkeypatch):
    taken = ports.free_port()
    free = ports.free_port()
    monkeypatch.setattr(ports, "_PORTS", (taken, free))
    monkeypatch.setattr(ports, "_TRIES", 2)
    monkeypatch.setattr(ports, "_given", set())
    with socket.socket() as other:
        other.bind(("127.0.2.1", taken))  # as the wires of another cluster do
        other.listen()
        assert ports.free_port() == free
        with pytest.raises(OSError, match="no free port"):
            ports.free_port()
