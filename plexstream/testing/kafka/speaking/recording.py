"""A little of everything that clients do, so that a broker has loaded its classes."""

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

_TOPIC = "recording"
_PATIENCE = 30.0


def serve_some_clients(address: str) -> None:
    """Make a topic, write in transactions, read in a group.

    Args:
        address: bootstrap address of the broker.

    Raises:
        confluent_kafka.KafkaException: the broker refused something.
    """
    client: dict[str, str | int | float | bool] = {"bootstrap.servers": address}
    admin = AdminClient(client)
    admin.create_topics([NewTopic(_TOPIC, 2, 1)])[_TOPIC].result(_PATIENCE)
    producer = Producer({**client, "transactional.id": _TOPIC, "compression.type": "lz4"})
    producer.init_transactions(_PATIENCE)
    for batch in range(5):
        producer.begin_transaction()
        for number in range(50):
            producer.produce(_TOPIC, b"%d %d" % (batch, number))
        producer.commit_transaction(_PATIENCE)
    consumer = Consumer({**client, "group.id": _TOPIC, "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([_TOPIC])
        consumer.consume(200, timeout=5.0)
        consumer.commit(asynchronous=False)
    finally:
        consumer.close()
