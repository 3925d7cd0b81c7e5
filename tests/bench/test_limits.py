"""A run of the benchmarks ends, and each row has its share of the time."""

import time

import pytest

from bench import limits
from bench.limits import Budget, TooLong, at_most


def test_what_hangs_is_ended_and_the_next_is_not():
    with pytest.raises(TooLong), at_most(0.05):
        time.sleep(60)
    with at_most(0.05):
        pass
    time.sleep(0.1)  # a bell that is still set would ring here


def test_a_row_that_is_slow_takes_nothing_from_the_next(monkeypatch):
    now = 0.0
    monkeypatch.setattr(limits.time, "monotonic", lambda: now)
    budget = Budget(20, rows=2)
    budget.next_row()
    assert budget.allows(0, 0)
    now = 9 * 60
    assert budget.allows(1, 30)
    assert not budget.allows(1, 90)  # would end after its share of 10 minutes
    now = 11 * 60
    assert budget.allows(0, 30)  # a first figure is worth more than a third of another's
    budget.next_row()
    now = 19 * 60
    assert budget.allows(2, 30)
    now = 20 * 60
    assert not budget.allows(0, 0)
