"""The topics that a system needs, made where they are missing."""

from __future__ import annotations

import logging
import uuid

from plexstream.log import installation
from plexstream.log.base import Log, TopicSpec
from plexstream.model.errors import ConfigError, Refused
from plexstream.model.topics.declaration import Declaration, declaration
from plexstream.model.topics.topics import KEEPING, Topics

_log = logging.getLogger("plexstream.node")


def specs(topics: Topics, partitions: int, declared: Declaration | None = None) -> list[TopicSpec]:
    """The system's own topics, with their settings.

    Parameters:
        partitions: of the installation.
        declared: how they are to be; by default as the package has it.
    """
    declared = declared or declaration()
    return [
        TopicSpec(f"{topics.prefix}{kind}", found.partitions or partitions, dict(found.settings))
        for kind, found in declared.items() if kind != "out"
    ]  # fmt: skip


def apply(
    log: Log, topics: Topics, partitions: int, asked: int | None = None, declared: Declaration | None = None
) -> int:
    """Create what is missing; returns the number of partitions, which a system keeps for life.

    Parameters:
        partitions: counts for a new system only.
        asked: the number that is configured, if it is: to name the one with which an existing system began
            is to take note of topics that have more by now.
        declared: how what is missing is made; by default as the package has it.

    Raises:
        ConfigError: another number is asked for than there is.
        TopicMissing: topics of the system have other numbers of partitions, and nobody has taken note of it.
        LogUnavailable: the log cannot be reached.
    """
    there = log.topics()
    # Before the record is looked for: whoever begins an installation writes it before anything is journaled.
    # So a journal that is in use, and then still no record, is one of old; an empty one may be of a node that
    # begins at this moment, too.
    in_use = _is_in_use(log, topics.journal, there.get(topics.journal, 0))
    # Installations of old have an empty control topic: one that is in use without it has lost what was in it.
    lost = in_use and topics.control not in there
    record = installation.read(log, topics) if topics.control in there else None
    began = installation.began_with(there, topics, record)
    if began is not None and asked is not None and asked != began:
        has = f"has {began}" if there.get(topics.mailbox) == began else f"began with {began}"
        raise ConfigError(
            f"partitions = {asked}, but {topics.mailbox} {has}, which is fixed: "
            f"give --partitions {began}, or another --prefix for a new installation"
        )
    count = began or partitions
    more = installation.grown(there, topics, count)
    if asked is None or not more:
        installation.refuse_others(there, topics, record, count)
    missing = [spec for spec in specs(topics, count, declared) if spec.name not in there]
    _create(log, topics, missing, began is not None)
    if lost:
        _log.error(
            "topic %s was deleted: that topics had more partitions, and that partitions had lost records and "
            "were accepted, is known no more. The installation goes on with %d partitions",
            topics.control, count,
        )  # fmt: skip
    elif record is None and in_use:
        # From before origins named the lives of topics: those that they are of now have no name.
        life = log.topic_id(topics.journal)
        installation.put(log, topics, installation.unnamed_key(topics.journal), life)
    # What runs already goes on with the random numbers that its replays expect. A new one has the id of its
    # journal, which is the same for all who begin it at once.
    new = "" if in_use and not lost else log.topic_id(topics.journal) or uuid.uuid4().hex
    now = installation.Installation(count, more, record.id if record is not None else new)
    if now != record:
        installation.put(log, topics, installation.KEY, now)
    if more:
        _tell_of_what_is_beyond(log, topics, there, count, more)
    return count


def _create(log: Log, topics: Topics, missing: list[TopicSpec], exists: bool) -> None:
    """Make topics. An installation that `exists` began without the spaces' topic, perhaps, and may be run by
    one who may make none: it starts all the same. What spaces apply is put aside until there is one.
    """
    later = [spec for spec in missing if exists and spec.name == topics.tuplespace]
    log.create(spec for spec in missing if spec not in later)
    try:
        log.create(later)
    except Refused as error:
        _log.warning(
            "%s, which says what tuple spaces apply, cannot be made: %s: run `plexstream topics apply` as "
            "one who may", topics.tuplespace, error,
        )  # fmt: skip


def _is_in_use(log: Log, topic: str, partitions: int) -> bool:
    return any(log.range((topic, number))[1] > 0 for number in range(partitions))


def _tell_of_what_is_beyond(
    log: Log, topics: Topics, there: dict[str, int], count: int, more: dict[str, int]
) -> None:
    listed = ", ".join(f"{name} {number}" for name, number in more.items())
    _log.warning("partitions were added (%s): this installation goes on with %d", listed, count)
    for (name, number), records in installation.beyond(log, there, topics, count).items():
        _log.error(
            "%s[%d] has %d records that nobody reads: somebody wrote to a partition beyond the %d of this "
            "installation", name, number, records, count,
        )  # fmt: skip


def make_again(log: Log, topics: Topics, kind: str) -> None:
    """Make one of the system's topics that somebody has deleted, or that an older version did not know.

    Parameters:
        kind: one that has as many partitions as the installation.

    Raises:
        LogError: it cannot be made; `Refused` where that will not change by itself.
    """
    count = installation.count_of(log, topics) or 1  # the mailbox may have been given more meanwhile
    log.create([TopicSpec(f"{topics.prefix}{kind}", count, KEEPING[kind])])


def output(topic: str, partitions: int) -> TopicSpec:
    """An output topic."""
    return TopicSpec(topic, partitions, KEEPING["out"])
