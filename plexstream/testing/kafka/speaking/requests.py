"""A few requests in Kafka's own protocol, to one broker each.

A client library would do, but hides its retries (its timers would decide how long a start takes), asks
whichever broker it likes, and cannot move the replicas of a partition.
"""

import socket
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

METADATA, FIND_COORDINATOR, INIT_PRODUCER_ID, ELECT_LEADERS, REASSIGN = 3, 10, 22, 43, 45
_CLIENT = b"probe"
_CONNECT_S, _ANSWER_S = 2.0, 5.0
_PREFERRED = 0

Target = tuple[str, int]


class PartitionState(NamedTuple):
    """One partition as a broker knows it; `leader` is -1 if it has none."""

    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


class ClusterState(NamedTuple):
    """The cluster as one broker knows it: which brokers serve, and each partition of each topic."""

    brokers: frozenset[int]
    topics: Mapping[str, Mapping[int, PartitionState]]


def ask(target: Target, api: int, version: int, body: bytes, *, flexible: bool = False) -> bytes:
    """Send one request and return the answer's body.

    Args:
        target: host and port of the broker.
        api: the key of the request.
        version: its version.
        body: the request without its header.
        flexible: whether that version has the headers of the compact encodings.

    Raises:
        OSError: there is no connection, or no answer within 5 s.
        struct.error: the answer is cut off.
    """
    header = struct.pack(">hhih", api, version, 0, len(_CLIENT)) + _CLIENT + (b"\0" if flexible else b"")
    request = header + body
    with socket.create_connection(target, _CONNECT_S) as connection:
        connection.settimeout(_ANSWER_S)
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as stream:
            size, _correlation = struct.unpack(">ii", stream.read(8))
            answer: bytes = stream.read(size - 4)
            return answer[1:] if flexible else answer


def cluster_state(target: Target) -> ClusterState:
    """What the broker at `target` knows of its cluster. Raises OSError or struct.error."""
    read = _Reading(ask(target, METADATA, 4, struct.pack(">i?", -1, False)))  # of all topics
    read.take("i")
    brokers = []
    for _ in range(read.take("i")):
        brokers.append(read.take("i"))
        read.text()
        read.take("i")
        read.text()
    read.text()
    read.take("i")
    topics = {}
    for _ in range(read.take("i")):
        read.take("h")
        name = read.text()
        read.take("?")
        topics[name] = dict(_partition(read) for _ in range(read.take("i")))
    return ClusterState(frozenset(brokers), topics)


def reassign(target: Target, topic: str, partition: int, replicas: Sequence[int]) -> int:
    """Give a partition other replicas, or another order of them: the first is the preferred leader.

    Returns:
        Kafka's error code, 0 if all is well; the move itself may take longer.
    """
    to = _compact_array([struct.pack(">i", number) for number in replicas])
    place = _compact_array([struct.pack(">i", partition) + to + b"\0"])
    topics = _compact_array([_compact_text(topic) + place + b"\0"])
    answer = ask(target, REASSIGN, 0, struct.pack(">i", 10_000) + topics + b"\0", flexible=True)
    _throttled, error = struct.unpack_from(">ih", answer)
    if error:
        return int(error)
    read = _Reading(answer[6:])
    read.skip_compact_text()  # what went wrong
    read.unsigned()  # one topic
    read.skip_compact_text()
    read.unsigned()  # one partition
    read.take("i")
    return read.take("h")


def elect_preferred(target: Target) -> int:
    """Let the first replica of each partition lead it, where it is in sync. Returns Kafka's error code."""
    body = struct.pack(">bii", _PREFERRED, -1, 10_000)
    _throttled, error = struct.unpack_from(">ih", ask(target, ELECT_LEADERS, 1, body))
    return int(error)


def _partition(read: "_Reading") -> tuple[int, PartitionState]:
    read.take("h")
    index, leader = read.take("i"), read.take("i")
    replicas, in_sync = (tuple(read.take("i") for _ in range(read.take("i"))) for _ in range(2))
    return index, PartitionState(leader, replicas, in_sync)


def _compact_array(items: Sequence[bytes]) -> bytes:
    return bytes([len(items) + 1]) + b"".join(items)


def _compact_text(text: str) -> bytes:
    raw = text.encode()
    size = len(raw) + 1
    return (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + raw


class _Reading:
    """An answer, read from its beginning to its end."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._at = 0

    def take(self, kind: str) -> int:
        value: int
        (value,) = struct.unpack_from(f">{kind}", self._answer, self._at)
        self._at += struct.calcsize(f">{kind}")
        return value

    def skip_compact_text(self) -> None:
        size = self.unsigned() - 1
        self._at += max(size, 0)  # -1: none

    def text(self) -> str:
        size = max(self.take("h"), 0)  # -1: none
        self._at += size
        return self._answer[self._at - size : self._at].decode()

    def unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self.take("B")
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
