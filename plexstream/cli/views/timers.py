"""``timers``: what is due, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from plexstream.cli.common import options
from plexstream.cli.common.output import counted, print_json, reading, stderr, stdout, when

if TYPE_CHECKING:
    from plexstream.inspection.views.timers import Pending


def timers(
    address: Annotated[
        str | None, typer.Argument(metavar="[ADDRESS]", help="Only those of this actor: type/id.")
    ] = None,
    partition: options.Partition = None,
    limit: Annotated[int, typer.Option("-n", "--limit", metavar="N", min=1, help="At most so many.")] = 100,
    kafka: options.Kafka = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    as_json: options.Json = False,
    config: options.ConfigFile = None,
) -> None:
    """List pending timers, alarms, reminders and crons, the next first. It reads snapshots and journals.

    [bold]Examples[/]

      plexstream timers
      plexstream timers subscription/alice --kafka localhost:9092
    """
    import heapq

    from plexstream.cli.common.logs import load, open_installation, partitions_of
    from plexstream.inspection.views.timers import pending
    from plexstream.model.messages.address import full, partition_of

    chosen = load(config, data, kafka, prefix)
    target = None if address is None else full(address)
    rows: list[Pending] = []
    total = 0
    with open_installation(chosen) as log:
        count = partitions_of(log, chosen)
        if target is not None:
            partition = partition_of(target, count)
        with reading("reading the log") as progress:
            for number in range(count) if partition is None else [partition]:
                found: list[Pending] = []
                for timer in pending(log, chosen.topics(), number, target, progress):
                    total += 1
                    if len(found) < limit:
                        found.append(timer)
                rows = list(heapq.merge(rows, found))[:limit]
    if as_json:
        print_json([_plain(row) for row in rows])
        return
    from rich.table import Table

    table = Table("due", "actor", "timer", "calls", "again", box=None, pad_edge=False)
    for row in rows:
        table.add_row(when(row.due), _short(row.actor), row.id, _calls(row), _again(row.schedule))
    stdout().print(table)
    more = f"; {len(rows)} are shown, -n shows more" if total > len(rows) else ""
    stderr().print(f"{counted(total, 'timer')}{more}")


def _short(address: str) -> str:
    from plexstream.model.messages.address import parse

    return parse(address).short


def _plain(row: Pending) -> dict[str, Any]:
    import json

    plain = row._asdict()
    plain["schedule"] = json.loads(row.schedule) if row.schedule else None
    plain["arguments"] = json.loads(row.arguments or b"null")
    return plain


def _calls(row: Pending) -> str:
    return row.handler if row.to == row.actor else f"{_short(row.to)} {row.handler}"


def _again(text: str) -> str:
    from plexstream.model.schedule import parse_schedule

    if not text:
        return ""
    schedule = parse_schedule(text)
    what = f"every {schedule.every / 1000:g} s" if schedule.every else f"{schedule.cron} {schedule.tz}"
    return what if schedule.misfire == "once" else f"{what}, misfire {schedule.misfire}"
