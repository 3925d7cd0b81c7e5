"""``state``: what actors are, now or at an earlier offset of the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from plexstream.cli.common import options
from plexstream.cli.common.output import NO, App, counted, print_json, reading, stderr, stdout, when

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from plexstream.inspection.views.state_view import ActorState
    from plexstream.log.base import Log
    from plexstream.model.journal.snapshot import Snapshot
    from plexstream.model.topics.topics import Topics

app = App(help="Look at the state of actors, now or in the past.")

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="type/id, or tenant/namespace/type/id.")]


@app.command()
def get(
    address: Address,
    at: options.At = None,
    kafka: options.Kafka = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    config: options.ConfigFile = None,
) -> None:
    """Print an actor's state as JSON, folded from the log: that of its latest acknowledged turn.

    `journal show --actor ADDRESS` lists the offsets to choose from.

    [bold]Examples[/]

      plexstream state get account/alice
      plexstream state get account/alice --at 1041 --kafka localhost:9092
    """
    found = _state(address, [at], kafka, data, prefix, config)[0]
    print_json(found._asdict())
    if not found.turn:
        stderr().print(f"{found.address} has had no turn: is the address right?")
        raise typer.Exit(NO)


@app.command()
def diff(
    address: Address,
    start: Annotated[
        int, typer.Option("--from", metavar="OFFSET", min=0, help="The earlier journal offset.")
    ],
    at: options.At = None,
    kafka: options.Kafka = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    as_json: options.Json = False,
    config: options.ConfigFile = None,
) -> None:
    """Show what changed in an actor's state between two offsets of the journal.

    [bold]Example[/]

      plexstream state diff account/alice --from 1000 --at 1041
    """
    from plexstream.inspection.views.state_view import MISSING, differences

    before, after = _state(address, [start, at], kafka, data, prefix, config)
    found = differences(before, after)
    if as_json:
        print_json([
            {
                "path": d.path,
                **({} if d.before is MISSING else {"before": d.before}),
                **({} if d.after is MISSING else {"after": d.after}),
            }
            for d in found
        ])  # fmt: skip
        return
    from rich.table import Table

    table = Table("field", f"at {before.as_of} (turn {before.turn})", f"at {after.as_of} (turn {after.turn})")
    for d in found:
        table.add_row(d.path, _value(d.before, "red"), _value(d.after, "green"))
    stdout().print(
        table if found else f"{after.address}: no difference between {before.as_of} and {after.as_of}"
    )


@app.command("list")
def list_actors(
    type_name: Annotated[
        str | None, typer.Argument(metavar="[TYPE]", help="Only actors of this type.")
    ] = None,
    partition: options.Partition = None,
    limit: Annotated[int, typer.Option("-n", "--limit", metavar="N", min=1, help="At most so many.")] = 100,
    kafka: options.Kafka = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    as_json: options.Json = False,
    config: options.ConfigFile = None,
) -> None:
    """List actors with their latest turns. It reads the snapshots and journals of their partitions.

    [bold]Examples[/]

      plexstream state list
      plexstream state list account -n 1000 --json
    """
    from plexstream.cli.common.logs import load, open_installation, partitions_of
    from plexstream.model.errors import ConfigError
    from plexstream.model.messages.address import parse

    if type_name is not None and "/" in type_name:
        raise ConfigError(f"{type_name!r} is no type: write {type_name.split('/')[-2]}, or state get ADDRESS")
    chosen = load(config, data, kafka, prefix)
    rows: list[dict[str, Any]] = []
    total = 0
    with open_installation(chosen) as log:
        count = partitions_of(log, chosen)
        numbers = range(count) if partition is None else [partition]
        with reading("reading the log") as progress:
            for number in numbers:
                for piece in _actors(log, chosen.topics(), number, type_name, progress):
                    total += 1
                    if len(rows) < limit:
                        rows.append({
                            "address": parse(piece.address).short, "partition": number, "turn": piece.seq,
                            "offset": piece.offset, "time": piece.time or None,
                        })  # fmt: skip
    if as_json:
        print_json(rows)
        return
    from rich.table import Table

    table = Table("actor", "partition", "turn", "offset", "at", box=None, pad_edge=False)
    for row in rows:
        table.add_row(
            row["address"], str(row["partition"]), f"{row['turn']:,}", str(row["offset"]),
            when(row["time"] or 0),
        )  # fmt: skip
    stdout().print(table)
    more = f"; {len(rows)} are shown, -n shows more" if total > len(rows) else ""
    stderr().print(f"{counted(total, 'actor')}{more}")


@app.command()
def clear(
    address: Address,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    kafka: options.Kafka = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    config: options.ConfigFile = None,
) -> None:
    """Make an actor's state that of a new one, and drop its timers.

    It is a turn of the journal like any other: what was before can still be looked at with `--at`.

    [bold]Example[/]

      plexstream state clear account/alice
    """
    import socket

    from plexstream.cli.common.logs import load, open_installation, partitions_of
    from plexstream.inspection.clear import clear_state
    from plexstream.model.messages.address import full

    chosen = load(config, data, kafka, prefix)
    target = full(address)
    with open_installation(chosen) as log:
        partitions_of(log, chosen)
        if not yes:
            typer.confirm(f"Clear the state of {target}?", abort=True)
        offset = clear_state(
            log, chosen.topics(), target, f"plexstream state clear on {socket.gethostname()}"
        )
    if offset < 0:
        stdout().print(f"{target} has no state: nothing was cleared", soft_wrap=True)
    else:
        stdout().print(f"{target} is cleared, by the turn at journal offset {offset}", soft_wrap=True)


def _state(
    address: str, offsets: list[int | None], kafka: Any, data: Any, prefix: Any, file: Any
) -> list[ActorState]:
    from plexstream.cli.common.logs import load, open_installation, partitions_of
    from plexstream.inspection.views.state_view import state_at

    chosen = load(file, data, kafka, prefix)
    with open_installation(chosen) as log:
        partitions_of(log, chosen)
        with reading("reading the journal") as progress:
            return [state_at(log, chosen.topics(), address, at, progress) for at in offsets]


def _actors(
    log: Log, topics: Topics, partition: int, type_name: str | None, progress: Callable[[int], None]
) -> Iterator[Snapshot]:
    """The actors of a partition, rebuilt on disk: there may be more than fit into memory."""
    import tempfile
    from pathlib import Path

    from plexstream.inspection.history import rebuild
    from plexstream.inspection.views.state_view import actors
    from plexstream.store.rocks import RocksStore

    with tempfile.TemporaryDirectory(prefix="plexstream-list-") as folder:
        store = RocksStore(Path(folder))
        try:
            rebuild(log, topics, partition, store=store, progress=progress)
            yield from actors(store, type_name)
        finally:
            store.close()


def _value(value: Any, color: str) -> Any:
    import json

    from rich.text import Text

    from plexstream.inspection.views.state_view import MISSING

    return Text("–") if value is MISSING else Text(json.dumps(value, ensure_ascii=False), color)
