"""A group on a node that is killed again and again, on a real log."""

import time

from plexstream import Client
from plexstream.coordination.common.spread import AT_ONCE

MEMBERS = AT_ONCE + 50


def until(expected, ask):
    end = time.monotonic() + 60  # under load, never a measure of speed
    while (found := ask()) != expected:
        assert time.monotonic() < end, f"{found}, not {expected}"
        time.sleep(0.1)


def test_everybody_is_told_once_while_the_node_is_killed(node):
    count = {"path": "kv.increment", "arguments": {"key": "heard"}}
    with Client(node.url) as client:
        group = client.groups.group("all")
        for number in range(MEMBERS):
            group.join(f"anybody/{number:05}")
        for number in range(3):
            for _ in range(2):  # repeated, since its answer may have been lost
                told = client.keyed(f"publish-{number}").groups.group("all").publish(count, "plain")
                assert told == MEMBERS
                node.kill()
                node.start()
        until(3 * MEMBERS, lambda: client.kv.get("heard"))
        assert group.status() == {"members": MEMBERS, "published": 3, "under_way": 0}
        assert len(group.members(limit=None)) == MEMBERS
        assert client.kv.get("heard") == 3 * MEMBERS
