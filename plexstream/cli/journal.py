"""``journal``: the records of the journal, decoded, and whether each counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plexstream.cli import options
from plexstream.cli.output import print_json, stderr, stdout, when

if TYPE_CHECKING:
    from plexstream.inspection.history import Entry
    from plexstream.log.base import Log
    from plexstream.model.journal import Turn
    from plexstream.model.topics import Topics

app = typer.Typer(no_args_is_help=True, help="Read the journal: what every turn did.")

ActorAddress = Annotated[
    str | None, typer.Option("--actor", metavar="ADDRESS", help="Only the turns of this actor.")
]
_STATUS = ("done", "rejected", "failed")


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
    """Print records of the journal from an offset on.

    [bold]Examples[/]

      plexstream journal show --partition 3 --from 1000
      plexstream journal show --actor account/alice --json
    """
    _run(partition, actor, start, count, False, kafka, data, prefix, as_json, config)


def _run(
    partition: int | None, actor: str | None, start: int | None, count: int, follow: bool,
    kafka: Any, data: Any, prefix: Any, as_json: bool, file: Any,
) -> None:  # fmt: skip
    from plexstream.cli.logs import load, open_installation, partitions_of
    from plexstream.model.address import full, partition_of
    from plexstream.model.errors import ConfigError

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
        elif not shown:
            stderr().print("no records")


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
    from plexstream.inspection.history import claims_before, judge
    from plexstream.model.journal import Partition
    from plexstream.processor import Fold

    reader = log.reader()
    try:
        folds = {}
        for number in numbers:
            end = log.range((topics.journal, number))[1]
            claims = tuple(claims_before(log, topics, number, end))
            folds[number] = Fold(Partition(start=end, claims=claims))
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
        print_json(_plain(partition, entry))
        return
    from rich.markup import escape

    head = f"[cyan]{partition}/{entry.offset}[/] [dim]{when(entry.time)}[/] "
    text = escape(_text(entry))
    mark = "" if entry.counts else " [red]does not count[/]"
    stdout().print(f"{head}{text}{mark}", soft_wrap=True)


def _text(entry: Entry) -> str:
    from plexstream.model.journal import Claim, Mark, Turn

    r = entry.record
    if type(r) is Turn:
        return _turn_text(r)
    if type(r) is Claim:
        code = ", ".join(f"{name} {version}" for name, version in r.code.items())
        return f"claim by {r.node}" + (f" ({code})" if code else "")
    if type(r) is Mark:
        if r.attempt >= 0:
            return f"mark: about to try mailbox offset {r.attempt} with care"
        inboxes = ", ".join(f"{i.topic} done below {i.low}" for i in r.inboxes)
        left = min(r.relayed, r.emitted)
        return f"{'release' if r.release else 'mark'}: {inboxes or 'no inbox'}, left below {left}"
    return "unreadable"


def _turn_text(turn: Turn) -> str:
    from plexstream.model.address import parse
    from plexstream.model.journal import OutKind

    actor = parse(turn.actor).short if turn.actor else "–"
    cause = turn.cause_topic if turn.cause_offset < 0 else f"{turn.cause_topic}/{turn.cause_offset}"
    parts = [f"{actor} #{turn.seq} {turn.handler or '–'} ({cause})"]
    if turn.status:
        parts.append(_STATUS[turn.status])
    if turn.fresh:
        parts.append("state begins anew")
    for c in turn.patch:
        name = c.field if c.key is None else f"{c.field}[{c.key}]"
        parts.append(f"{name} deleted" if c.value is None else f"{name}={_short(c.value)}")
    for out in turn.outs:
        kind = OutKind(out.kind).name.lower()
        target = f" {out.target}" if out.kind in (0, 1, 4, 5) else ""
        handler = f" {out.handler}" if out.handler else ""
        parts.append(f"→ {kind}{target}{handler} {_short(out.payload)}".rstrip())
    return "  ".join(parts)


def _short(data: bytes, limit: int = 60) -> str:
    text = data.decode(errors="replace")
    return text if len(text) <= limit else f"{text[:limit]}…"


def _plain(partition: int, entry: Entry) -> dict[str, Any]:
    from plexstream.model.journal import OutKind, Turn

    r = entry.record
    head = {"partition": partition, "offset": entry.offset, "time": entry.time, "counts": entry.counts}
    if r is None:
        return {**head, "kind": "unreadable"}
    body: dict[str, Any] = dict(r._asdict())
    body["record_time"] = body.pop("time")
    if type(r) is Turn:
        body["status"] = _STATUS[r.status]
        body["patch"] = [{**c._asdict(), "value": _value(c.value)} for c in r.patch]
        body["outs"] = [
            {**o._asdict(), "kind": OutKind(o.kind).name.lower(), "payload": _value(o.payload)}
            for o in r.outs
        ]
    elif "inboxes" in body:
        body["inboxes"] = [
            {**i._asdict(), "origins": [o._asdict() for o in i.origins]} for i in body["inboxes"]
        ]
    return {**head, "kind": type(r).__name__.lower(), **body}


def _value(data: bytes | None) -> Any:
    import msgspec

    try:
        return None if data is None else msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return data
