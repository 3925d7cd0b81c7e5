"""A run goes round by round, tells what it leaves out, and counts only what has failed as a fault."""

import io

from rich.console import Console

from bench import main
from bench.rows import Task


def measured(rows, minutes=1.0):
    faults = []
    console = Console(record=True, width=200, file=io.StringIO())
    samples = main._measure(rows, minutes, console, lambda what, why: faults.append(what))
    return samples, faults, console.export_text()


def test_tasks_take_turns_and_keep_what_belongs_to_which_round():
    order = []

    def task(name, values):
        found = iter(values)

        def run():
            order.append(name)
            value = next(found)
            if value is None:
                raise RuntimeError("not this time")
            return {"rate": value}

        return Task(name, run, len(values))

    rows = {"counter": [task("a", [1.0, None, 3.0]), task("b", [4.0, 5.0, 6.0])]}
    samples, faults, _ = measured(rows)
    assert order == ["a", "b"] * 3
    assert samples == {
        ("counter", "a", "rate"): {0: 1.0, 2: 3.0}, ("counter", "b", "rate"): {0: 4.0, 1: 5.0, 2: 6.0},
    }  # fmt: skip
    assert faults == ["counter: a, round 2 of 3"]


def test_what_takes_long_is_left_out_and_is_no_fault():
    def run():
        return {"rate": 1.0}

    rows = {"size": [Task("few", run, 1, expected_s=1.0), Task("very many", run, 1, expected_s=400.0)]}
    samples, faults, said = measured(rows)
    assert set(samples) == {("size", "few", "rate")}
    assert not faults
    assert "left out size: very many, round 1 of 1: it takes 7 min: give --minutes, or --rows size" in said


def test_what_is_short_and_finds_no_time_is_a_fault():
    def run():
        return {"rate": 1.0}

    samples, faults, _ = measured({"size": [Task("few", run, 1, expected_s=100.0)]})
    assert not samples
    assert faults == ["size: few, round 1 of 1"]
