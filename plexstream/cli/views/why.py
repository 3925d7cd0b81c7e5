"""``why``: what keeps an actor from making progress."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from plexstream.cli.calls.calls import Address, Url, served_at
from plexstream.cli.common import options
from plexstream.cli.common.output import print_json, reading, stdout, when
from plexstream.cli.views.ps import ago, attempts, name_of, plain, said

if TYPE_CHECKING:
    from plexstream.inspection.views.invocations import Invocation, Wait
    from plexstream.inspection.views.why import Account

_QUEUED = 5


def why(
    address: Address,
    kafka: options.Kafka = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    url: Url = None,
    as_json: options.Json = False,
    config: options.ConfigFile = None,
) -> None:
    """Say why an actor makes no progress: who has its partition, what its handlers wait for, what is queued.

    Where a handler waits for another actor, that one is looked into, too, and so on. A node that runs, at
    --url or as configured, is asked which handler its worker is in.

    [bold]Examples[/]

      plexstream why order/17
      plexstream why order/17 --kafka localhost:9092 --json
    """
    from rich.markup import escape

    from plexstream.cli.calls.running import held_up
    from plexstream.cli.common.logs import load, open_installation, partitions_of
    from plexstream.inspection.views.why import why as look
    from plexstream.model.errors import LogError

    chosen = load(config, data, kafka, prefix)
    running = held_up(url or served_at(chosen), address)
    out = stdout()
    if not as_json:
        for line in running:
            said = f"✗ {line}  → give what it calls a timeout, or do it in host.run"
            out.print(escape(said), soft_wrap=True)
    try:
        with open_installation(chosen) as log:
            partitions_of(log, chosen)
            with reading("reading the log") as progress:
                found = look(log, chosen.topics(), address, progress, alone=not chosen.kafka)
    except LogError:  # the embedded log of the node that has just answered
        if not running:
            raise
        if as_json:
            print_json({"address": address, "running": running})
        return
    if as_json:
        print_json({**_plain(found), "running": running})
        return
    for depth, line in _lines(found, round(time.time() * 1000), 0):
        out.print("  " * depth + escape(line), soft_wrap=True)


def _plain(a: Account) -> dict[str, Any]:
    return {
        **a._asdict(), "reasons": [r._asdict() for r in a.reasons], "queue": [q._asdict() for q in a.queue],
        "invocations": [plain(i) for i in a.invocations], "letters": [d._asdict() for d in a.letters],
        "asked": {address: _plain(account) for address, account in a.asked.items()},
    }  # fmt: skip


def _lines(a: Account, now: int, depth: int) -> Iterator[tuple[int, str]]:
    yield depth, f"{_short(a.address)}  partition {a.partition}"
    depth += 1
    for reason in a.reasons:
        yield depth, f"✗ {reason.text}" + (f"  → {reason.advice}" if reason.advice else "")
    for invocation in a.invocations:
        yield from _invocation(a, invocation, now, depth)
    for q in a.queue[:_QUEUED]:
        sender = f" from {_short(q.sender)}" if q.sender else ""
        yield depth, f"in the mailbox for {ago(now - q.time)}: {q.handler}{sender} (mailbox/{q.offset})"
    if len(a.queue) > _QUEUED:
        yield depth, f"and {len(a.queue) - _QUEUED} more messages behind them"
    if a.backlog > len(a.queue):
        yield depth, f"{a.backlog - len(a.queue):,} messages to others wait in the same partition"
    for letter in a.letters:
        yield depth, f"put aside {when(letter.time)}: {letter.handler}: {letter.reason}: {letter.detail}"
    if not (a.reasons or a.invocations or a.queue):
        yield depth, "nothing keeps it: no handler of its waits, and no message"


def _invocation(
    a: Account, i: Invocation, now: int, depth: int
) -> Iterator[tuple[int, str]]:  # fmt: skip
    name = name_of(i)
    advice = f"  → plexstream resume '{name}'" if i.status == "paused" else ""
    yield depth, f"{name} {i.handler} {i.status} for {ago(now - i.since)}{advice}"
    if i.stuck:
        ways = f"plexstream restart '{name}' --from STEP, or plexstream cancel '{name}'"
        yield depth + 1, f"✗ {i.stuck}  → deploy code that fits, {ways}"
    if i.tried is not None:
        yield depth + 1, attempts(i.tried)
    for wait in i.waits:
        yield depth + 1, said(wait, now) + _advice(i, wait)
        if wait.kind == "ask":
            yield from _asked(a, i, wait, now, depth + 2)


def _advice(i: Invocation, wait: Wait) -> str:
    if wait.kind == "promise":
        return f"  → plexstream promise resolve {_short(i.address)} {wait.what} VALUE"
    if wait.kind == "awakeable":
        return f"  → plexstream awakeable resolve {wait.what} VALUE"
    return ""


def _asked(
    a: Account, i: Invocation, wait: Wait, now: int, depth: int
) -> Iterator[tuple[int, str]]:  # fmt: skip
    from plexstream.inspection.views.why import target_of

    target = target_of(wait.what)
    account = a.asked.get(target)
    if account is None:
        yield depth, f"{_short(target)} is told of elsewhere here"
        return
    id = f"{i.address}#{i.number}.{wait.number}"
    ids = (id, *(f"{id}.{n}" for n in range(1, i.restarts + 1)))
    its = next((f"{_short(target)}#{v.number}" for v in account.invocations if v.message in ids), "")
    queued = any(q.id in ids for q in account.queue)
    if not its and not queued:
        yield depth, "the question is not there: not arrived yet, or its answer is on the way back"
    elif its:
        yield depth, f"the question is {its}"
    yield from _lines(account, now, depth)


def _short(address: str) -> str:
    from plexstream.model.messages.address import parse

    return parse(address).short
