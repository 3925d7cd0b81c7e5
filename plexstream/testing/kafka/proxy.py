"""A proxy that speaks Kafka, for tests: it answers chosen requests itself, as a broker in trouble does."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from plexstream.testing.kafka.broker import SETTINGS, LocalBroker
from plexstream.testing.kafka.process.ports import free_port

PRODUCE, LIST_OFFSETS = 0, 2
_FLEXIBLE = {PRODUCE: 9, LIST_OFFSETS: 6}  # the first versions with compact encodings
_VERSIONS = {PRODUCE: range(3, 13), LIST_OFFSETS: range(1, 8)}


class Asked(NamedTuple):
    """One partition of a request. `sequence` is that of the first of its records, or -1."""

    api: int
    topic: str
    partition: int
    producer: int = -1
    epoch: int = -1
    sequence: int = -1
    records: int = 0


class Answer(NamedTuple):
    """What the client is told instead of what the broker says.

    Attributes:
        error: Kafka's code; 0 for none.
        offset: the offset of the first record.
        after: seconds to wait; what comes over the connection afterwards waits too, as at a broker.
        passed: whether the broker gets the request, and only its answer is dropped.
    """

    error: int = 0
    offset: int = -1
    after: float = 0.0
    passed: bool = False


Rule = Callable[[Asked], "Answer | None"]


class KafkaProxy:
    """Passes on what clients of a broker ask, but for requests to which `rule` has an answer.

    `rule` is called on the proxy's thread, for each partition of each Produce and ListOffsets request; one
    answer makes it the answer for the whole request. Set it at any time.

    Parameters:
        port: where clients connect; the broker must advertise it to them.
        to: the port of the broker.
    """

    def __init__(self, port: int, to: int) -> None:
        self.port = port
        self.rule: Rule = lambda asked: None
        self.seen: list[tuple[Asked, Answer | None]] = []
        self._to = to
        self._open: dict[asyncio.StreamWriter, None] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}  # of connections; or the collector would take them
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka-proxy", daemon=True)
        self._thread.start()
        self._up.wait()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        """End, with all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=1 << 24)
        )
        self._up.set()
        self._loop.run_forever()
        while asyncio.all_tasks(self._loop) - self._tasks.keys():  # asyncio would lose what it is accepting
            self._loop.run_until_complete(asyncio.sleep(0))
        server.close()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        for to in self._open:  # those whose task was cancelled before it could do so
            to.transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self._open[to_client] = None
        self._begin(self._serve(client, to_client))

    def _begin(self, what: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(what)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            broker, to_broker = await asyncio.open_connection("127.0.0.1", self._to, limit=1 << 24)
        except OSError:
            self._end(to_client)
            return
        self._open[to_broker] = None
        replaced: dict[int, bytes] = {}
        halves = [
            self._begin(self._requests(client, to_client, to_broker, replaced)),
            self._begin(_answers(broker, to_client, replaced)),
        ]
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
        # The end of either side is that of the other.
        for half in halves:
            half.cancel()
        self._end(to_client)
        self._end(to_broker)

    def _end(self, to: asyncio.StreamWriter) -> None:
        del self._open[to]
        to.transport.abort()

    async def _requests(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        to_broker: asyncio.StreamWriter,
        replaced: dict[int, bytes],
    ) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                frame = await _frame(client)
                api, version, correlation = struct.unpack_from(">hhi", frame)
                answer = None
                if version in _VERSIONS.get(api, ()):
                    places = _places(api, version, frame)
                    answers = [self.rule(asked) for asked in places]
                    answer = next((a for a in answers if a is not None), None)
                    self.seen += [(asked, answer) for asked in places]
                if answer is not None:
                    said = _answer(api, version, correlation, places, answer)
                    await asyncio.sleep(answer.after)
                    if not answer.passed:
                        to_client.write(said)
                        continue
                    replaced[correlation] = said
                to_broker.write(struct.pack(">i", len(frame)) + frame)
                await to_broker.drain()


async def _answers(
    broker: asyncio.StreamReader, to_client: asyncio.StreamWriter, replaced: dict[int, bytes]
) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            frame = await _frame(broker)
            (correlation,) = struct.unpack_from(">i", frame)
            said = replaced.pop(correlation, None)
            to_client.write(said or struct.pack(">i", len(frame)) + frame)
            await to_client.drain()


async def _frame(stream: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await stream.readexactly(4))
    return await stream.readexactly(size)


class _Cursor:
    """Reads a request from front to back, in the plain or the compact encodings."""

    def __init__(self, frame: bytes, at: int, compact: bool) -> None:
        self._frame = frame
        self._at = at
        self._compact = compact

    def take(self, layout: str) -> tuple[int, ...]:
        found = struct.unpack_from(f">{layout}", self._frame, self._at)
        self._at += struct.calcsize(f">{layout}")
        return found

    def text(self) -> bytes:
        return self._some(self._size("h"))

    def blob(self) -> bytes:
        return self._some(self._size("i"))

    def items(self) -> Iterator[None]:
        """As often as an array has elements."""
        for _ in range(self._size("i")):
            yield

    def tags(self) -> None:
        """The fields at the end of every compact structure; nobody sends any."""
        if self._compact:
            assert self._varint() == 0

    def _some(self, size: int) -> bytes:
        self._at += size
        return self._frame[self._at - size : self._at]

    def _size(self, plain: str) -> int:
        return max(0, self._varint() - 1 if self._compact else self.take(plain)[0])

    def _varint(self) -> int:
        found = shift = 0
        while True:
            byte = self._frame[self._at]
            self._at += 1
            found |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return found


def _places(api: int, version: int, frame: bytes) -> list[Asked]:
    compact = version >= _FLEXIBLE[api]
    (client_id,) = struct.unpack_from(">h", frame, 8)
    cursor = _Cursor(frame, 10 + max(client_id, 0), compact)
    cursor.tags()
    if api == PRODUCE:
        cursor.text()  # the transactional id
        cursor.take("hi")
    else:
        cursor.take("i")
        if version >= 2:
            cursor.take("b")
    found = []
    for _ in cursor.items():
        topic = cursor.text().decode()
        for _ in cursor.items():
            (partition,) = cursor.take("i")
            if api == PRODUCE:
                batch = cursor.blob()
                producer, epoch, sequence, count = struct.unpack_from(">qhii", batch, 43)
                found.append(Asked(api, topic, partition, producer, epoch, sequence, count))
            else:
                cursor.take("iq" if version >= 4 else "q")
                found.append(Asked(api, topic, partition))
            cursor.tags()
        cursor.tags()
    return found


def _answer(api: int, version: int, correlation: int, places: Sequence[Asked], answer: Answer) -> bytes:
    compact = version >= _FLEXIBLE[api]
    tags = b"\0" if compact else b""

    def size(count: int, plain: str) -> bytes:
        return bytes([count + 1]) if compact else struct.pack(f">{plain}", count)

    by_topic: dict[str, list[int]] = {}
    for asked in places:
        by_topic.setdefault(asked.topic, []).append(asked.partition)
    topics = size(len(by_topic), "i")
    for topic, partitions in by_topic.items():
        topics += size(len(topic), "h") + topic.encode() + size(len(partitions), "i")
        for partition in partitions:
            topics += struct.pack(">ihqq", partition, answer.error, *_at(api, answer))
            if api == PRODUCE:
                topics += struct.pack(">q", -1) if version >= 5 else b""  # where the log starts
                if version >= 8:  # no errors of records, no message
                    topics += size(0, "i") + (b"\0" if compact else struct.pack(">h", -1))
            elif version >= 4:
                topics += struct.pack(">i", -1)  # the leader's epoch
            topics += tags
        topics += tags
    throttle = struct.pack(">i", 0)
    body = topics + throttle if api == PRODUCE else (throttle if version >= 2 else b"") + topics
    said = struct.pack(">i", correlation) + tags + body + tags
    return struct.pack(">i", len(said)) + said


def _at(api: int, answer: Answer) -> tuple[int, int]:
    """Offset and time of a produced batch, time and offset of a listed one."""
    return (answer.offset, -1) if api == PRODUCE else (-1, answer.offset)


@contextlib.contextmanager
def proxied_broker(**settings: str) -> Iterator[tuple[LocalBroker, KafkaProxy]]:
    """A broker of its own, and a proxy in front of it. The broker's own address leads around the proxy."""
    direct, behind, advertised, controller = (free_port() for _ in range(4))
    listeners = {
        "listeners": f"PLAINTEXT://127.0.0.1:{direct},PROXIED://127.0.0.1:{behind},"
        f"CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{direct},PROXIED://127.0.0.1:{advertised}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "inter.broker.listener.name": "PLAINTEXT",
    }
    with tempfile.TemporaryDirectory(prefix="plexstream-proxied-") as folder:
        broker = LocalBroker(Path(folder), port=direct, settings={**SETTINGS, **listeners, **settings})
        try:
            broker.start()
            proxy = KafkaProxy(advertised, behind)
            try:
                yield broker, proxy
            finally:
                proxy.close()
        finally:
            broker.kill()
