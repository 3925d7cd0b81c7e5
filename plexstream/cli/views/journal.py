"""``journal``: the records of the journal, decoded, and whether each counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plexstream.cli.common import options
from plexstream.cli.common.output import NO, App, print_json, reading, stderr, stdout, when

if TYPE_CHECKING:
    from plexstream.inspection.history import Entry
    from plexstream.log.base import Log
    from plexstream.model.topics.topics import Topics

app = App(help="Read the journal: what every turn and step did.")

ActorAddress = Annotated[
    str | None, typer.Option("--actor", metavar="ADDRESS", help="Only the turns of this actor.")
]


@app.command()
def tail(
    partition: options.Partition = None,
    actor: ActorAddress = None,
    count: Annotated[int, typer.Option("-n", metavar="N", min=0, help="The last N of each partition.")] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    kafka: options.Kafka = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    as_json: options.Json = False,
    config: options.ConfigFile = None,
) -> None:
    """Print the last records of the journal.

    A record that does not count was written by an owner that had lost its partition: nothing came of it.

    [bold]Examples[/]

      plexstream journal tail
      plexstream journal tail --kafka localhost:9092 --actor account/alice -n 5 --follow
    """
    _run(partition, actor, None, count, follow, kafka, data, prefix, as_json, config)


@app.command()
def show(
    invocation: Annotated[
        str | None,
        typer.Argument(metavar="[ADDRESS#NUMBER]", help="One invocation, step by step; see `plexstream ps`."),
    ] = None,
    partition: options.Partition = None,
    actor: ActorAddress = None,
    start: Annotated[
        int, typer.Option("--from", metavar="OFFSET", min=0, help="From this offset of each partition on.")
    ] = 0,
    count: Annotated[int, typer.Option("-n", metavar="N", min=1, help="At most N of each partition.")] = 100,
    kafka: options.Kafka = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    as_json: options.Json = False,
    config: options.ConfigFile = None,
) -> None:
    """Print records of the journal from an offset on, or one invocation step by step.

    An invocation is a message handled by an actor; its number is that of the turn at which it began. One
    that has ended is shown as far as the journal still has it.

    [bold]Examples[/]

      plexstream journal show --partition 3 --from 1000
      plexstream journal show --actor account/alice --json
      plexstream journal show 'order/17#3'
    """
    if invocation is not None:
        if partition is not None or actor is not None or start:
            from plexstream.model.errors import ConfigError

            raise ConfigError(f"{invocation} is one invocation: leave out --partition, --actor and --from")
        _show_invocation(invocation, kafka, data, prefix, as_json, config)
        return
    _run(partition, actor, start, count, False, kafka, data, prefix, as_json, config)


def _run(
    partition: int | None, actor: str | None, start: int | None, count: int, follow: bool,
    kafka: Any, data: Any, prefix: Any, as_json: bool, file: Any,
) -> None:  # fmt: skip
    from plexstream.cli.common.logs import load, open_installation, partitions_of
    from plexstream.model.errors import ConfigError
    from plexstream.model.messages.address import full, partition_of

    chosen = load(file, data, kafka, prefix)
    address = full(actor) if actor is not None else None
    topics = chosen.topics()
    with open_installation(chosen) as log:
        partitions = partitions_of(log, chosen)
        if partition is not None and partition >= partitions:
            raise ConfigError(f"--partition {partition}: there are the partitions 0 to {partitions - 1}")
        numbers = list(range(partitions)) if partition is None else [partition]
        if address is not None:
            home = partition_of(address, partitions)
            if partition not in (None, home):
                raise ConfigError(f"--partition {partition}: {actor} is in partition {home}; leave it out")
            numbers = [home]
        shown = 0
        if start is None:
            found = [(n, e) for n in numbers for e in _last(log, topics, n, address, count)]
            found.sort(key=lambda f: (f[1].time, f[0], f[1].offset))
            for number, entry in found:
                _print(number, entry, as_json)
                shown += 1
            numbers_left: list[int] = []
        else:
            numbers_left = numbers
        for number in numbers_left:
            first, end = log.range((topics.journal, number))
            if (start or 0) < first:
                stderr().print(f"partition {number}: trimmed below offset {first}, which comes first here")
            for entry in _from(log, topics, number, start or 0, end, address, count):
                _print(number, entry, as_json)
                shown += 1
        if follow:
            _follow(log, topics, numbers, address, as_json)
        elif not shown and address is not None:
            rest = f" from offset {start} on" if start else ""
            stderr().print(
                f"the journal has no record of {address}{rest}: is the address right? "
                "`plexstream state list` shows who there is"
            )
            raise typer.Exit(NO)
        elif not shown:
            stderr().print("no records")


def _show_invocation(
    name: str, kafka: Any, data: Any, prefix: Any, as_json: bool, file: Any
) -> None:  # fmt: skip
    from rich.markup import escape

    from plexstream.cli.common.logs import load, open_installation, partitions_of
    from plexstream.cli.views.journal_text import plain_body, step_lines
    from plexstream.inspection.views.invocations import recorded
    from plexstream.model.errors import ConfigError
    from plexstream.model.messages.address import parse
    from plexstream.model.messages.control import read_invocation

    address, number = read_invocation(name)
    if number is None:
        raise ConfigError(
            f"{name}: add its number, as in {name}#1: `plexstream ps` and `journal tail` show it"
        )
    chosen = load(file, data, kafka, prefix)
    with open_installation(chosen) as log:
        partitions_of(log, chosen)
        with reading("reading the journal") as progress:
            found = recorded(log, chosen.topics(), address, number, progress)
    if not found:
        stderr().print(
            f"the log has no invocation {parse(address).short}#{number}: is the number right? One that has "
            "ended is trimmed off the journal once the snapshots have passed it, but with keep_history",
            markup=False,
        )
        raise typer.Exit(NO)
    if as_json:
        for r in found:
            print_json({"offset": r.offset, **plain_body(r.step)})
        return
    out = stdout()
    for line in step_lines(number, found):
        out.print(escape(line), soft_wrap=True)


def _from(
    log: Log, topics: Topics, partition: int, start: int, end: int, address: str | None, count: int
) -> Iterator[Entry]:
    from itertools import islice

    from plexstream.inspection.history import entries

    return islice((e for e in entries(log, topics, partition, start, end) if _wanted(e, address)), count)


def _last(log: Log, topics: Topics, partition: int, address: str | None, count: int) -> list[Entry]:
    """The last `count`: looked for from the end, in steps that grow."""
    from collections import deque

    from plexstream.inspection.history import entries

    first, end = log.range((topics.journal, partition))
    window = max(count, 500)
    while True:
        start = max(first, end - window)
        found = deque((e for e in entries(log, topics, partition, start, end) if _wanted(e, address)), count)
        if len(found) >= count or start <= first:
            return list(found)
        window *= 10


def _follow(log: Log, topics: Topics, numbers: list[int], address: str | None, as_json: bool) -> None:
    from plexstream.inspection.history import folded_to, judge

    reader = log.reader()
    try:
        folds = {}
        for number in numbers:
            end = log.range((topics.journal, number))[1]
            folds[number] = folded_to(log, topics, number, end)
            reader.assign((topics.journal, number), end)
        while True:
            for record in reader.read(1_000, 1.0):
                entry = judge(folds[record.partition], record)
                if _wanted(entry, address):
                    _print(record.partition, entry, as_json)
    finally:
        reader.close()


def _wanted(entry: Entry, address: str | None) -> bool:
    return address is None or getattr(entry.record, "actor", None) == address


def _print(partition: int, entry: Entry, as_json: bool) -> None:
    if as_json:
        from plexstream.cli.views.journal_text import plain

        print_json(plain(partition, entry))
        return
    from rich.markup import escape

    from plexstream.cli.views.journal_text import text_of

    head = f"[cyan]{partition}/{entry.offset}[/] [dim]{when(entry.time)}[/] "
    text = escape(text_of(entry.record))
    mark = "" if entry.counts else " [red]does not count[/]"
    stdout().print(f"{head}{text}{mark}", soft_wrap=True)
