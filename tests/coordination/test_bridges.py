"""Queues and channels and plain topics: what is sent goes out, and comes in from there, each once."""

import time

from plexstream import Client

CONFIG = """
[queues.copy]
from = "plex.out.jobs"

[channels.copy]
from = "plex.out.jobs"
"""


def eventually(find, wanted):
    end = time.monotonic() + 60
    while (found := find()) != wanted:
        assert time.monotonic() < end, found
        time.sleep(0.05)


def test_what_is_sent_comes_back_by_its_topic_once_with_the_node_killed(configured):
    node = configured(CONFIG)
    node.start()
    with Client(node.url) as client:
        jobs, copy = client.queues.queue("jobs"), client.queues.queue("copy")
        copy.configure(bound=3)  # what does not fit waits in line
        jobs.configure(out="jobs")
        jobs.send_many([1, {"a": "ä"}])
        eventually(lambda: copy.depth()["ready"], 2)
        jobs.send_many([3, 4])
        node.kill()
        node.start()
        jobs.send(5)
        got = []
        while len(got) < 5:
            found = copy.receive(10, wait=30)
            got += [message.value for message in found]
            copy.ack(found)
        assert got == [1, {"a": "ä"}, 3, 4, 5]
        eventually(lambda: client.channels.channel("copy").status()["last"], 5)
        assert copy.receive(wait=0.5) == []
