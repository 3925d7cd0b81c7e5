"""``replay``: rebuild from the log, and compare with the state stores or with what the code does now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plexstream.cli.common import options
from plexstream.cli.common.output import NO, counted, print_json, reading, stdout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plexstream.inspection.replay.reexecute import Report
    from plexstream.log.base import Log
    from plexstream.node.setup.config import Config


def replay(
    re_execute: Annotated[
        Path | None,
        typer.Option("--re-execute", metavar="FILE", help="Run this code again over the recorded messages."),
    ] = None,
    partition: options.Partition = None,
    at: options.At = None,
    kafka: options.Kafka = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    as_json: options.Json = False,
    config: options.ConfigFile = None,
) -> None:
    """Rebuild every partition from the log alone, elsewhere, and compare it with the state stores here.

    With [bold]--re-execute[/] the code runs again instead, on each recorded message, timer and hook and the
    state before it: a test of new code against real messages. Handlers that waited run again to their end,
    those that wait to where they are. Then each actor is loaded as it is now: state that the code cannot
    read is a difference, too. The first of each partition that changes, sends, asks or answers something
    else is reported. Nothing leaves the process. Exit code 1: differences.

    With [bold]--at[/] and [bold]--partition[/] either ends after that offset of the journal. State stores
    are mostly past it, so that what is rebuilt is compared with what `state get --at` says of each actor.

    [bold]Examples[/]

      plexstream replay --data ./.plexstream
      plexstream replay --partition 2 --at 1041
      plexstream replay --re-execute bank.py --kafka localhost:9092
    """
    from plexstream.cli.common.logs import load, open_installation, partitions_of
    from plexstream.model.errors import ConfigError

    chosen = load(config, data, kafka, prefix)
    with open_installation(chosen) as log:
        count = partitions_of(log, chosen)
        if partition is not None and partition >= count:
            raise ConfigError(f"--partition {partition}: there are the partitions 0 to {count - 1}")
        if at is not None and partition is None:
            raise ConfigError(f"--at {at} is an offset of one partition's journal: add --partition P")
        numbers = list(range(count)) if partition is None else [partition]
        if re_execute is not None:
            right = _re_execute(log, chosen, numbers, at, re_execute, as_json)
        else:
            right = _compare(log, chosen, numbers, at, as_json)
    if not right:
        raise typer.Exit(NO)


def _compare(log: Log, config: Config, numbers: list[int], at: int | None, as_json: bool) -> bool:
    import time

    from plexstream.inspection.replay.verify import Verified, stores_of, verify

    stores = stores_of(config.state_dir)
    found: list[Verified] = []
    with reading("rebuilding") as progress:
        for number in numbers:
            now = round(time.time() * 1000)
            paths = stores.get(number, [])
            found += verify(log, config.topics(), number, paths, config.settings(), now, progress, at=at)
    if as_json:
        print_json([v._asdict() for v in found])
        return not any(v.different for v in found)
    from rich.markup import escape
    from rich.table import Table

    table = Table("partition", "journal", "turns", "not counted", "pieces", "", box=None, pad_edge=False)
    for v in found:
        result = (
            f"[red]{v.different:,} differ[/]" if v.different else "[green]the same[/]" if v.pieces else ""
        )
        ignored = f"{v.ignored + v.malformed:,}"
        note = f"[dim]{escape(v.note)}[/]"
        table.add_row(
            str(v.partition), f"to {v.end - 1}", f"{v.turns:,}", ignored, f"{v.pieces:,}", f"{result} {note}"
        )
    out = stdout()
    out.print(table)
    for v in found:
        for text in v.differences:
            out.print(f"[red]partition {v.partition}[/]: {escape(text)}", soft_wrap=True)
    if any(v.different for v in found if v.store):
        out.print("A state store is only a cache: delete its folder, and it is rebuilt from the log.")
    return not any(v.different for v in found)


def _re_execute(
    log: Log, config: Config, numbers: list[int], at: int | None, file: Path, as_json: bool
) -> bool:
    from plexstream.hosts.load import load_actors
    from plexstream.inspection.replay.reexecute import place, reexecute

    app = load_actors(file)
    with reading("executing again") as progress:
        found = [
            reexecute(log, config.topics(), n, app, max_message=config.max_message, at=at, progress=progress)
            for n in numbers
        ]
    different = [r for r in found if r.first is not None]
    if as_json:
        print_json([{**r._asdict(), "first": r.first._asdict() if r.first else None} for r in found])
        return not different
    from rich.markup import escape

    out = stdout()
    for report in different:
        first = report.first
        assert first is not None
        out.print(
            f"[red]differs[/]  partition {first.partition}, {place(first)}: {escape(first.actor)} "
            f"turn {first.seq}, {escape(first.handler or 'its state')}",
            soft_wrap=True,
        )
        for what in first.what:
            out.print(f"         {escape(what)}", soft_wrap=True)
    executed, trimmed = sum(r.executed for r in found), sum(r.trimmed for r in found)
    waited, waiting = sum(r.waited for r in found), sum(r.waiting for r in found)
    loaded = sum(r.loaded for r in found)
    if different:
        verdict = f"[red]{len(different)} partitions differ[/]"
    else:
        any_ = executed or waited or waiting or loaded
        verdict = "[green]all as recorded[/]" if any_ else "[yellow]nothing is compared[/]"
    out.print(
        f"{counted(executed, 'turn')} executed again by {file} ({app.version}): {verdict}", soft_wrap=True
    )
    if waited or waiting:
        out.print(f"with {counted(waited, 'handler')} that waited, and {waiting:,} that wait still")
    out.print(f"and the state of {counted(loaded, 'actor')} loaded as it is now")
    out.print("[bold]Not compared[/]")
    for line in _not_compared(found, trimmed, file):
        out.print(f"  {line}", soft_wrap=True)
    late = [r for r in found if r.begin > 0]
    if late:
        begins = ", ".join(f"{r.partition} from offset {r.begin}" for r in late[:5])
        more = "…" if late[5:] else ""
        out.print(f"The journal is trimmed, so that this covers partition {begins}{more}", soft_wrap=True)
    if late or trimmed:
        out.print("keep_history = true in [processor] keeps all that comes from now on.", soft_wrap=True)
    return not different


def _not_compared(found: list[Report], trimmed: int, file: Path) -> Iterator[str]:
    """What may be other with this code, and re-execution does not tell."""
    if trimmed:
        yield f"{trimmed:,} turns: the retention of the mailbox has dropped their messages"
    if unknown := sum(r.unknown for r in found):
        yield f"{unknown:,} turns, handlers and actors: {file} declares no actors of their types"
    if ticks := sum(r.ticks for r in found):
        yield f"{ticks:,} turns of timers in memory (host.timer): no journal has their arguments"
    if without_code := sum(r.without_code for r in found):
        yield f"{without_code:,} turns that no actor's code made: refusals, links, timers passed on, commands"
    if ended := sum(r.ended for r in found):
        yield f"{ended:,} handlers that were ended before they began, or by the answer of another call"
    if after := sum(r.first is not None for r in found):
        yield f"what comes behind the first difference of {after} partitions"
    yield "calls that leave no turn (read-only ones), and what attempts did that were tried again"
    yield "what host.run calls (its recorded results are taken), how long sleeps and timeouts take"
    yield "texts of exceptions, links and monitors as an actor's state, what hooks of loading do"
