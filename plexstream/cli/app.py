"""The commands, put together. What is heavy is imported inside of them: ``--help`` is immediate."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from plexstream import __version__
from plexstream.cli.calls import calls, control, wait
from plexstream.cli.common.output import App
from plexstream.cli.coordination import blobs, nouns
from plexstream.cli.serving import serve
from plexstream.cli.upkeep import bench, doctor, replay, topics
from plexstream.cli.views import journal, ps, state, timers, tree, why
from plexstream.sdk.host.coordination.nouns import WORDS

EXIT_CODES = (
    "Exit codes: 0 done; 1 the answer is no (the actor refused, a difference or a problem was found); "
    "2 the command, a flag or the configuration is wrong; 3 the log or the node cannot be reached; "
    "130 Ctrl-C."
)

app = App(
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"plexstream {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """plexstream: durable actors on Kafka.

    [bold]plexstream dev bank.py[/] serves the actors of a file on an embedded, durable log;
    [bold]plexstream run bank.py --kafka host:9092[/] serves the same file on Kafka.
    """


def _add(function: Any, panel: str, name: str | None = None) -> None:
    app.command(name or function.__name__, rich_help_panel=panel)(function)


_SERVE, _CALL = "Serve", "Call"

_add(serve.dev, _SERVE)
_add(serve.run, _SERVE)
_add(serve.edge, _SERVE)
_add(wait.wait, _SERVE)
_add(calls.call, _CALL)
_add(calls.tell, _CALL)
_add(calls.invocation, _CALL)
app.add_typer(control.awakeables, name="awakeable", rich_help_panel=_CALL)
app.add_typer(control.promises, name="promise", rich_help_panel=_CALL)
for function in (control.cancel, control.kill, control.pause, control.resume, control.restart):
    _add(function, _CALL)

for word, noun in WORDS.items():
    app.add_typer(nouns.app_of(word), name=noun.command, rich_help_panel="Coordinate")

app.add_typer(blobs.app, name="blob", rich_help_panel="Coordinate")

_add(ps.ps, "Look inside")
_add(why.why, "Look inside")
app.add_typer(state.app, name="state", rich_help_panel="Look inside")
app.add_typer(journal.app, name="journal", rich_help_panel="Look inside")
_add(timers.timers, "Look inside")
_add(tree.tree, "Look inside")
_add(replay.replay, "Look inside")
app.add_typer(topics.app, name="topics", rich_help_panel="Operate")
_add(doctor.doctor, "Operate")
_add(bench.bench, "Operate")
