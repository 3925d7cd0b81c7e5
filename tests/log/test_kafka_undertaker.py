"""A client that the collector finds on librdkafka's own thread aborts the process, unless it is kept."""

import subprocess
import sys

import pytest

CODE = """
import gc, sys, threading
from confluent_kafka.admin import NewTopic
from plexstream.log.kafka.brokers.admin import Admin

gc.disable()
asked = Admin(sys.argv[1], {})
client = asked._free[0].handle
if sys.argv[2] == "bare":
    asked._free[0].end.detach()  # as it was
asked.itself = asked  # nobody has it any more, but for the collector
future = client.create_topics([NewTopic(sys.argv[3], 0)])[sys.argv[3]]
collected = threading.Event()

def collect(_):  # on librdkafka's thread, as its callback sets the future
    gc.collect()
    collected.set()

future.add_done_callback(collect)
del asked, client
assert collected.wait(30)
for name in [t.name for t in threading.enumerate()]:
    print(name)
"""


def ended(kafka, how, topic):
    done = subprocess.run(
        [sys.executable, "-c", CODE, kafka, how, topic], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout


@pytest.mark.kafka
def test_a_client_that_the_collector_finds_ends_elsewhere(kafka, topic_prefix):
    code, said = ended(kafka, "kept", f"{topic_prefix}x")
    assert code == 0
    assert "plexstream-undertaker" in said
    assert ended(kafka, "bare", f"{topic_prefix}y")[0] < 0  # what it is kept for: else this module may go
