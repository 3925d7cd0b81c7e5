"""`Snapshots(seconds=…)` costs the same for a week as for a minute, and is met nearly as exactly."""

import pytest

from plexstream.node.partition.upkeep import ages
from plexstream.node.partition.upkeep.ages import Ages

MINUTE, WEEK = 60_000, 7 * 86_400_000


def test_a_week_of_notes_is_kept_in_little_and_answers_are_near():
    seconds = 100_000
    known, start = Ages(), 1_700_000_000_000
    for n in range(seconds):  # one a second; the offset is the number of the second
        known.note(start + 1000 * n, n, WEEK)
        assert len(known) <= ages.MOST
    now = start + 1000 * (seconds - 1)
    for wait in (0, 1_000, 5_000, MINUTE, 10 * MINUTE, 3_600_000, 86_400_000):
        exact = seconds - 1 - wait // 1000
        assert exact - wait / 1000 / ages.FINE * 2 - 1 <= known.before(now, wait) <= exact
    assert known.before(now, WEEK) == 0


@pytest.mark.parametrize("longest", [1_000, MINUTE])
def test_what_is_older_than_anybody_asks_for_is_forgotten(longest):
    known = Ages()
    for n in range(10_000):
        known.note(1000 * n, n, longest)
    assert known.before(9_999_000, longest) >= 9_999 - 2 * longest // 1000
    known.note(9_999_001, 9_999, longest)
    assert len(known) <= ages.MOST
