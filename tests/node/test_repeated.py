"""A fault that repeats is told at once, at growing intervals with its count, and when it is over."""

from __future__ import annotations

import pytest

from plexstream.node.shared.repeated import FIRST_S, OVER_S, Repeated


@pytest.fixture
def told(caplog):
    return lambda: [record.message for record in caplog.records if record.name == "plexstream.node"]


def test_one_that_lasts_is_told_less_and_less_often_and_when_it_is_over(told):
    now = 0.0
    faults = Repeated(lambda: now)
    for n in range(1_000):  # for 100 s
        now = n / 10
        faults.tell("partition 0: lost", f"the disk is full at offset {n}")
    assert told() == [
        "partition 0: lost: the disk is full at offset 0",
        "partition 0: lost: the disk is full at offset 50 (51 times in 5 s)",
        "partition 0: lost: the disk is full at offset 150 (151 times in 15 s)",
        "partition 0: lost: the disk is full at offset 350 (351 times in 35 s)",
        "partition 0: lost: the disk is full at offset 750 (751 times in 75 s)",
    ]
    now += OVER_S - 1
    faults.look()
    assert len(told()) == 5
    now += 1
    faults.look()
    faults.look()
    assert told()[5:] == ["partition 0: lost: over, after 1000 times in 100 s: the disk is full at offset #"]
    faults.tell("partition 0: lost", "the disk is full at offset 7")
    assert told()[6:] == ["partition 0: lost: the disk is full at offset 7"]


def test_others_are_told_at_once_and_one_that_came_once_is_not_said_to_be_over(told):
    now = 0.0
    faults = Repeated(lambda: now)
    for partition, why in ((0, "full"), (1, "full"), (0, "no right")):
        faults.tell(f"partition {partition}: lost", why)
    assert len(told()) == 3
    now = FIRST_S + OVER_S
    faults.look()
    assert len(told()) == 3
