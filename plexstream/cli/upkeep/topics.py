"""``topics apply`` and ``topics list``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plexstream.cli.common import options
from plexstream.cli.common.output import NO, App, print_json, stderr, stdout
from plexstream.model.errors import ConfigError

if TYPE_CHECKING:
    from plexstream.inspection.kafka.topics import TopicState
    from plexstream.log.base import Log
    from plexstream.model.topics.declaration import Declaration
    from plexstream.node.setup.config import Config

Declared = Annotated[
    Path | None,
    typer.Option(
        "--file", metavar="FILE", help="How topics are to be: a changed copy of topics/system.yaml."
    ),
]

app = App(help="Create and list the topics.")


@app.command()
def apply(
    kafka: options.Kafka = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    partitions: options.Partitions = None,
    replication_factor: options.ReplicationFactor = None,
    min_insync_replicas: options.MinInsyncReplicas = None,
    file: Declared = None,
    config: options.ConfigFile = None,
) -> None:
    """Create the topics that are missing, and set what differs from the declaration.

    The number of partitions is fixed when the first topic is created: it is never changed afterwards. Where
    somebody has added partitions to a topic, to name the number with which the installation began is to say
    that it goes on with that; what is in the others is told.

    [bold]Examples[/]

      plexstream topics apply --kafka localhost:9092 --partitions 32
      plexstream topics apply --kafka a:9092,b:9092,c:9092 --replication-factor 3 --min-insync-replicas 2
      plexstream topics apply --data ./.plexstream
      plexstream topics apply --kafka localhost:9092 --file topics.yaml
    """
    from plexstream.cli.common.logs import load, open_installation, where
    from plexstream.node.setup.retention import unsafe
    from plexstream.node.setup.topology import apply as make

    chosen = load(
        config,
        data,
        kafka,
        prefix,
        partitions=partitions,
        replication_factor=replication_factor,
        min_insync_replicas=min_insync_replicas,
    )
    declared = _declared(file, chosen)
    out = stdout()
    with open_installation(chosen, create=True) as log:
        before = log.topics()
        count = make(log, chosen.topics(), chosen.partitions, chosen.asked_partitions(), declared)
        for name in log.topics():
            if name not in before:
                out.print(f"[green]created[/]  {name}", soft_wrap=True)
        settings = _settings(log, chosen)
        states = _states(log, chosen, settings, declared)
        for state in states:
            state.refuse_more_in_sync_than_copies()
        changes = {s.spec.name: {key: s.spec.config[key] for key in s.differs} for s in states if s.differs}
        for some in unsafe(chosen.topics(), settings, chosen.max_message):  # also where nothing is declared
            changes.setdefault(some.topic, {})[some.setting] = some.wanted
        if changes:
            from plexstream.inspection.kafka.admin import KafkaAdmin

            KafkaAdmin(chosen.kafka, chosen.kafka_settings).set(changes)
            for name, changed in changes.items():
                listed = ", ".join(f"{key}={value}" for key, value in changed.items())
                out.print(f"[yellow]changed[/]  {name}: {listed}", soft_wrap=True)
        for state in states:
            if state.other_factor:
                out.print(f"[yellow]differs[/]  {state.spec.name}: {state.other_factor}", soft_wrap=True)
        out.print(f"{where(chosen)} has every topic, with {count} partitions.", soft_wrap=True)


@app.command()
def accept(
    topic: Annotated[str, typer.Argument(help="The topic that has lost records, by its full name.")],
    kafka: options.Kafka = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    config: options.ConfigFile = None,
) -> None:
    """Go on with partitions of a topic that have lost records, and are refused for that.

    What was lost stays lost. What comes from then on counts as new. Nodes that run heed it within a minute.
    Of a journal whose snapshots need records that are gone, it is to go on with the state that is left.

    [bold]Examples[/]

      plexstream topics accept orders --kafka localhost:9092
      plexstream topics accept plex.mailbox --kafka localhost:9092
      plexstream topics accept plex.journal --kafka localhost:9092
    """
    from plexstream.cli.common.logs import load, open_installation, partitions_of, where
    from plexstream.log.installation import Control

    chosen = load(config, data, kafka, prefix)
    out = stdout()
    with open_installation(chosen) as log:
        partitions_of(log, chosen)  # raises where there is no installation
        control = Control(log, chosen.topics(), watch=False)
        found = control.accept(topic)
        if not found:
            waiting = sorted({place[0] for place, _ in control.refused()})
            raise ConfigError(_nothing_to_accept(topic, waiting, log, where(chosen), chosen.topics().prefix))
    for (_, number), short in found:
        goes_on = f"it goes on from offset {short.end}; it was known up to {short.position}"
        if topic == chosen.topics().journal:
            goes_on = (
                f"the partition goes on with the state that is left, as of offset {short.position} or later: "
                "of the first node that takes it over, or of the snapshots"
            )
        out.print(f"[yellow]accepted[/]  {topic}[{number}]: {goes_on}", soft_wrap=True)


@app.command("list")
def list_topics(
    kafka: options.Kafka = None,
    data: options.Data = None,
    prefix: options.Prefix = None,
    as_json: options.Json = False,
    file: Declared = None,
    config: options.ConfigFile = None,
) -> None:
    """List the topics with their partitions and records, and what is not as declared (then exit code 1).

    [bold]Example[/]

      plexstream topics list --kafka localhost:9092
    """
    from plexstream.cli.common.logs import load, open_installation
    from plexstream.inspection.kafka.topics import outputs

    chosen = load(config, data, kafka, prefix)
    with open_installation(chosen) as log:
        found = _states(log, chosen, _settings(log, chosen), _declared(file, chosen))
        rows = [
            {
                "topic": s.spec.name,
                "partitions": s.partitions,
                "records": _records(log, s.spec.name, s.partitions or 0),
                "wrong": s.wrong,
            }
            for s in found
        ]
        for name, count in outputs(log, chosen.topics()).items():
            rows.append(
                {"topic": name, "partitions": count, "records": _records(log, name, count), "wrong": []}
            )
    if as_json:
        print_json(rows)
    else:
        from rich.table import Table

        table = Table("topic", "partitions", "records", "", box=None, pad_edge=False)
        for row in rows:
            wrong = "; ".join(row["wrong"])  # type: ignore[arg-type]
            state = f"[red]{wrong}[/]" if wrong else "[green]as declared[/]"
            if row["topic"].startswith(chosen.topics().out("")):  # type: ignore[union-attr]
                state = "output"
            table.add_row(str(row["topic"]), str(row["partitions"] or "–"), f"{row['records']:,}", state)
        stdout().print(table)
    if any(row["wrong"] for row in rows):
        stderr().print("`plexstream topics apply` creates what is missing and sets what differs.")
        raise typer.Exit(NO)


def _nothing_to_accept(topic: str, waiting: list[str], log: Log, place: str, prefix: str) -> str:
    """Why there is nothing to accept of `topic`, and what to do; `waiting` are topics that are refused."""
    there = log.topics()
    if topic in there:
        why = f"no partition of {topic!r} is refused: there is nothing to accept."
    elif f"{prefix}{topic}" in there:
        why = f"{place} has no topic {topic!r}: is {prefix + topic!r} meant?"
    else:
        why = f"{place} has no topic {topic!r}."
    if waiting:
        return f"{why} Refused are partitions of {', '.join(waiting)}: name one of these"
    return f"{why} Nothing else is refused; `plexstream topics list` shows the topics"


def _declared(file: Path | None, config: Config) -> Declaration:
    """How the topics are to be: as `file` says, or the package. Raises ConfigError."""
    from plexstream.model.topics.declaration import declaration, read
    from plexstream.node.setup.retention import refuse_unsafe

    if file is None:
        return declaration()
    found = read(file)
    refuse_unsafe(found, config.max_message, str(file))
    return found


def _settings(log: Log, config: Config) -> dict[str, dict[str, str]]:
    """The settings in effect, by topic, of those that there are; nothing where the log has none."""
    from plexstream.inspection.kafka.admin import KafkaAdmin
    from plexstream.node.setup.topology import specs

    if not config.kafka:
        return {}
    there = log.topics()
    names = [spec.name for spec in specs(config.topics(), config.partitions) if spec.name in there]
    return KafkaAdmin(config.kafka, config.kafka_settings).topic_settings(names)


def _states(
    log: Log, config: Config, settings: dict[str, dict[str, str]], declared: Declaration
) -> list[TopicState]:
    from plexstream.inspection.kafka.topics import states
    from plexstream.log.installation import count_of

    count = count_of(log, config.topics()) or config.partitions
    copies: dict[str, int] = {}
    if config.kafka:
        from plexstream.inspection.kafka.admin import KafkaAdmin

        copies = KafkaAdmin(config.kafka, config.kafka_settings).copies(list(settings))
    return states(log, config.topics(), count, settings, config.replication(), copies, declared)


def _records(log: Log, topic: str, partitions: int) -> int:
    """Offsets in use: a little more than records where there are transactions or compaction."""
    ranges = [log.range((topic, number)) for number in range(partitions)]
    return sum(end - first for first, end in ranges)
