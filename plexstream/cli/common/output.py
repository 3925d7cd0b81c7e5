"""What every command does the same way: errors, exit codes, JSON on standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from typer import Typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from plexstream.cli.common import drawing
from plexstream.model.errors import (
    BadAddress,
    BadArguments,
    CallError,
    ConfigError,
    HistoryGone,
    LogError,
    PlexstreamError,
)

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])

NO, WRONG, AWAY, INTERRUPTED = 1, 2, 3, 130
"""Exit codes."""

_WIDE = 10_000
"""Columns, where other programs read."""


def _named(params: list[Any]) -> list[Any]:
    """Options that are switches, with no type in their help: they take no value."""
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
    return params


class Command(TyperCommand):
    """One command. Its parameters are read once it is used: a list of commands is made without them."""

    _read = False

    def get_params(self, ctx: Any) -> list[Any]:
        if not self._read:
            alone = Typer(add_completion=False)
            alone.command()(self.callback.function)  # type: ignore[union-attr]
            read = get_command(alone)
            self.params, self.callback, self._read = read.params, read.callback, True
        return _named(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        drawing.load()
        super().format_help(ctx, formatter)


class App(Typer):
    """Commands, and groups of them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(cls=Group, no_args_is_help=True, **options)

    def command(
        self, name: str | None = None, **options: Any
    ) -> Callable[[F], F]:
        add = super().command

        def register(function: F) -> F:
            def later() -> None:
                """Stands for `function` until it is used."""

            later.__name__, later.__doc__ = function.__name__, function.__doc__
            later.__annotations__ = {}  # which typer would compile, twice for each command
            later.function = function  # type: ignore[attr-defined]
            add(name, **{"cls": Command, **options})(later)
            return function

        return register


class Group(TyperGroup):
    """Turns the errors that plexstream raises on purpose into one line and an exit code."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _named(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        drawing.load()
        super().format_help(ctx, formatter)

    def main(self, args: Sequence[str] | None = None, *more: Any, **named: Any) -> Any:
        try:
            return super().main(args, *more, **named)
        except PlexstreamError as error:
            sys.exit(fail(error))
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)


def fail(error: PlexstreamError) -> int:
    """Say what went wrong on standard error; returns the exit code for it."""
    console = stderr()
    if isinstance(error, CallError):
        console.print(f"[bold red]{error.code}[/]: ", end="")
    else:
        console.print("[bold red]error[/]: ", end="")
    console.print(str(error) or type(error).__name__, markup=False)
    data = getattr(error, "data", None)
    if data is not None:
        console.print_json(data=data, default=str)
    if isinstance(error, BadArguments):
        return NO
    if isinstance(error, ConfigError | BadAddress):
        return WRONG
    away = isinstance(error, LogError) and not isinstance(error, HistoryGone)
    return AWAY if away else NO


def stdout() -> Console:
    """A console for results. Nothing is wrapped or cut where it is not shown on a terminal."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, soft_wrap=True, width=_WIDE)  # tables and trees know no soft wrap


def stderr() -> Console:
    """A console for messages."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """A result as JSON: readable and coloured on a terminal, else one line for other programs."""
    if sys.stdout.isatty():
        stdout().print_json(data=value, default=str, ensure_ascii=False)
    else:
        import msgspec

        sys.stdout.buffer.write(msgspec.json.encode(value, enc_hook=str) + b"\n")
        sys.stdout.buffer.flush()


@contextmanager
def reading(what: str) -> Iterator[Callable[[int], None]]:
    """Shows on a terminal how many records have been read so far, if it takes long enough to be seen."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn(f"{what}: {{task.completed:,}} records"), TimeElapsedColumn())
    console = stderr()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda count: bar.advance(task, count)


def counted(number: int, noun: str) -> str:
    """So many of a thing, for people."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def when(time_ms: int) -> str:
    """A time for people: local, to the millisecond. Of what has not been yet, as of a turn, there is none."""
    from datetime import datetime

    if time_ms <= 0:
        return "–"
    return datetime.fromtimestamp(time_ms / 1000).isoformat(" ", "milliseconds")
