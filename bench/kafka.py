"""Topics, inputs and outputs of one run on Kafka."""

from __future__ import annotations

import threading
import time
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from bench.work import PARTITIONS, Work, decode_output, mail
from plexstream.log.kafka.log import KafkaLog
from plexstream.model.topics.topics import Topics
from plexstream.node.setup import topology


class Run:
    """The topics of one repetition, deleted by `close`.

    Parameters:
        address: of the broker.
        ident: begins the names of all topics.
        mailbox: work goes straight to the mailboxes of plexstream, not to a plain topic.
    """

    def __init__(self, address: str, ident: str, keys: int, *, mailbox: bool) -> None:
        self.address = address
        self.ident = ident
        self.prefix = f"{ident}."
        self.source, self.sink = f"{ident}.in", f"{ident}.out.counts"
        self.work = Work(keys)
        self._mailbox = Topics(self.prefix).mailbox if mailbox else None
        self._admin = AdminClient({"bootstrap.servers": address})
        new = [NewTopic(t, PARTITIONS, 1) for t in (self.source, self.sink)]
        for made in self._admin.create_topics(new).values():
            made.result(30)
        if mailbox:
            log = KafkaLog(address, {})
            topology.apply(log, Topics(self.prefix), PARTITIONS)
            log.close()
        self._producer = Producer({
            "bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 1,
            "partitioner": "murmur2_random", "queue.buffering.max.messages": 2_000_000})  # fmt: skip
        self._number = 0

    def offer(self) -> tuple[str, int]:
        """Produce one record; returns its key and the count it must get."""
        key, count, value = self.work.next()
        if self._mailbox is None:
            self._producer.produce(self.source, value, key)
        else:
            self._number += 1
            address, envelope, partition = mail(key, value, self._number, int(time.time() * 1000))
            self._producer.produce(self._mailbox, envelope, address, partition)
        self._producer.poll(0)
        return key, count

    def fill(self, records: int) -> None:
        """Produce so many and wait until they are there."""
        for _ in range(records):
            self.offer()
        self.flush()

    def flush(self) -> None:
        """Wait until all that was offered is there."""
        if self._producer.flush(60):
            raise TimeoutError("the broker did not take the input within 60 s")

    def close(self) -> None:
        """Delete the topics."""
        del self._producer  # or it looks for the broker for ever
        mine = [t for t in self._admin.list_topics(timeout=10).topics if self.ident in t]
        for gone in self._admin.delete_topics(mine).values():
            gone.exception(30)


class Observer(threading.Thread):
    """Reads the outputs as any read_committed consumer would, and notes when they became visible."""

    def __init__(self, run: Run) -> None:
        super().__init__(name="observer", daemon=True)
        self.chunks: list[tuple[float, list[bytes]]] = []
        self.total = 0
        self._halt = threading.Event()
        self._consumer = Consumer({
            "bootstrap.servers": run.address, "group.id": "observer", "enable.auto.commit": False,
            "isolation.level": "read_committed", "fetch.queue.backoff.ms": 1,
            "fetch.wait.max.ms": 100})  # fmt: skip
        self._consumer.assign([TopicPartition(run.sink, p, 0) for p in range(PARTITIONS)])

    def run(self) -> None:
        """Read until `stop`."""
        while not self._halt.is_set():
            first = self._consumer.poll(0.1)
            if first is None:
                continue
            records: list[Any] = [first, *self._consumer.consume(9999, 0)]
            now = time.perf_counter()
            values = [r.value() for r in records if not r.error()]
            self.chunks.append((now, values))
            self.total += len(values)
        self._consumer.close()

    def outputs(self) -> list[bytes]:
        """All so far."""
        return [value for _, values in self.chunks for value in values]

    def rate(self, skip: int) -> float:
        """Outputs a second, from the moment that `skip` were visible on."""
        total, base, start = 0, 0, 0.0
        for when, values in self.chunks:
            total += len(values)
            if not start and total >= skip:
                base, start = total, when
        return (total - base) / max(1e-9, self.chunks[-1][0] - start)

    def delays(self, since: int, sent: dict[tuple[str, int], float]) -> list[float]:
        """Seconds from produce to visible, for the outputs from chunk number `since` on."""
        late = []
        for when, values in self.chunks[since:]:
            for value in values:
                record = decode_output(value)
                began = sent.get((record.key, record.count))
                if began is not None:
                    late.append(when - began)
        return late

    def stop(self) -> None:
        """End it."""
        self._halt.set()
        self.join(10)
