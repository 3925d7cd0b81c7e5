"""``ps``: handlers that have not ended, and what they wait for; replies that are deferred, and for whom."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plexstream.cli.common import options
from plexstream.cli.common.output import counted, print_json, reading, stderr, stdout, when

if TYPE_CHECKING:
    from plexstream.inspection.views.invocations import Invocation, Tried, Wait

_COLORS = {"waits": "green", "paused": "yellow", "tries again": "red", "stuck": "red", "deferred": "green"}


def ps(
    type_name: Annotated[
        str | None, typer.Argument(metavar="[TYPE]", help="Only of actors of this type.")
    ] = None,
    partition: options.Partition = None,
    limit: Annotated[int, typer.Option("-n", "--limit", metavar="N", min=1, help="At most so many.")] = 100,
    kafka: options.Kafka = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    as_json: options.Json = False,
    config: options.ConfigFile = None,
) -> None:
    """List the handlers that wait, those that have waited longest first: for what, and since when.

    And the replies that are deferred: who waits for which.

    It reads the log, so that a side effect (host.run) is seen once it has taken a second.
    `plexstream journal show 'ADDRESS#NUMBER'` shows one step by step; `plexstream why ADDRESS` follows whom
    it waits for.

    [bold]Examples[/]

      plexstream ps
      plexstream ps order -n 1000 --json --kafka localhost:9092
    """
    import heapq

    from plexstream.cli.common.logs import load, open_installation, partitions_of
    from plexstream.inspection.views.invocations import invocations
    from plexstream.model.errors import ConfigError

    chosen = load(config, data, kafka, prefix)
    rows: list[Invocation] = []
    total = 0
    with open_installation(chosen) as log:
        count = partitions_of(log, chosen)
        if partition is not None and partition >= count:
            raise ConfigError(f"--partition {partition}: there are the partitions 0 to {count - 1}")
        with reading("reading the log") as progress:
            for number in range(count) if partition is None else [partition]:
                for found in invocations(log, chosen.topics(), number, type_name, progress):
                    total += 1
                    rows.append(found)
                    if len(rows) >= 2 * limit:
                        rows = heapq.nsmallest(limit, rows, key=_age)
        rows = heapq.nsmallest(limit, rows, key=_age)
    if as_json:
        print_json([plain(row) for row in rows])
        return
    from rich.markup import escape
    from rich.table import Column, Table

    now = round(time.time() * 1000)
    table = Table(
        "invocation",
        "handler",
        "status",
        Column("for", overflow="fold"),
        "since",
        "steps",
        box=None,
        pad_edge=False,
    )
    for row in rows:
        color = _COLORS.get(row.status, "dim")
        for_what = [said(wait, now) for wait in row.waits]
        if row.stuck:
            for_what.append(row.stuck)
        if row.tried is not None:
            for_what.append(attempts(row.tried))
        table.add_row(
            escape(name_of(row)), escape(row.handler),
            f"[{color}]{row.status}[/]", escape("\n".join(for_what)), ago(now - row.since), str(row.steps),
        )  # fmt: skip
    stdout().print(table)
    more = f"; {len(rows)} are shown, -n shows more" if total > len(rows) else ""
    stderr().print(f"{counted(total, 'handler')}{more}")


def _age(row: Invocation) -> tuple[int, str, int]:
    return row.since, row.address, row.number


def plain(row: Invocation) -> dict[str, Any]:
    """An invocation for programs."""
    waits = [{**wait._asdict(), "tried": _plain(wait.tried)} for wait in row.waits]
    return {**row._asdict(), "waits": waits, "tried": _plain(row.tried)}


def _plain(tried: Tried | None) -> dict[str, Any] | None:
    return None if tried is None else tried._asdict()


def name_of(row: Invocation) -> str:
    """What it is called; a tell that waits outside of the journal has only its actor's name."""
    from plexstream.model.messages.address import parse

    short = parse(row.address).short
    return f"{short}#{row.number}" if row.number else short


def said(wait: Wait, now: int) -> str:
    """What is waited for, for people."""
    if wait.kind == "sleep":
        late = now - wait.due
        return f"sleeps until {when(wait.due)}" + (f", {ago(late)} ago" if late > 0 else "")
    if wait.kind == "ask":
        from plexstream.model.messages.text import taken_apart

        target, handler = taken_apart(wait.what)
        return f"asks {target.removeprefix('default/default/')} {handler}"
    if wait.kind == "reply":
        who = wait.what.removeprefix("default/default/") or "a caller outside"
        over = f" until {when(wait.due)}" if wait.due else ""
        return f"{who} waits for the answer{over}"
    tried = f", {attempts(wait.tried)}" if wait.tried is not None else ""
    return f"{wait.kind} {wait.what}{tried}"


def attempts(tried: Tried) -> str:
    """What has failed, and when it is tried again, for people."""
    return f"attempt {tried.attempt} of {tried.of} failed, next at {when(tried.next)}: {tried.error}"


def ago(ms: int) -> str:
    """A span of time in its largest unit."""
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min")):
        if ms >= size:
            return f"{ms / size:.1f} {unit}"
    return f"{max(ms, 0) / 1000:.1f} s"
