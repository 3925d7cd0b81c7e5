"""``tree``: supervisors, their children, and what they have decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from plexstream.cli.common import options
from plexstream.cli.common.output import NO, print_json, reading, stderr, stdout, when

if TYPE_CHECKING:
    from rich.tree import Tree

_COLORS = {"running": "green", "stopped": "red", "gave up": "red"}


def tree(
    address: Annotated[
        str, typer.Argument(metavar="[SUPERVISOR]", help="Id or address of the root, the manifest's name.")
    ] = "app",
    history: Annotated[
        int, typer.Option("--history", metavar="N", min=0, help="Decisions of each supervisor to show.")
    ] = 5,
    kafka: options.Kafka = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    as_json: options.Json = False,
    config: options.ConfigFile = None,
) -> None:
    """Show a tree of supervisors with the history of its decisions, read from the log.

    [bold]Examples[/]

      plexstream tree
      plexstream tree shop --history 50 --kafka localhost:9092
    """
    from plexstream.cli.common.logs import load, open_installation, partitions_of
    from plexstream.inspection.views import tree as inspection

    chosen = load(config, data, kafka, prefix)
    with open_installation(chosen) as log:
        partitions_of(log, chosen)
        with reading("reading the journal") as progress:
            found = inspection.tree(log, chosen.topics(), address, progress)
    if found is None:
        stderr().print(f"there is no supervisor {address}: `plexstream state list supervisor` lists them")
        raise typer.Exit(NO)
    _shorten(found, history)
    if as_json:
        print_json(found)
    else:
        stdout().print(_drawn(found, None))


def _shorten(found: dict[str, Any], history: int) -> None:
    found["history"] = found["history"][-history:] if history else []
    for child in found["children"]:
        if child.get("supervisor"):
            _shorten(child["supervisor"], history)


def _drawn(found: dict[str, Any], child: dict[str, Any] | None) -> Tree:
    from rich.markup import escape
    from rich.tree import Tree

    color = _COLORS.get(found["phase"], "yellow")
    window = f"{found['max_restart_window_seconds']:g} s"
    limits = f"{found['restarts']} of {found['max_restarts']} restarts in {window}"
    name = found["address"] if child is None else f"{child['id']}  [dim]{escape(found['address'])}[/]"
    drawn = Tree(f"[bold]{name}[/]  [{color}]{found['phase']}[/]  {found['strategy']}, {limits}")
    for step in found["todo"]:
        drawn.add(f"[yellow]to do: {escape(step)}[/]")
    for row in found["children"]:
        if row.get("supervisor"):
            drawn.add(_drawn(row["supervisor"], row))
            continue
        color = _COLORS.get(row["status"], "yellow")
        why = f"  [dim]{escape(row['reason'])}[/]" if row["reason"] else ""
        drawn.add(
            f"{escape(row['id'])}  [dim]{escape(row['address'])}[/]  [{color}]{row['status']}[/]  "
            f"{row['restart']}, started {row['starts']}×{why}"
        )
    for entry in found["history"]:
        what = " ".join(part for part in (entry["decision"], entry["child"]) if part)
        why = f": {escape(entry['reason'])}" if entry["reason"] else ""
        drawn.add(f"[dim]{when(entry['time'])}[/]  {escape(what)}{why}")
    return drawn
