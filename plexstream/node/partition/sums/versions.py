"""Which code has served a partition, and that it is said where another version takes over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

import msgspec

from plexstream.model.journal.journal import Claim
from plexstream.model.journal.snapshot import Snapshot
from plexstream.node.partition.sums.snapshots import CODE_KEY

_log = logging.getLogger("plexstream.node")


class _Code(msgspec.Struct):
    """The node that served a partition, and its versions of the actor types."""

    node: str = ""
    versions: dict[str, str] = {}


_code = msgspec.json.Decoder(_Code)


class Versions:
    """The code that serves a partition, and the code that did before.

    Parameters:
        node: this one.
        versions: its versions of the actor types.
        has: whether it has a type, be it one that is loaded when it is first called.
    """

    def __init__(
        self, partition: int, node: str, versions: dict[str, str], has: Callable[[str], bool]
    ) -> None:
        self._partition = partition
        self._has = has
        self._own = _Code(node, versions)
        self._former = _Code()

    @property
    def former(self) -> str:
        """The node that served last; empty where that is not known."""
        return self._former.node

    def stored(self, piece: Snapshot | None) -> None:
        """What the state says of who served last."""
        with suppress(msgspec.DecodeError):
            self._former = _code.decode(piece.data) if piece else _Code()

    def claimed(self, claim: Claim) -> None:
        """Another's claim, in its place in the journal."""
        self._former = _Code(claim.node, claim.code)

    def takes_over(self, claim: Claim) -> None:
        """This node's claim: from here on its code decides what messages do. Says what has changed."""
        old, new = self._former.versions, claim.code
        changed = [f"{t} {old[t]} -> {new[t]}" for t in sorted(old.keys() & new.keys()) if old[t] != new[t]]
        if changed:
            # A node that is started again with other code is what its user has just done.
            _log.log(
                logging.INFO if claim.node == self._former.node else logging.WARNING,
                "partition %d: the code has changed from node %s to node %s: %s",
                self._partition, self._former.node, claim.node, ", ".join(changed),
            )  # fmt: skip
        if lacking := sorted(t for t in old.keys() - new.keys() if not self._has(t)):
            _log.warning(
                "partition %d: node %s has no actor type %s, which node %s served here: calls get "
                "unknown_type and tells become dead letters until a node that has it takes over",
                self._partition, claim.node, ", ".join(lacking), self._former.node,
            )  # fmt: skip

    def piece(self, claim: int) -> Snapshot:
        """Which code serves the partition since `claim`, as a piece of its state."""
        return Snapshot(CODE_KEY[0], "", CODE_KEY[2], None, claim, 0, 0, msgspec.json.encode(self._own))
