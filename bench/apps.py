"""The actors that asks, recovery, kills and memory are measured with."""

from __future__ import annotations

import hashlib

from plexstream import StateMap, actor, handler, state, state_map


@actor(name="tally")
class Tally:
    """Counts its calls, durably."""

    count: int = state(default=0)

    @handler("add")
    def add(self, amount: int) -> int:
        """One more; returns how many."""
        self.count += amount
        return self.count


@actor(name="vault")
class Vault:
    """Holds more than should be in memory."""

    entries: StateMap[str] = state_map()

    @handler("put")
    def put(self, number: int, size: int) -> None:
        """Keep `size` characters that do not compress to nothing."""
        self.entries[str(number)] = text(number, size)

    @handler("check", read_only=True)
    def check(self, number: int, size: int) -> bool:
        """Whether the entry is what it was."""
        return bool(self.entries[str(number)] == text(number, size))


def text(number: int, size: int) -> str:
    """Characters that follow from the number."""
    return hashlib.shake_256(b"%d" % number).hexdigest(size // 2)
