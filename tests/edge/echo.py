"""A stand-in for the processors: answers what it reads from the mailbox. One thread, any log."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from plexstream.log.base import Log, TopicSpec
from plexstream.model.errors import LogUnavailable, Malformed
from plexstream.model.messages import address
from plexstream.model.messages.message import ASK, ERROR, REPLY, Envelope
from plexstream.model.topics.topics import Topics
from plexstream.schema.codec import decode_envelope, encode_envelope

LONG = 30.0  # seconds: a machine under load, never a measure of speed

Answer = Callable[[Envelope], Envelope | list[Envelope] | None]


def eventually(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def reply(ask: Envelope, payload: bytes) -> Envelope:
    return Envelope(REPLY, ask.id, ask.reply_to, "", payload, ask.target)


def error(ask: Envelope, code: str, detail: str = "", data: object = None) -> Envelope:
    body = json.dumps({"code": code, "detail": detail, "data": data}).encode()
    return Envelope(ERROR, ask.id, ask.reply_to, "", body, ask.target)


def echo(ask: Envelope) -> Envelope:
    return reply(ask, ask.payload)


def create_topics(log: Log, topics: Topics, partitions: int = 4) -> None:
    log.create([TopicSpec(topics.mailbox, partitions), TopicSpec(topics.reply, partitions)])
    deadline = time.monotonic() + 10
    for place in [(name, number) for name in (topics.mailbox, topics.reply) for number in range(partitions)]:
        while True:
            try:
                log.range(place)
                break
            except LogUnavailable:  # Kafka says that a topic exists before it can be used
                assert time.monotonic() < deadline
                time.sleep(0.05)


class Responder:
    """Reads every mailbox partition from its end and appends what `answer` returns for each ask."""

    def __init__(self, log: Log, topics: Topics, answer: Answer = echo) -> None:
        self.answer = answer
        self.seen: list[Envelope] = []
        self.keep = True
        self._log = log
        self._topics = topics
        self._reader = log.reader()
        for partition in range(log.partitions(topics.mailbox) or 0):
            place = (topics.mailbox, partition)
            self._reader.assign(place, log.range(place)[1])
        self._stop = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        appender = self._log.appender()
        partitions = self._log.partitions(self._topics.reply) or 1
        while not self._stop:
            groups: dict[tuple[str, int], list[tuple[bytes, bytes | None]]] = {}
            try:
                records = self._reader.read(1000, 0.05)
            except LogUnavailable:  # a fault that a test injects for the edge
                time.sleep(0.005)
                continue
            for record in records:
                try:
                    message = decode_envelope(record.value or b"")
                except Malformed:
                    continue
                if self.keep:
                    self.seen.append(message)
                if message.kind != ASK:
                    continue
                answers = self.answer(message)
                for out in [answers] if isinstance(answers, Envelope) else answers or []:
                    place = (self._topics.reply, address.partition_of(out.target, partitions))
                    groups.setdefault(place, []).append((out.target.encode(), encode_envelope(out)))
            for place, items in groups.items():
                appender.append(place, items, None)
            appender.poll(0)
        self._reader.close()
        appender.close()

    def __enter__(self) -> Responder:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._reader.wake()
        self._thread.join(5)
