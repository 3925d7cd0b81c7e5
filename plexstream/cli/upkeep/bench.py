"""``bench``: how fast is it here?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plexstream.cli.common import options
from plexstream.cli.common.output import print_json, stderr, stdout

if TYPE_CHECKING:
    from plexstream.inspection.bench import Measured


def bench(
    kafka: options.Kafka = None,
    callers: Annotated[
        int, typer.Option("--callers", metavar="N", min=1, help="Calls at the same time.")
    ] = 64,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", min=0.1, help="How long each measurement takes.")
    ] = 3.0,
    partitions: options.Partitions = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Measure on this disk (default: that of /tmp)."),
    ] = None,
    as_json: options.Json = False,
    config: options.ConfigFile = None,
) -> None:
    """Measure calls to small actors on a fresh log: the embedded one, or Kafka with topics of its own.

    Edge and one worker run in this process, so that it shows what one core does. Whatever it makes is
    deleted in the end.

    [bold]Examples[/]

      plexstream bench
      plexstream bench --kafka localhost:9092 --callers 256 --seconds 10
    """
    import tempfile

    from plexstream.inspection.bench import bench as run
    from plexstream.inspection.bench import prefix
    from plexstream.log.open import open_log
    from plexstream.model.errors import ConfigError
    from plexstream.model.topics.topics import Topics
    from plexstream.node.setup.config import load_config

    chosen = load_config(config, kafka=kafka, partitions=partitions)
    found: list[Measured] = []
    topics = Topics(prefix())
    console = stderr()

    def report(row: Measured) -> None:
        found.append(row)
        status.update(f"measuring: {row.what} with {row.callers} done")

    if data is not None:
        try:
            data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"--data {data}: the folder cannot be made ({error.strerror}): name another"
            ) from None
    with (
        tempfile.TemporaryDirectory(prefix="plexstream-bench-", dir=data) as folder,
        console.status("starting") as status,
    ):
        url = chosen.log_url() if chosen.kafka else f"embedded:{folder}/log"
        log = open_log(url, chosen.kafka_settings if chosen.kafka else None, chosen.replication())
        try:
            run(log, topics, chosen.partitions, Path(folder) / "state", callers, seconds, report)
        finally:
            log.close()
            if chosen.kafka:
                _discard(chosen, topics.prefix)
    if as_json:
        print_json([{**m._asdict(), "rate": m.rate} for m in found])
        return
    from rich.table import Table

    table = Table("", "callers", "calls/s", "p50 ms", "p99 ms", "worst ms", box=None, pad_edge=False)
    for m in found:
        table.add_row(
            m.what, str(m.callers), f"{m.rate:,.0f}", f"{m.p50:.2f}", f"{m.p99:.2f}", f"{m.worst:.1f}"
        )
    where = f"Kafka at {chosen.kafka}" if chosen.kafka else "embedded log"
    stdout().print(table)
    console.print(f"{where}, {chosen.partitions} partitions, {seconds:g} s each")


def _discard(config: Any, prefix: str) -> None:
    from plexstream.inspection.kafka.admin import KafkaAdmin
    from plexstream.log.open import open_log

    log = open_log(config.log_url(), config.kafka_settings)
    names = [name for name in log.topics() if name.startswith(prefix)]
    log.close()
    KafkaAdmin(config.kafka, config.kafka_settings).delete(names)
