"""Checks of an installation: each finding says what is wrong and what to do."""

from __future__ import annotations

import importlib.metadata
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from plexstream.edge.http.routes.plain import WRITES
from plexstream.hosts.native.data import values
from plexstream.hosts.native.plain.compiled import INVOKER
from plexstream.inspection.kafka.admin import KafkaAdmin
from plexstream.inspection.kafka.topics import states
from plexstream.log.base import Log
from plexstream.log.embedded.repair import repair
from plexstream.log.installation import count_of
from plexstream.log.kafka.appending import produce
from plexstream.log.kafka.reading import consume
from plexstream.log.limits import limits
from plexstream.log.memory.compiled import RECORDS
from plexstream.log.open import open_log
from plexstream.model.errors import ConfigError, LogError, PlexstreamError
from plexstream.model.process.compiled import WANTED
from plexstream.node.ingest import feeding
from plexstream.node.lanes.leaving import gathered
from plexstream.node.lanes.records import mailing
from plexstream.node.partition.incoming import numbers
from plexstream.node.partition.takeover.losses.proven import beyond
from plexstream.node.setup.config import Config, unknown_variables
from plexstream.node.setup.retention import unsafe
from plexstream.node.shared.clocks import ADVICE
from plexstream.processor import plain
from plexstream.schema import codec

OK, WARNING, PROBLEM = "ok", "warning", "problem"

_LIBRARIES = {"confluent-kafka": (2, 13), "rocksdict": (0, 3, 25), "msgspec": (0, 19), "fastavro": (1, 10)}
MIN_PYTHON = (3, 11)
_MIN_FILES = 4_096
_MIN_FREE = 1 << 30
_MAX_DRIFT_S = 5.0


class Finding(NamedTuple):
    """One check. `advice` says what to do about it; empty if all is well."""

    level: str
    subject: str
    text: str
    advice: str = ""


def examine(config: Config) -> Iterator[Finding]:
    """Every check, one after the other: those of this machine first."""
    yield _python()
    yield from _libraries()
    yield _compiled()
    for line in unknown_variables():
        yield Finding(WARNING, "environment", line, "rename the variable, or unset it")
    yield from _data(config)
    yield _rocksdb(config)
    yield _open_files()
    if config.kafka:
        yield from _kafka(config)
    else:
        yield from _embedded(config)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < MIN_PYTHON:
        wanted = ".".join(map(str, MIN_PYTHON))
        return Finding(PROBLEM, "python", f"Python {version}", f"use Python {wanted} or newer")
    return Finding(OK, "python", f"Python {version}")


def _libraries() -> Iterator[Finding]:
    found = []
    for name, least in _LIBRARIES.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(PROBLEM, "libraries", f"{name} is not installed", f"pip install {name}")
            continue
        numbers = tuple(int(part) for part in version.split(".")[: len(least)] if part.isdigit())
        if numbers < least:
            wanted = ".".join(map(str, least))
            yield Finding(PROBLEM, "libraries", f"{name} {version}", f"pip install '{name}>={wanted}'")
        found.append(f"{name} {version}")
    yield Finding(OK, "libraries", ", ".join(found))


def _compiled() -> Finding:
    parts = {
        "the codec": codec.COMPILED, "the look at values": values.COMPILED,
        "plain turns": INVOKER is not None and plain.COMPILED, "answers": mailing.ANSWERS is not None,
        "records to Kafka": produce.COMPILED, "records from Kafka": consume.COMPILED,
        "the embedded log's records": RECORDS is not None, "sizes": limits.COMPILED,
        "arriving messages": numbers.COMPILED, "outputs": gathered.COMPILED,
        "feeding": feeding.COMPILED, "answers over HTTP": WRITES is not None,
    }  # fmt: skip
    missing = [part for part, there in parts.items() if not there]
    used = ", ".join(part for part, there in parts.items() if there)
    if not missing:
        return Finding(OK, "compiled", used)
    text = f"{used or 'nothing'}; in Python only: {', '.join(missing)}"
    way = "install a C compiler and Python's headers, then plexstream again" if WANTED else (
        "unset PLEXSTREAM_COMPILED"
    )  # fmt: skip
    return Finding(WARNING, "compiled", text, f"{way}: a turn takes a fifth of the CPU")


