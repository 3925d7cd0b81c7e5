"""Messages that kill their process: put aside after some tries, and everything else goes on."""

from __future__ import annotations

import pytest
from load import committed
from nodes import Cluster
from serving import PARTITIONS, until

from plexstream.model.topics.topics import Topics
from plexstream.schema.codec import decode_dead_letter

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.mark.parametrize("handler", ["exit", "kill"])
def test_a_poison_message(cluster: Cluster, handler: str) -> None:
    node = cluster.node().ready(PARTITIONS)
    node.tell("trouble/a", "slow", seconds=0)
    node.tell("trouble/a", handler)
    node.tell("trouble/a", "slow", seconds=0)
    topic = Topics(cluster.prefix).deadletter
    until("it is put aside", lambda: committed(cluster.log, topic), 55)
    for number in range(12):
        answer = node.ask(f"trouble/{number}", "slow", seconds=0)
        assert answer.status_code == 200, answer.text
    until("what was behind it", lambda: node.report("trouble/a") == 2)
    [letter] = [decode_dead_letter(value) for value in committed(cluster.log, topic)]
    assert (letter.reason, letter.handler, letter.attempts) == ("poisoned", handler, 3)
    assert letter.detail


def test_who_asks_is_told(cluster: Cluster) -> None:
    node = cluster.node().ready(PARTITIONS)
    answer = node.ask("trouble/a", "exit", timeout=50)
    assert (answer.status_code, answer.json()["code"]) == (500, "poisoned"), answer.text
    answer = node.ask("trouble/a", "slow", seconds=0)
    assert answer.status_code == 200, answer.text
