"""The counter by hand: confluent-kafka, one transaction per batch, state in RocksDB with a changelog topic.

Each transaction carries the batch's outputs, its changelog records and the input's offsets; RocksDB is
written after it. A partition that is assigned is brought up from the changelog first: RocksDB may be gone,
or be behind.
"""

import os
import signal
import threading
import time
from typing import Any

import orjson
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from rocksdict import Options, Rdict, WriteBatch

env = os.environ
bootstrap, source, sink, ident = env["BOOTSTRAP"], env["PEER_IN"], env["PEER_OUT"], env["PEER_ID"]
changelog = f"{ident}-changelog"
BATCH = 1000
stopped = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopped.set())

store = Rdict(env["PEER_STATE"] + "/db", Options(raw_mode=True))


def make_changelog() -> None:
    """Create the changelog topic, unless it is there."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    partitions = len(admin.list_topics(source, 10).topics[source].partitions)
    topic = NewTopic(changelog, partitions, 1, config={"cleanup.policy": "compact"})
    error = admin.create_topics([topic])[changelog].exception()
    if error is not None and error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
        raise error


def restore(_: Consumer, partitions: list[TopicPartition]) -> None:
    """Bring the store of these partitions up to the end of the changelog."""
    reader = Consumer({
        "bootstrap.servers": bootstrap, "group.id": f"{ident}-restore", "enable.auto.commit": False,
        "enable.partition.eof": True, "auto.offset.reset": "earliest",
        "fetch.queue.backoff.ms": 1})  # fmt: skip
    places, began, restored = [p.partition for p in partitions], time.time(), 0
    reader.assign([TopicPartition(changelog, p, int(store.get(b"\0next%d" % p) or 0)) for p in places])
    left = set(places)
    while left:
        batch = WriteBatch(raw_mode=True)
        record: Any
        for record in reader.consume(10_000, 0.1):
            partition = record.partition()
            if record.error() is not None:
                if record.error().code() != KafkaError._PARTITION_EOF:
                    raise SystemExit(str(record.error()))
                left.discard(partition)
            else:
                restored += 1
                batch.put(record.key(), record.value())
                batch.put(b"\0next%d" % partition, b"%d" % (record.offset() + 1))
        store.write(batch)
    reader.close()
    said = {"records": restored, "began": round(began * 1000), "ended": round(time.time() * 1000)}
    print("restored", orjson.dumps(said).decode(), flush=True)


make_changelog()
producer = Producer({
    "bootstrap.servers": bootstrap, "linger.ms": 1, "partitioner": "murmur2_random",
    "queue.buffering.max.messages": 1_000_000, "enable.idempotence": True, "transactional.id": ident,
    "transaction.timeout.ms": 10_000, "retry.backoff.ms": 1})  # fmt: skip
producer.init_transactions()
consumer = Consumer({
    "bootstrap.servers": bootstrap, "group.id": ident, "auto.offset.reset": "earliest",
    "enable.auto.commit": False, "enable.auto.offset.store": False, "fetch.queue.backoff.ms": 1})  # fmt: skip
consumer.subscribe([source], on_assign=restore)


def handle(records: list[Any]) -> None:
    """One transaction."""
    producer.begin_transaction()
    offsets: dict[int, int] = {}
    writes: dict[bytes, bytes] = {}
    for record in records:
        if record.error():
            raise SystemExit(str(record.error()))
        key, partition = record.key(), record.partition()
        offsets[partition] = record.offset() + 1
        order = orjson.loads(record.value())
        old = writes.get(key)
        if old is None:
            old = store.get(key)
        count = orjson.loads(old)["count"] + 1 if old else 1
        new = orjson.dumps({"count": count, "amount": order["amount"]})
        writes[key] = new
        producer.produce(changelog, new, key, partition)
        producer.produce(sink, orjson.dumps({"key": order["key"], "count": count}), key)
    done = [TopicPartition(source, p, o) for p, o in offsets.items()]
    producer.send_offsets_to_transaction(done, consumer.consumer_group_metadata())
    producer.commit_transaction()
    updates = WriteBatch(raw_mode=True)
    for key, new in writes.items():
        updates.put(key, new)
    store.write(updates)


while not stopped.is_set():
    first = consumer.poll(0.1)
    if first is not None:
        handle([first, *consumer.consume(BATCH - 1, 0)])
consumer.close()
store.close()