def _data(config: Config) -> Iterator[Finding]:
    folder = config.data.absolute()
    there = folder
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        yield Finding(PROBLEM, "data", f"{there} is no folder", "choose another with --data")
        return
    if not os.access(there, os.W_OK | os.X_OK):
        advice = "make it writable for this user, or choose another with --data"
        yield Finding(PROBLEM, "data", f"{there} is not writable", advice)
        return
    stat = os.statvfs(there)
    free = stat.f_bavail * stat.f_frsize
    text = f"{folder} is writable, {free / (1 << 30):.1f} GiB free"
    if free < _MIN_FREE:
        yield Finding(WARNING, "data", text, "make room: state stores and the embedded log grow there")
    else:
        yield Finding(OK, "data", text)


def _rocksdb(config: Config) -> Finding:
    from plexstream.store.rocks import RocksStore

    parent = config.data if config.data.is_dir() else None
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=parent) as folder:
            RocksStore(Path(folder) / "store").close()
    except (PlexstreamError, OSError) as error:
        advice = "is the disk full, or a file system without locks (some network shares)?"
        return Finding(PROBLEM, "rocksdb", f"a state store does not open: {error}", advice)
    return Finding(OK, "rocksdb", "a state store opens")


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _MIN_FILES:
        advice = (
            f"ulimit -n {_MIN_FILES}, or LimitNOFILE={_MIN_FILES} in the service file (hard limit {hard})"
        )
        return Finding(WARNING, "ulimit", f"at most {soft} open files", advice)
    return Finding(OK, "ulimit", f"at most {soft} open files")


def _embedded(config: Config) -> Iterator[Finding]:
    if not config.log_dir.is_dir():
        yield Finding(OK, "log", f"no embedded log in {config.log_dir} yet: `plexstream dev` makes one")
        return
    try:
        found = repair.examine(config.log_dir)
        for damage in found.harmless:
            yield Finding(WARNING, "log", str(damage), "nothing: it is mended when the log is opened next")
        for damage in found.damages:
            advice = (
                "restore the folder from a backup; or go on without what is lost: plexstream doctor --repair"
            )
            yield Finding(PROBLEM, "log", str(damage), advice)
        if found.damages:
            return
        size = f"{found.size / (1 << 20):.1f} MiB of segments"
        yield Finding(
            OK, "log", f"the embedded log in {config.log_dir} is whole: {found.files} files, {size}"
        )
        log = open_log(config.log_url())
    except LogError as error:
        if "lock" in str(error).lower():
            yield Finding(OK, "log", f"the embedded log in {config.log_dir} is in use by a node")
        else:
            advice = "see above" if "--convert" in str(error) else "restore the folder from a backup"
            yield Finding(PROBLEM, "log", str(error), advice)
        return
    try:
        if log.partitions(config.topics().journal) is not None:
            for damage in beyond(log, config.topics(), config.state_dir):
                advice = "put the newer log back; or go on without what is lost: plexstream doctor --repair"
                yield Finding(PROBLEM, "log", str(damage), advice)
        yield from _topics(config, log, None)
    finally:
        log.close()


