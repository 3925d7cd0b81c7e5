"""What is trimmed is freed on a real broker. `python -m bench.disk` measures two million turns."""

import pytest

from bench import disk
from plexstream.model.topics import declaration
from plexstream.node.setup import topology

MIB = 1 << 20


@pytest.mark.kafka
@pytest.mark.slow
def test_trimming_frees_what_is_not_in_the_last_segment(monkeypatch):
    small = {"segment.bytes": str(MIB)}
    now = dict(declaration.declaration())
    for kind in ("mailbox", "journal"):
        assert now[kind].settings["segment.bytes"] == str(32 * MIB)
        now[kind] = now[kind]._replace(settings=now[kind].settings | small)
    monkeypatch.setattr(topology, "declaration", lambda: now)
    found = disk.measure(60_000, partitions=1)
    assert found.written >= 60_000
    # Of each of the two topics the segment that is written to, and what the last snapshots do not cover.
    assert found.left < 5 * MIB, found
