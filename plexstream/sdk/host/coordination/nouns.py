"""The nouns there are: as attributes of `host` and of clients, and by name for HTTP."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from plexstream.sdk.host.coordination.held.election import Elections
    from plexstream.sdk.host.coordination.held.locks import Locks
    from plexstream.sdk.host.coordination.held.pools import Pools
    from plexstream.sdk.host.coordination.kept.kv import KeyValues
    from plexstream.sdk.host.coordination.kept.spaces import TupleSpaces
    from plexstream.sdk.host.coordination.operation import Noun, Operation, Runner
    from plexstream.sdk.host.coordination.spread.channels import Channels, Dialect
    from plexstream.sdk.host.coordination.spread.groups import Groups
    from plexstream.sdk.host.coordination.spread.queues import Queues
    from plexstream.sdk.host.coordination.spread.registry import Registries
    from plexstream.sdk.host.coordination.spread.shards.group import ShardGroups

class Word(NamedTuple):
    """A kind of noun.

    Attributes:
        where: its class is.
        command: the group of commands for it.
        noun: for people.
        default: the name of the one that is meant where none is said; "": there is none such.
    """

    where: str
    command: str
    noun: str
    default: str = ""


WORDS: Mapping[str, Word] = {
    "kv": Word("kept.kv:Store", "kv", "store", "default"),
    "locks": Word("held.locks:Lock", "lock", "lock"),
    "elections": Word("held.election:Election", "election", "election"),
    "pools": Word("held.pools:Pool", "pool", "pool"),
    "groups": Word("spread.groups:Group", "group", "process group"),
    "registry": Word("spread.registry:Registry", "registry", "registry", "default"),
    "channels": Word("spread.channels:Channel", "channel", "channel"),
    "queues": Word("spread.queues:Queue", "queue", "queue"),
    "spaces": Word("kept.spaces:TupleSpace", "ts", "tuple space", "default"),
    "shards": Word("spread.shards.group:ShardGroup", "shards", "shard group"),
}
"""By its word in a path: ``/v1/kv/…``."""


def noun_class(word: str) -> type[Noun] | None:
    """The class of nouns that a path calls `word`; None: there is none."""
    if word not in WORDS:
        return None
    module, _, cls = WORDS[word].where.partition(":")
    found: type[Noun] = getattr(importlib.import_module(f"{__package__}.{module}"), cls)
    return found


class Nouns:
    """What is there to coordinate by. Each attribute is loaded when it is first used."""

    def _operate(self, steps: Operation[Any]) -> Any:
        raise NotImplementedError

    @property
    def ts(self) -> TupleSpaces:
        """Tuples, found by patterns."""
        from plexstream.sdk.host.coordination.kept.spaces import TupleSpaces

        return TupleSpaces(self._operate, "default")

    @property
    def kv(self) -> KeyValues:
        """Values by key."""
        from plexstream.sdk.host.coordination.kept.kv import KeyValues

        return KeyValues(self._operate, "default")

    @property
    def queues(self) -> Queues:
        """Queues: each message goes to one receiver."""
        from plexstream.sdk.host.coordination.spread.queues import Queues

        return Queues(self._operate)

    @property
    def channels(self) -> Channels:
        """Channels: every message goes to all subscribers."""
        from plexstream.sdk.host.coordination.spread.channels import Channels

        return Channels(self._operate)

    @property
    def channel(self) -> Dialect:
        """Queues and channels by name, in the words of ported programs."""
        from plexstream.sdk.host.coordination.spread.channels import Dialect

        return Dialect(self._operate)

    @property
    def locks(self) -> Locks:
        """Locks: each is held by one at a time, for as long as a lease lasts."""
        from plexstream.sdk.host.coordination.held.locks import Locks

        return Locks(self._operate)

    @property
    def elections(self) -> Elections:
        """Elections: each has a leader at most, for as long as a lease lasts."""
        from plexstream.sdk.host.coordination.held.election import Elections

        return Elections(self._operate)

    @property
    def pools(self) -> Pools:
        """Pools: each member is lent to one at a time."""
        from plexstream.sdk.host.coordination.held.pools import Pools

        return Pools(self._operate)

    @property
    def groups(self) -> Groups:
        """Process groups: what is published reaches all members."""
        from plexstream.sdk.host.coordination.spread.groups import Groups

        return Groups(self._operate)

    process_groups = groups

    @property
    def registry(self) -> Registries:
        """Addresses by name and label."""
        from plexstream.sdk.host.coordination.spread.registry import Registries

        return Registries(self._operate, "default")

    @property
    def shards(self) -> ShardGroups:
        """Data-parallel actors."""
        from plexstream.sdk.host.coordination.spread.shards.group import ShardGroups

        return ShardGroups(self._operate)


class NounsBy(Nouns):
    """The nouns, with calls made by `run`."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def _operate(self, steps: Operation[Any]) -> Any:
        return self._run(steps)
