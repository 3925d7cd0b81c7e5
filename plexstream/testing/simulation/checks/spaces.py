"""What tuple spaces applied, as their topic tells it: each change once, in order; together, the content."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

from plexstream.log.base import Record
from plexstream.model.journal.timer import ALARM
from plexstream.model.messages.message import Applied
from plexstream.schema.codec import decode_applied
from plexstream.testing.simulation.checks.model.model import Model
from plexstream.testing.simulation.errors import Violation


def check_applied(models: Iterable[Model], records: Iterable[Record]) -> None:
    """Compare what the topic has with what turns have emitted and what is there. Raises Violation."""
    found: dict[str, list[Applied]] = {}
    for record in records:
        found.setdefault(record.key.decode(), []).append(decode_applied(record.value or b""))
    for model in models:
        expected: dict[str, list[tuple[object, ...]]] = {}
        for address, payload in model.sent.applied:
            told = json.loads(payload)
            change = told["number"], told["op"], told["entry"], told["tuple"], told["due"]
            expected.setdefault(address, []).append(change)
        for address, changes in expected.items():
            told_of = found.pop(address, [])
            got = [(a.number, a.op, a.entry, json.loads(a.tuple), a.due) for a in told_of]
            if got != changes:
                raise Violation(f"{address} has applied {changes}, its topic tells {got}")
            _conserved(address, told_of, model)
    if found:
        raise Violation(f"applied by no turn: {found}")


def _conserved(address: str, changes: list[Applied], model: Model) -> None:
    """What was written is there, was taken, or has expired, each once: a reader has the space's content."""
    there: dict[int, tuple[str, int]] = {}
    for number, change in enumerate(changes, 1):
        if change.number != number:
            raise Violation(f"{address}: change {change.number} comes as number {number}")
        if (change.entry in there) == (change.op == "out"):
            raise Violation(f"{address}: {change} of what is {'' if change.entry in there else 'not '}there")
        if change.op in ("out", "renew"):
            there[change.entry] = change.tuple, change.due
        else:
            del there[change.entry]
    counts = Counter(change.op for change in changes)
    if counts["out"] != counts["in"] + counts["expire"] + len(there):
        raise Violation(f"{address}: {counts}, and {len(there)} are there")
    entries = model.coordinated.noun(address).there.values()
    expected = {entry.id: (entry.tuple, entry.due) for entry in entries}
    got = {id: (json.loads(tuple), due) for id, (tuple, due) in there.items()}
    if (address, ALARM) in model.timers.pending:  # it may be late, and those whose lease has ended be there
        got = {id: one for id, one in got.items() if id in expected or not one[1]}
    if got != expected:
        raise Violation(f"{address} has {expected}, a reader of its topic {got}")
