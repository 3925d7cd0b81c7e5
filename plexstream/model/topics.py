"""The names of the topics, and how each is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

DAY_MS = 86_400_000


class Topics(NamedTuple):
    """Topic names under a prefix. Two systems share one Kafka by having different prefixes.

    `outputs` gives outputs names of their own, outside of the prefix.
    """

    prefix: str = "plex."
    outputs: Mapping[str, str] = {}

    @property
    def mailbox(self) -> str:
        return f"{self.prefix}mailbox"

    @property
    def journal(self) -> str:
        return f"{self.prefix}journal"

    @property
    def snapshot(self) -> str:
        return f"{self.prefix}snapshot"

    @property
    def reply(self) -> str:
        return f"{self.prefix}reply"

    @property
    def deadletter(self) -> str:
        return f"{self.prefix}deadletter"

    @property
    def control(self) -> str:
        return f"{self.prefix}control"

    def out(self, name: str) -> str:
        """The output topic of ``host.emit(name, …)``."""
        return self.outputs.get(name) or f"{self.prefix}out.{name}"


COPARTITIONED = ("mailbox", "journal", "snapshot", "reply", "deadletter")
"""Topics with one and the same number of partitions, fixed at creation."""

LARGE = str(16 * 1_048_576)
"""Bytes of a record batch: a turn may change and send several messages' worth."""

SEGMENT = {"segment.bytes": str(32 * 1_048_576), "segment.ms": str(600_000)}
"""Of topics that are trimmed: brokers free whole segments only, and never the one that is written to, so by
their defaults up to 1 GiB of each partition would stay for a week."""

STAMPED = {"message.timestamp.type": "LogAppendTime"}
"""By the brokers' clocks. Brokers refuse what a node stamps whose clock is ahead by more than an hour
(`message.timestamp.after.max.ms`): it would claim its partitions for ever, in vain."""

KEEPING: dict[str, dict[str, str]] = {
    # Both are trimmed by the owner below what the snapshots cover, never by age: an idle actor's turn may be
    # old, and a message may have to wait for its owner for longer than any number of days.
    "mailbox": {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        **SEGMENT,
        **STAMPED,
    },
    "journal": {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": LARGE,
        **SEGMENT,
        **STAMPED,
    },
    "snapshot": {"cleanup.policy": "compact", "max.message.bytes": LARGE, **STAMPED},
    "reply": {"cleanup.policy": "delete", "retention.ms": str(3_600_000), **STAMPED},
    # Holds whatever a mailbox took, together with the reason.
    "deadletter": {
        "cleanup.policy": "delete",
        "retention.ms": str(30 * DAY_MS),
        "max.message.bytes": LARGE,
        **STAMPED,
    },
    "control": {"cleanup.policy": "compact", **STAMPED},
    "out": {"cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS), **STAMPED},
}
"""Kafka settings by kind of topic."""
