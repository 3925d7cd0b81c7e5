"""Groups of commands that are made of nouns: an operation's signature and docstring are its command's.

What has no default is an argument, all else an option; a value is JSON where it is that and no text is
wanted. Nothing of a noun is loaded before its group is used.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.main import get_command

from plexstream.cli.calls.calls import Key, Url, parse_value, reaching
from plexstream.cli.common import options
from plexstream.cli.common.output import NO, App, Command, Group, print_json
from plexstream.cli.coordination.documented import described, in_lines, parameters, says_nothing
from plexstream.cli.coordination.examples import EXAMPLES
from plexstream.sdk.host.coordination.nouns import WORDS, Word, noun_class

if TYPE_CHECKING:
    from plexstream.sdk.host.coordination.operation import Noun

_TopicPrefix = Annotated[  # --prefix is for operations: how keys and names begin
    str | None,
    typer.Option("--topic-prefix", metavar="TEXT", help="Begins the name of every topic (default plex.)."),
]
_SHARED: dict[str, Any] = {
    "url": Url, "kafka": options.OverKafka, "prefix": _TopicPrefix, "config": options.ConfigFile,
    "idempotency_key": Key,
}  # fmt: skip
_WHICH = "which"
_NEGATIVE = re.compile(r"-[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)


def app_of(word: str) -> typer.Typer:
    """The group of commands of a noun, by its word in a path."""
    noun = WORDS[word].noun
    what = f"Operations on {'an' if noun[0] in 'aeiou' else 'a'} {noun}."
    first = list(EXAMPLES.get(word, {}).items())[:3]
    help = _with_examples(what, [_line(WORDS[word], name, examples[0]) for name, examples in first])
    return typer.Typer(cls=_group_of(word), no_args_is_help=True, rich_markup_mode="rich", help=help)


class _Command(Command):
    """A command whose arguments may be negative numbers: ``plexstream kv put offset -5``."""

    def make_parser(self, ctx: Any) -> Any:
        parser: Any = super().make_parser(ctx)
        process = parser._process_opts  # what begins with a dash

        def process_all(given: str, state: Any) -> None:
            if _NEGATIVE.fullmatch(given):
                state.largs.append(given)
            else:
                process(given, state)

        parser._process_opts = process_all
        return parser


def _group_of(word: str) -> type[Group]:

    class NounGroup(Group):
        def list_commands(self, ctx: Any) -> list[str]:
            return [_hyphened(name) for name in _operations(word)]

        def get_command(self, ctx: Any, name: str) -> Any:
            operation = name.replace("-", "_")
            return _command(word, operation) if operation in _operations(word) else None

    return NounGroup


def _operations(word: str) -> dict[str, bool]:
    from plexstream.sdk.host.coordination.operation import operations

    kind = noun_class(word)
    assert kind is not None
    return operations(kind)


def _hyphened(name: str) -> str:
    return name.replace("_", "-")


def _command(word: str, operation: str) -> Any:
    kind, of = noun_class(word), WORDS[word]
    assert kind is not None
    method = getattr(kind, operation)
    taken = [p for p in inspect.signature(method).parameters.values() if p.name != "self"]

    def run(**given: Any) -> None:
        _run(kind, given.pop(_WHICH, of.default), operation, taken, given)

    flag = of.command if _takes_name(kind) else "name"
    name = inspect.Parameter(_WHICH, inspect.Parameter.KEYWORD_ONLY, annotation=_name(of, flag))
    if of.default:
        name = name.replace(default=of.default)
    said = parameters(method)
    own = [_parameter(each, said) for each in taken]
    asked = [*([] if of.default else [name]), *own, *([name] if of.default else [])]
    shared = [
        inspect.Parameter(_option(key), inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)
        for key, hint in _SHARED.items()
    ]
    run.__name__ = operation
    run.__doc__ = _help(of, word, operation, method)
    run.__signature__ = inspect.Signature([*asked, *shared])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in [*asked, *shared]}
    alone = App(add_completion=False, rich_markup_mode="rich")
    alone.command(_hyphened(operation), cls=_Command)(run)
    return get_command(alone)


def _option(name: str) -> str:
    return f"shared_{name}"


def _takes_name(kind: type[Noun]) -> bool:
    """Whether a name is something else to this kind of noun: what it has under it."""
    from plexstream.sdk.host.coordination.operation import operations

    return any("name" in inspect.signature(getattr(kind, each)).parameters for each in operations(kind))


def _name(of: Word, flag: str) -> Any:
    if not of.default:
        return Annotated[str, typer.Argument(metavar="NAME", help=f"Name of the {of.noun}.")]
    return Annotated[str, typer.Option(f"--{flag}", "-n", help=f"Name of the {of.noun}.")]


def _parameter(of: inspect.Parameter, said: Mapping[str, str]) -> inspect.Parameter:
    flag = _hyphened(of.name)
    keyword = inspect.Parameter.KEYWORD_ONLY
    shown = described(of, said)
    if of.default is of.empty:
        hint = Annotated[str, typer.Argument(metavar=of.name.upper(), help=shown)]
        return inspect.Parameter(of.name, keyword, annotation=hint)
    if of.annotation in ("bool", bool):
        shown = shown if of.name in said else ""
        switch = Annotated[bool, typer.Option(f"--{flag}/--no-{flag}", help=shown)]
        return inspect.Parameter(of.name, keyword, default=of.default, annotation=switch)
    option = Annotated[str | None, typer.Option(f"--{flag}", metavar=of.name.upper(), help=shown)]
    return inspect.Parameter(of.name, keyword, default=None, annotation=option)


def _help(of: Word, word: str, operation: str, method: Callable[..., Any]) -> str:
    said = inspect.getdoc(method) or ""
    what = said.partition("\n\n")[0]
    examples = EXAMPLES.get(word, {}).get(operation, ())
    return _with_examples(what, [_line(of, operation, example) for example in examples])


def _line(of: Word, operation: str, example: str) -> str:
    return f"  plexstream {of.command} {_hyphened(operation)} {example}".rstrip()


def _with_examples(what: str, lines: Sequence[str]) -> str:
    title = "Examples" if len(lines) > 1 else "Example"
    shown = "\n".join(lines).replace("[", r"\[")
    return f"{what}\n\n[bold]{title}[/]\n\n{shown}" if lines else what


def _run(kind: Any, name: str, operation: str, taken: list[inspect.Parameter], given: dict[str, Any]) -> None:
    from plexstream.model.errors import ConfigError

    url, kafka, prefix, config, key = (given.pop(_option(what)) for what in _SHARED)
    if key == "":
        raise ConfigError("--idempotency-key is empty: give it 1 to 256 characters, or leave it out")
    arguments = {
        p.name: _value(p, given[p.name]) for p in taken if p.default is p.empty or given[p.name] is not None
    }
    with reaching(url, kafka, prefix, config) as client:
        nouns = client.keyed(key or "")
        try:
            method = getattr(kind(nouns._operate, name), operation)
            found = method(**arguments)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{operation}: {error}") from None
    if not says_nothing(method):
        for row in found if in_lines(method) else [found]:
            print_json(row)
    if found in (None, []) and any(p.name == "wait" for p in taken):
        raise typer.Exit(NO)  # it was not got in time: `plexstream lock acquire nightly && …` goes no further


def _value(of: inspect.Parameter, text: Any) -> Any:
    return text if not isinstance(text, str) or of.annotation in ("str", str) else parse_value(text)
