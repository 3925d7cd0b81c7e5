"""Taking many records from a consumer: compiled, or message by message.

confluent-kafka makes an object of each message, whose fields are asked for one by one. Compiled, a batch is
waited for and made into records by one call each. See ADR 30 for what that relies on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, Message

from plexstream.log.base import Place, Record
from plexstream.log.kafka.common.library import found
from plexstream.log.kafka.common.settings import logger
from plexstream.model.process.compiled import WANTED

try:
    from plexstream.log.kafka.reading import _consume
except ImportError:
    AVAILABLE = False
else:
    AVAILABLE = found(lambda path: _consume.load(path, Consumer, Record, KafkaError))

COMPILED = AVAILABLE and WANTED

_new = tuple.__new__  # a named tuple's own costs twice the time
_LEVELS = (50, 50, 50, 40, 30, 20, 20, 10)  # of Python's logging, by those of syslog

Failed = tuple[KafkaError, "str | None", "int | None"]
"""What went wrong, with the topic and the partition, if it is of one."""

OnError = Callable[[KafkaError], None]


Stop = tuple[Failed, "list[Record | Failed]"]
"""An error, and what came behind it: what is done about the one may change what is wanted of the other."""


class Source(Protocol):
    """Where a reader's messages come from."""

    @property
    def settings(self) -> dict[str, Any]:
        """What the consumer must be made with."""

    def next(
        self, consumer: Consumer, limit: int, wait: float, positions: dict[Place, int], found: list[Record]
    ) -> tuple[bool, Stop | None]:
        """Up to `limit` messages; waits `wait` seconds for the first one, and for no other.

        Returns whether any came. They are added to `found` as by `take`.
        """


def take(items: list[Record | Failed], positions: dict[Place, int], found: list[Record]) -> Stop | None:
    """Add records to `found`, up to the next error, which is returned with what comes behind it.

    Records of places that have no position, or below it, were fetched before a release or a move: they are
    left out. Positions are moved behind what was added.
    """
    for index, item in enumerate(items):
        if type(item) is not Record:
            return item, items[index + 1 :]  # type: ignore[return-value]
        place, offset = item[:2], item.offset
        due = positions.get(place)
        if due is not None and offset >= due:
            positions[place] = offset + 1
            found.append(item)
    return None


def source(settings: Iterable[str], on_error: OnError) -> Source:
    """Compiled where that can be.

    Plugins that are in the user's `settings` have none of ours beside them, and callbacks that are need what
    confluent-kafka sets up around its own calls.
    """
    theirs = any(name.endswith(("plugin.library.paths", "_cb")) for name in settings)
    return Fetched(on_error) if COMPILED and not theirs else Polled()


class Fetched:
    """A `Source` from the consumer's queue. Errors of connections come from there as well."""

    def __init__(self, on_error: OnError) -> None:
        self._on_error = on_error
        self._heard: deque[tuple[bool, int, str, str]] = deque()
        self.settings: dict[str, Any] = {"plugin.library.paths": _consume.__file__}

    def next(
        self, consumer: Consumer, limit: int, wait: float, positions: dict[Place, int], found: list[Record]
    ) -> tuple[bool, Stop | None]:
        while self._heard:  # while no records are at hand: a log's handler may raise
            self._tell(*self._heard.popleft())
        came, stop, heard = _consume.fetch(consumer, limit, int(wait * 1000), positions, found)
        self._heard.extend(heard)
        return came, stop

    def _tell(self, is_log: bool, number: int, head: str, text: str) -> None:
        if is_log:
            logger.log(_LEVELS[number], "%s %s", head, text)
        else:
            self._on_error(KafkaError(number, text, fatal=bool(head)))


class Polled:
    """A `Source` of confluent-kafka's messages."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def next(
        self, consumer: Consumer, limit: int, wait: float, positions: dict[Place, int], found: list[Record]
    ) -> tuple[bool, Stop | None]:
        # `consume` alone would wait for `limit` messages or the whole timeout.
        first = consumer.poll(wait)
        if first is None:
            return False, None
        items = [_kept(m) for m in ([first, *consumer.consume(limit - 1, 0)] if limit > 1 else [first])]
        return True, take(items, positions, found)


def _kept(message: Message) -> Record | Failed:
    topic, partition, error = message.topic(), message.partition(), message.error()
    if error is not None:
        return error, topic, partition
    fields = topic, partition, message.offset(), message.key() or b"", message.value(), message.timestamp()[1]
    return _new(Record, fields)
