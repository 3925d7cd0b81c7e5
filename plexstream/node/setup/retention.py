"""Settings of existing topics that would delete or refuse what is needed: found before anything starts."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from plexstream.hosts.native.host import MAX_TURN
from plexstream.log.kafka.brokers.sizes import LEAST
from plexstream.log.kafka.log import KafkaLog
from plexstream.log.limits.limits import DEFAULT_MAX_BYTES
from plexstream.model.errors import ConfigError, LogError, LogUnavailable
from plexstream.model.topics.declaration import Declaration
from plexstream.model.topics.topics import COPARTITIONED, KEEPING, Topics

_log = logging.getLogger("plexstream.node")

_FOR_EVER = "-1"
_SIZE = "max.message.bytes"
_LEAST_REPLY_MS = 300_000
"""A reply must be there until its edge has read it: an edge that restarts reads on where it was."""

_AROUND = 1 << 18
"""Bytes of a record besides its payload, its changes and what it sends: addresses, names, headers."""

_STAMP, _STAMPED = "message.timestamp.type", "LogAppendTime"
_BY_DEFAULT = {
    "cleanup.policy": "delete", "retention.ms": "604800000", "retention.bytes": "-1",
    _SIZE: str(DEFAULT_MAX_BYTES), _STAMP: "CreateTime",
}  # fmt: skip
"""What Kafka does where a declaration says nothing."""

_NEEDED = {
    "mailbox": "messages that were acknowledged and wait to be handled",
    "journal": "turns that no snapshot covers yet",
    "snapshot": "the state of actors that were idle for long",
    "control": "what the installation knows of itself",
    "reply": "replies that callers wait for",
    "deadletter": "dead letters",
    "tuplespace": "what tuple spaces applied",
}


class Unsafe(NamedTuple):
    """A setting of a topic, as it is and as it must be.

    Attributes:
        does: what Kafka would do by it.
        fatal: acknowledged work would be lost, or partitions stay out of service: nothing may start.
    """

    topic: str
    setting: str
    value: str
    wanted: str
    does: str
    fatal: bool

    def __str__(self) -> str:
        return f"{self.topic}: {self.setting} is {self.value}: by it Kafka {self.does}"

    @property
    def mend(self) -> str:
        """The command of Kafka's that sets it right."""
        return (
            f"kafka-configs.sh --bootstrap-server ADDRESS --alter --entity-type topics --entity-name "
            f"{self.topic} --add-config {self.setting}={self.wanted}"
        )


def unsafe(topics: Topics, settings: Mapping[str, Mapping[str, str]], max_message: int) -> list[Unsafe]:
    """Settings that delete too early, or refuse what this installation may append.

    Parameters:
        settings: in effect, by topic; of topics that are not among them nothing is said.
        max_message: bytes of the largest payload that this installation takes.
    """
    found = []
    for kind in (*COPARTITIONED, "control"):
        topic = f"{topics.prefix}{kind}"
        for setting, wanted, fatal in _wrong(kind, settings.get(topic, {})):
            value = settings[topic][setting]
            found.append(Unsafe(topic, setting, value, wanted, f"deletes {_NEEDED[kind]}", fatal))
        small = _too_small(topic, kind, settings.get(topic, {}), max_message)
        if small is not None:
            found.append(small)
    return found


def refuse_unsafe(declared: Declaration, max_message: int, name: str) -> None:
    """Refuse a declaration by which topics would lose or refuse what is needed. `max_message`: see `unsafe`.

    Raises:
        ConfigError: it names `name`, the topic, the setting, and what has to be there.
    """
    topics = Topics("")
    settings = {kind: _BY_DEFAULT | found.settings for kind, found in declared.items()}
    found_unsafe = unsafe(topics, settings, max_message)
    wrong = [(u.topic, u.setting, u.value, u.wanted, f"Kafka {u.does}") for u in found_unsafe]
    for kind, found in settings.items():
        if found[_STAMP] != _STAMPED and kind != "out":
            why = "records have the time of a node's clock, and brokers refuse those of one that is wrong"
            wrong.append((kind, _STAMP, found[_STAMP], _STAMPED, why))
    if wrong:
        raise ConfigError(
            "; ".join(
                f"{name}: topics.{kind}.settings: {setting} is {value}"
                + ("" if setting in declared[kind].settings else ", the brokers' default")
                + f", and has to be {wanted}: by it {why}"
                for kind, setting, value, wanted, why in wrong
            )
        )


