"""What is trimmed is freed on a real broker. `python -m bench.disk` measures two million turns."""

import pytest

from bench import disk
from plexstream.model import topics

MIB = 1 << 20


@pytest.mark.kafka
@pytest.mark.slow
def test_trimming_frees_what_is_not_in_the_last_segment(monkeypatch):
    small = {"segment.bytes": str(MIB)}
    for kind in ("mailbox", "journal"):
        assert topics.KEEPING[kind]["segment.bytes"] == str(32 * MIB)
        monkeypatch.setitem(topics.KEEPING, kind, topics.KEEPING[kind] | small)
    found = disk.measure(60_000, partitions=1)
    assert found.written >= 60_000
    # Of each of the two topics the segment that is written to, and what the last snapshots do not cover.
    assert found.left < 5 * MIB, found