def _kafka(config: Config) -> Iterator[Finding]:
    where = f"Kafka at {config.kafka}"
    try:
        admin = KafkaAdmin(config.kafka, config.kafka_settings)
        brokers = admin.brokers()
    except ConfigError as error:
        yield Finding(PROBLEM, "kafka", str(error))
        return
    except PlexstreamError as error:
        advice = "check address, firewall, and security settings in [kafka]"
        yield Finding(PROBLEM, "kafka", str(error), advice)
        return
    nodes = "1 broker" if brokers.number == 1 else f"{brokers.number} brokers"
    yield Finding(OK, "kafka", f"{where}: {nodes}, version {brokers.version}")
    if brokers.number > 1 and int(brokers.settings.get("min.insync.replicas", "1")) < 2:
        advice = "set min.insync.replicas=2: else what only one broker has counts as acknowledged"
        yield Finding(WARNING, "kafka", "min.insync.replicas is 1", advice)
    if brokers.settings.get("unclean.leader.election.enable") == "true":
        advice = "set unclean.leader.election.enable=false: it loses acknowledged records"
        yield Finding(PROBLEM, "kafka", "unclean leader election is enabled", advice)
    longest = int(brokers.settings.get("group.max.session.timeout.ms", "1800000"))
    if longest < 45_000:
        advice = "raise group.max.session.timeout.ms to 45000 or more"
        yield Finding(WARNING, "membership", f"sessions of at most {longest} ms", advice)
    yield Finding(
        OK, "membership", f"static members {config.member_id(0)} and so on, the same after a restart"
    )
    log = open_log(config.log_url(), config.kafka_settings)
    try:
        yield from _topics(config, log, admin)
        yield _clock(config, log)
    except LogError as error:
        yield Finding(PROBLEM, "topics", str(error), "may this user describe topics and their settings?")
    finally:
        log.close()


def _topics(config: Config, log: Log, admin: KafkaAdmin | None) -> Iterator[Finding]:
    topics = config.topics()
    count = count_of(log, topics) or config.partitions
    there = log.topics()
    settings = None
    if admin is not None:
        settings = admin.topic_settings(
            [s.spec.name for s in states(log, topics, count) if s.spec.name in there]
        )
    dangers = unsafe(topics, settings or {}, config.max_message)
    for some in dangers:
        level = PROBLEM if some.fatal else WARNING
        advice = f"plexstream topics apply; or {some.mend.replace('ADDRESS', config.kafka)}"
        yield Finding(level, "topics", str(some), advice)
    told = {(some.topic, some.setting) for some in dangers}
    found = states(log, topics, count, settings)
    for state in found:
        for wrong in state.wrong:
            if (state.spec.name, wrong.partition(" ")[0]) in told:
                continue
            if (
                state.partitions is not None
                and state.partitions != state.spec.partitions
                and "partitions" in wrong
            ):
                more = state.partitions > state.spec.partitions
                advice = (
                    f"plexstream topics apply --partitions {count}: go on with as many as it began with"
                    if more
                    else f"add partitions to it, up to {count}"
                )
            else:
                advice = "plexstream topics apply"
            yield Finding(PROBLEM, "topics", f"{state.spec.name}: {wrong}", advice)
    if not dangers and not any(state.wrong for state in found):
        yield Finding(OK, "topics", f"{len(found)} topics as declared, {count} partitions")


def _clock(config: Config, log: Log) -> Finding:
    """The broker's clock against ours: the newest journal record's time must not be in the future."""
    topic = config.topics().journal
    if log.partitions(topic) is None:
        return Finding(OK, "clock", time.strftime("%Y-%m-%d %H:%M:%S %Z"))
    newest = 0
    reader = log.reader()
    try:
        for partition in range(log.partitions(topic) or 0):
            first, end = log.range((topic, partition))
            if end > first:
                reader.assign((topic, partition), end - 1)
                newest = max([newest, *(r.time for r in reader.read(10, 2.0))])
                reader.release((topic, partition))
    finally:
        reader.close()
    ahead = newest / 1000 - time.time()
    if ahead > _MAX_DRIFT_S:
        return Finding(WARNING, "clock", f"the journal has a record {ahead:.0f} s in the future", ADVICE)
    return Finding(OK, "clock", time.strftime("%Y-%m-%d %H:%M:%S %Z"))