def _too_small(topic: str, kind: str, has: Mapping[str, str], max_message: int) -> Unsafe | None:
    limit = has.get(_SIZE)
    if limit is None:
        return None
    need, refuses, fatal = _largest(kind, max_message)
    if int(limit) < LEAST:
        need, refuses, fatal = LEAST, "all of its records, which come in batches", True
    if int(limit) >= need:
        return None
    wanted = KEEPING[kind].get(_SIZE, str(DEFAULT_MAX_BYTES))
    return Unsafe(topic, _SIZE, limit, wanted, f"refuses {refuses} of up to {need} bytes", fatal)


def _largest(kind: str, max_message: int) -> tuple[int, str, bool]:
    """The bytes of the largest record of a kind of topic, what it is, and whether its loss is a standstill.

    A message or reply that is refused for its size is answered with `too_large`, and a dead letter is cut. A
    turn can only wait until its journal takes it, and a journal grows for ever without its snapshots.
    """
    payload = max_message + _AROUND
    match kind:
        case "journal":
            return MAX_TURN + payload, "turns", True
        case "snapshot":
            return MAX_TURN + _AROUND, "state", True
        case "mailbox" | "reply" | "deadletter" | "tuplespace":
            what = {
                "mailbox": "messages", "reply": "replies", "deadletter": "dead letters",
                "tuplespace": "what tuple spaces applied",
            }[kind]  # fmt: skip
            return payload, f"{what} with a payload of max_message = {max_message},", False
    return LEAST, "records", True


def _wrong(kind: str, has: Mapping[str, str]) -> Iterator[tuple[str, str, bool]]:
    """Which settings of a kind of topic, what they should be, and whether nothing may start."""
    policy = {part.strip() for part in has.get("cleanup.policy", "").split(",")} - {""}
    limits = [name for name in ("retention.ms", "retention.bytes") if has.get(name, _FOR_EVER) != _FOR_EVER]
    if kind in ("snapshot", "control"):
        # Kafka heeds a retention only of topics whose policy says delete; compaction is what is wanted.
        if "delete" in policy and limits:
            yield "cleanup.policy", "compact", True
        return
    if "compact" in policy:  # keys are shared by records that are all needed
        yield "cleanup.policy", "delete", kind not in ("deadletter", "tuplespace")
    if kind in ("mailbox", "journal"):
        for name in limits:
            yield name, _FOR_EVER, True
    elif kind == "reply":
        if 0 <= int(has.get("retention.ms", _FOR_EVER)) < _LEAST_REPLY_MS:
            yield "retention.ms", "3600000", False
        if "retention.bytes" in limits:
            yield "retention.bytes", _FOR_EVER, False


def check(log: KafkaLog, topics: Topics, max_message: int) -> None:
    """Refuse settings by which acknowledged work would be lost, or partitions stay out of service; warn of
    others, and where they are not told. `max_message`: see `unsafe`.

    Raises:
        ConfigError: there are such settings. It names them, and the commands that set them right.
        LogUnavailable: the log cannot be reached.
    """
    settings: dict[str, dict[str, str]] = {}
    unknown: dict[str, LogError] = {}
    for kind in (*COPARTITIONED, "control"):
        topic = f"{topics.prefix}{kind}"
        try:
            settings[topic] = log.settings_of(topic)
        except LogUnavailable:
            raise
        except LogError as error:  # not everybody may read settings
            unknown[topic] = error
    if unknown:
        _log.warning(
            "whether a retention deletes, or max.message.bytes refuses what is needed was not checked of %s: "
            "%s: let this user describe the topics' settings (DESCRIBE_CONFIGS), or run `plexstream doctor` "
            "as one who may",
            ", ".join(unknown), next(iter(unknown.values())),
        )  # fmt: skip
    found = unsafe(topics, settings, max_message)
    for some in found:
        if not some.fatal:
            _log.warning("%s. Set it right: %s", some, _command(log, some))
    fatal = [some for some in found if some.fatal]
    if fatal:
        raise ConfigError(
            "; ".join(map(str, fatal))
            + ". Nothing starts with that. Set it right by `plexstream topics apply`, or by:\n"
            + "\n".join(_command(log, some) for some in fatal)
        )


def _command(log: KafkaLog, some: Unsafe) -> str:
    return some.mend.replace("ADDRESS", log.bootstrap)
