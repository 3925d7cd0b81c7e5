"""What must hold of a history and of what the actors and the outputs have in the end.

In the spirit of Jepsen: what was acknowledged has taken effect, once; what has an unknown outcome has taken
effect once or not at all; nothing else has; and what was seen once is never unseen.

Each function returns what is wrong, with the operation; nothing if all is well.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bankers import START
from callers import OK, Operation

History = Sequence[Operation]
Reports = Mapping[str, Any]
"""What each actor reports, by its address."""


def of(history: History, *kinds: str) -> list[Operation]:
    return [op for op in history if op.kind in kinds]


def once(what: str, times: int, op: Operation) -> Iterator[str]:
    """An acknowledged operation has taken effect once, another at most once."""
    if times > 1:
        yield f"{what} {times} times: {op}"
    elif times == 0 and op.outcome == OK:
        yield f"{what} lost: {op}"


def bank(history: History, reports: Reports) -> Iterator[str]:
    """Each transfer is a debit and a credit, or neither; money is neither made nor lost."""
    accounts = {name: report for name, report in reports.items() if name.startswith("account/")}
    debits: Counter[str] = Counter()
    credits: Counter[str] = Counter()
    for report in accounts.values():
        debits.update(report["debits"])
        credits.update(report["credits"])
    known = {op.id: op for op in of(history, "transfer", "told transfer", "teller")}
    for id, op in known.items():
        yield from once("debit", debits[id], op)
        yield from once("credit", credits[id], op)
        if debits[id] != credits[id]:
            yield f"{debits[id]} debits and {credits[id]} credits: {op}"
    for id in (debits.keys() | credits.keys()) - known.keys():
        yield f"transfer {id} was never asked for"
    total = sum(report["balance"] for report in accounts.values())
    if total != START * len(accounts):
        yield f"there is {total} in all accounts, and was {START * len(accounts)}"


def bags(history: History, reports: Reports) -> Iterator[str]:
    adds = of(history, "add", "bystander")
    for name, elements in reports.items():
        if not name.startswith("bag/"):
            continue
        known = {op.id: op for op in adds if op.target == name}
        for id, op in known.items():
            yield from once("element", elements.get(id, 0), op)
        for id in elements.keys() - known.keys():
            yield f"{name}: element {id} was never added"
        reads = [op for op in of(history, "read") if op.target == name and op.outcome == OK]
        yield from _reads(reads, known.values(), lambda earlier, later: earlier.keys() <= later.keys())


def rows(history: History, reports: Reports) -> Iterator[str]:
    appends = of(history, "append", "told append")
    for name, entries in reports.items():
        if not name.startswith("row/"):
            continue
        known = {op.id: op for op in appends if op.target == name}
        times = Counter(entries)
        for id, op in known.items():
            yield from once("entry", times[id], op)
        for id in times.keys() - known.keys():
            yield f"{name}: entry {id} was never appended"
        latest: Operation | None = None  # that which began latest among those before
        for id in entries:
            op = known.get(id)
            if op is None:
                continue
            if latest is not None and op.outcome == OK and op.ended < latest.begun:
                yield f"out of order: {op}, acknowledged before there was {latest}, comes after it"
            if latest is None or op.begun > latest.begun:
                latest = op
        reads = [op for op in of(history, "read") if op.target == name and op.outcome == OK]
        asked = [op for op in known.values() if op.kind == "append"]
        yield from _reads(reads, asked, lambda earlier, later: later[: len(earlier)] == earlier)
        for read in reads:
            if entries[: len(read.result)] != read.result:
                yield f"read, and not there any more: {read} read {read.result}, and there is {entries}"


def _reads(reads: Iterable[Operation], writes: Iterable[Operation], extends: Any) -> Iterator[str]:
    """Successive reads of a caller never go back; a read has what was answered before it began."""
    writes = list(writes)
    before: dict[str, Operation] = {}
    for read in sorted(reads, key=lambda op: op.begun):
        earlier = before.get(read.caller)
        if earlier is not None and not extends(earlier.result, read.result):
            yield f"a read went back: {read} read {read.result}, after {earlier.result}"
        before[read.caller] = read
        seen = set(read.result)
        for write in writes:
            if write.outcome == OK and write.ended < read.begun and write.id not in seen:
                yield f"not seen by {read}: {write}, answered {read.begun - write.ended:.3f} s before"


def outputs(history: History, reports: Reports, records: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Committed output records, in the order of their partitions, are the entries of each row."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for record in records:
        found[record["row"]].append((record["n"], record["entry"]))
    for name, entries in reports.items():
        if name.startswith("row/"):
            expected = list(enumerate(entries, 1))
            actual = found.get(name, [])
            if actual != expected:
                same = [a == b for a, b in zip(actual, expected, strict=False)]
                at = same.index(False) if False in same else len(same)
                yield f"outputs of {name} from {at} on: {actual[at:][:5]}, expected {expected[at:][:5]}"


def orders(history: History, reports: Reports, paid: Sequence[tuple[str, str]]) -> Iterator[str]:
    """A workflow's effect may be tried again; what came of it is one result, and that is what went on."""
    noted: dict[str, list[str]] = defaultdict(list)
    for name, notes in reports.items():
        if name.startswith("book/"):
            for order, token in notes:
                noted[order].append(token)
    tokens = set(paid)
    for op in of(history, "order"):
        found = noted.pop(op.target, [])
        yield from once("order", len(found), op)
        for token in found:
            if op.outcome == OK and token != op.result:
                yield f"the result is {op.result}, and {token} went on: {op}"
            if (op.target, token) not in tokens:
                yield f"nobody has paid {token}: {op}"
    for order in noted:
        yield f"order {order} was never given"


def timers(history: History, reports: Reports) -> Iterator[str]:
    for name, report in reports.items():
        if not name.startswith("clock/"):
            continue
        if report["early"]:
            yield f"{name}: {report['early']} timers fired before their time"
        known = {op.id: op for op in of(history, "timer") if op.target == name}
        for id, op in known.items():
            yield from once("timer set", id in report["due"], op)
            fired = report["fired"].get(id, 0)
            if fired != (id in report["due"]):
                yield f"fired {fired} times: {op}"
        for id in report["due"].keys() - known.keys():
            yield f"{name}: timer {id} was never set"


def ingest(history: History, reports: Reports) -> Iterator[str]:
    for name, numbers in reports.items():
        if not name.startswith("sink/"):
            continue
        known = {int(op.id): op for op in of(history, "record") if op.target == name}
        times = Counter(numbers)
        for number, op in known.items():
            yield from once("record", times[number], op)
        for number in times.keys() - known.keys():
            yield f"{name}: record {number} was never produced"
        if numbers != sorted(numbers):
            yield f"{name}: records are out of order: {numbers}"


def all_of(
    history: History,
    reports: Reports,
    records: Sequence[dict[str, Any]],
    paid: Sequence[tuple[str, str]],
) -> list[str]:
    """Everything that is wrong."""
    return [
        *bank(history, reports), *bags(history, reports), *rows(history, reports), *timers(history, reports),
        *ingest(history, reports), *orders(history, reports, paid), *outputs(history, reports, records),
    ]  # fmt: skip
