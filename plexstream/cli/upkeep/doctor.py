"""``doctor``: is everything here as it must be?"""

from __future__ import annotations

from typing import Annotated

import typer

from plexstream.cli.common import options
from plexstream.cli.common.output import NO, print_json, stdout

_MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "problem": "[red]✗[/]"}


def doctor(
    kafka: options.Kafka = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    node: options.NodeName = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Go on without what a damaged embedded log has lost; a copy is kept."),
    ] = False,
    convert: Annotated[
        bool,
        typer.Option("--convert", help="Turn the embedded log of an older plexstream into one of today."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do so without asking.")] = False,
    as_json: options.Json = False,
    config: options.ConfigFile = None,
) -> None:
    """Check this machine, the data folder and the log, and say what to do about what is wrong.

    Exit code 1 if there is a problem; a warning is none.

    [bold]Examples[/]

      plexstream doctor
      plexstream doctor --kafka localhost:9092
      plexstream doctor --repair
    """
    from rich.markup import escape

    from plexstream.inspection.doctor import PROBLEM, examine
    from plexstream.node.setup.config import load_config

    chosen = load_config(config, kafka=kafka, data=data, prefix=prefix, node=node)
    if repair or convert:
        from plexstream.cli.upkeep.mend import mend

        mend(chosen, convert, yes)
        return
    found = []
    out = stdout()
    for finding in examine(chosen):
        found.append(finding)
        if as_json:
            continue
        out.print(
            f"{_MARKS[finding.level]} [bold]{finding.subject}[/]  {escape(finding.text)}", soft_wrap=True
        )
        if finding.advice:
            out.print(f"  → {escape(finding.advice)}", soft_wrap=True)
    if as_json:
        print_json([f._asdict() for f in found])
    if any(f.level == PROBLEM for f in found):
        raise typer.Exit(NO)
