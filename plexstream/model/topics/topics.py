"""The names of the topics, and how each is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from plexstream.model.topics.declaration import COPARTITIONED, KINDS, declaration

__all__ = ["COPARTITIONED", "KEEPING", "KINDS", "Topics"]


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
    def tuplespace(self) -> str:
        return f"{self.prefix}tuplespace"

    @property
    def control(self) -> str:
        return f"{self.prefix}control"

    def out(self, name: str) -> str:
        """The output topic of ``host.emit(name, …)``."""
        return self.outputs.get(name) or f"{self.prefix}out.{name}"


class _Keeping(Mapping[str, dict[str, str]]):
    """The declared settings by kind of topic, read when somebody asks."""

    def __getitem__(self, kind: str) -> dict[str, str]:
        return dict(declaration()[kind].settings)

    def __iter__(self) -> Iterator[str]:
        return iter(KINDS)

    def __len__(self) -> int:
        return len(KINDS)


KEEPING: Mapping[str, dict[str, str]] = _Keeping()
"""Kafka's settings by kind of topic, as `topics/system.yaml` has them."""
