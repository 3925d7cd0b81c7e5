"""A producer that is let go of while records are on their way: what became of them is told after its watch.

    late_fates.py <the compiled part>
"""

import glob
import importlib.util
import logging
import sys
import time
from pathlib import Path

import confluent_kafka
from confluent_kafka import Producer

NAME = "plexstream.log.kafka.appending._produce"


def load(path):
    spec = importlib.util.spec_from_file_location(NAME, path)
    part = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(part)
    libraries = glob.glob(str(Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs/librdkafka*"))
    assert any(part.load(library, Producer) for library in libraries), libraries
    return part


def run(part):
    # A broker inside of librdkafka, whose answers take long: what is on its way then is the point.
    settings = {
        "bootstrap.servers": "none:1", "test.mock.num.brokers": 1, "test.mock.broker.rtt": 1_000,
        "plugin.library.paths": part.__file__, "logger": logging.getLogger("unheard"),
        "enable.idempotence": True, "max.in.flight": 1, "batch.num.messages": 10,
    }  # fmt: skip
    producer = Producer(settings)
    watch = part.watch(producer)
    part.send(producer, [("t", 0, b"k", b"first")], -1)
    assert producer.flush(30) == 0
    part.send(producer, [("t", 0, b"k", b"v" * 100)] * 100, -1)
    time.sleep(0.3)
    del watch
    del producer


if __name__ == "__main__":
    run(load(sys.argv[1]))
    print("ended")
