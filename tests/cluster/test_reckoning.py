"""The reckoning finds what it is there for: each thing that may go wrong is done on purpose, and is named."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from bankers import START
from callers import OK, UNKNOWN, Operation
from reckoning import all_of

Actors = dict[str, Any]


class World:
    """A history in which all is well, with what there is in the end."""

    def __init__(self) -> None:
        self.history: list[Operation] = []
        self.reports: Actors = {
            "account/a": {"balance": START - 5 - 2, "debits": {"t.0": 1, "t.2": 1}, "credits": {}},
            "account/b": {"balance": START + 5 + 2, "debits": {}, "credits": {"t.0": 1, "t.2": 1}},
            "bag/a": {"b.0": 1, "b.1": 1},
            "row/a": ["r.0", "r.1", "r.2"],
            "clock/a": {"due": {"c.0": 1}, "fired": {"c.0": 1}, "early": 0},
            "sink/a": [0, 1],
            "book/a": [["order/a", "token"]],
        }
        self.outputs = [{"row": "row/a", "n": n, "entry": f"r.{n - 1}"} for n in (1, 2, 3)]
        self.paid = [("order/a", "other"), ("order/a", "token")]
        self.op("transfer", "account/a", "t.0", OK)
        self.op("transfer", "account/a", "t.1", UNKNOWN)
        self.op("told transfer", "account/a", "t.2", UNKNOWN)
        self.op("add", "bag/a", "b.0", OK)
        self.op("read", "bag/a", "q.0", OK, {"b.0": 1})
        self.op("add", "bag/a", "b.1", UNKNOWN)
        self.op("add", "bag/a", "b.2", UNKNOWN)
        self.op("read", "bag/a", "q.1", OK, {"b.0": 1, "b.1": 1})
        self.op("append", "row/a", "r.0", OK, 1)
        self.op("read", "row/a", "q.2", OK, ["r.0"])
        self.op("append", "row/a", "r.1", OK, 2)
        self.op("told append", "row/a", "r.2", OK)
        self.op("read", "row/a", "q.3", OK, ["r.0", "r.1"])
        self.op("timer", "clock/a", "c.0", OK)
        self.op("timer", "clock/a", "c.1", UNKNOWN)
        self.op("record", "sink/a", "0", OK)
        self.op("record", "sink/a", "1", UNKNOWN)
        self.op("order", "order/a", "o.0", OK, "token")

    def op(self, kind: str, target: str, id: str, outcome: str, result: Any = None) -> None:
        at = 10.0 * len(self.history)
        caller = id.partition(".")[0]
        self.history.append(Operation(kind, caller, target, id, at, at + 5, outcome, result))

    def wrong(self) -> list[str]:
        return all_of(self.history, self.reports, self.outputs, self.paid)

    def result(self, id: str, value: Any) -> None:
        next(op for op in self.history if op.id == id).result = value


def test_all_is_well() -> None:
    assert World().wrong() == []


def swapped(items: list[Any]) -> None:
    items[0], items[1] = items[1], items[0]


WRONGS: list[tuple[str, str, Callable[[World], object]]] = [
    ("a lost debit", "debit lost: transfer t.0", lambda w: w.reports["account/a"]["debits"].pop("t.0")),
    ("a lost credit", "credit lost: transfer t.0", lambda w: w.reports["account/b"]["credits"].pop("t.0")),
    (
        "half of an unknown transfer",
        "1 debits and 0 credits: told transfer t.2",
        lambda w: w.reports["account/b"]["credits"].pop("t.2"),
    ),
    (
        "a transfer twice",
        "debit 2 times: transfer t.0",
        lambda w: w.reports["account/a"]["debits"].update({"t.0": 2}),
    ),
    (
        "a transfer of nobody",
        "transfer t.9 was never asked for",
        lambda w: w.reports["account/a"]["debits"].update({"t.9": 1}),
    ),
    (
        "money made",
        f"there is {2 * START + 1} in all accounts",
        lambda w: w.reports["account/a"].update(balance=START - 6),
    ),
    ("a lost element", "element lost: add b.0", lambda w: w.reports["bag/a"].pop("b.0")),
    ("an element twice", "element 2 times: add b.1", lambda w: w.reports["bag/a"].update({"b.1": 2})),
    ("an element of nobody", "b.9 was never added", lambda w: w.reports["bag/a"].update({"b.9": 1})),
    ("a set's read that went back", "a read went back: read q.1", lambda w: w.result("q.1", {"b.1": 1})),
    ("a set's read of the past", "not seen by read q.0", lambda w: w.result("q.0", {})),
    ("a lost entry", "entry lost: append r.1", lambda w: w.reports["row/a"].remove("r.1")),
    ("a lost tell", "entry lost: told append r.2", lambda w: w.reports["row/a"].remove("r.2")),
    ("an entry twice", "entry 2 times: append r.0", lambda w: w.reports["row/a"].append("r.0")),
    ("an entry of nobody", "r.9 was never appended", lambda w: w.reports["row/a"].append("r.9")),
    ("entries out of order", "out of order: append r.0", lambda w: swapped(w.reports["row/a"])),
    ("a list's read that went back", "a read went back: read q.3", lambda w: w.result("q.3", ["r.1"])),
    ("a list's read of the past", "not seen by read q.3", lambda w: w.result("q.3", ["r.0"])),
    (
        "what was read is undone",
        "read, and not there any more: read q.3",
        lambda w: w.result("q.3", ["r.0", "r.1", "r.9"]),
    ),
    ("a lost output", "outputs of row/a from 1", lambda w: w.outputs.pop(1)),
    ("the last output lost", "outputs of row/a from 2", lambda w: w.outputs.pop()),
    ("an output twice", "outputs of row/a from 3", lambda w: w.outputs.append(w.outputs[2])),
    ("outputs out of order", "outputs of row/a from 0", lambda w: swapped(w.outputs)),
    ("a lost timer", "timer set lost: timer c.0", lambda w: w.reports["clock/a"]["due"].clear()),
    ("a timer that never fired", "fired 0 times: timer c.0", lambda w: w.reports["clock/a"]["fired"].clear()),
    (
        "a timer that fired twice",
        "fired 2 times: timer c.0",
        lambda w: w.reports["clock/a"]["fired"].update({"c.0": 2}),
    ),
    ("an early timer", "1 timers fired before their time", lambda w: w.reports["clock/a"].update(early=1)),
    ("a lost record", "record lost: record 0", lambda w: w.reports["sink/a"].remove(0)),
    ("a record twice", "record 2 times: record 1", lambda w: w.reports["sink/a"].append(1)),
    ("records out of order", "records are out of order", lambda w: w.reports["sink/a"].reverse()),
    ("a record of nobody", "record 7 was never produced", lambda w: w.reports["sink/a"].append(7)),
    ("a lost order", "order lost: order o.0", lambda w: w.reports["book/a"].clear()),
    (
        "an order twice",
        "order 2 times: order o.0",
        lambda w: w.reports["book/a"].append(["order/a", "token"]),
    ),
    ("an effect of another run", "the result is other", lambda w: w.result("o.0", "other")),
    ("an effect that never was", "nobody has paid token", lambda w: w.paid.pop()),
    (
        "an order of nobody",
        "order order/z was never given",
        lambda w: w.reports["book/a"].append(["order/z", "token"]),
    ),
]


@pytest.mark.parametrize(("expected", "spoil"), [wrong[1:] for wrong in WRONGS], ids=[w[0] for w in WRONGS])
def test_what_is_wrong_is_named(expected: str, spoil: Callable[[World], object]) -> None:
    world = World()
    world.reports = copy.deepcopy(world.reports)
    spoil(world)
    assert any(expected in line for line in world.wrong()), world.wrong()
