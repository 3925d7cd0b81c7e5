"""The actors that asks, recovery, kills, memory and durable execution are measured with."""

from __future__ import annotations

import hashlib

from plexstream import StateMap, actor, handler, host, state, state_map


@actor(name="tally")
class Tally:
    """Counts its calls, durably."""

    count: int = state(default=0)

    @handler("add")
    def add(self, amount: int) -> int:
        """One more; returns how many."""
        self.count += amount
        return self.count


@actor(name="trip")
class Trip:
    """Waits: for three side effects, or for a time."""

    waited: int = state(default=0)

    @handler("steps")
    async def steps(self, amount: int) -> int:
        """Three side effects that take no time, each recorded before the next begins; adds one in each."""
        amount = await host.run("first", one_more, amount)
        amount = await host.run("second", one_more, amount)
        return await host.run("third", one_more, amount)

    @handler("wait")
    async def wait(self, until: int) -> int:
        """A side effect, then sleep until a time, in ms since the epoch; returns how often it did."""
        await host.run("first", one_more, 0)
        await host.sleep_until(until)
        self.waited += 1
        return self.waited

    @handler("waits", read_only=True)
    def waits(self) -> int:
        """How often it has slept."""
        return self.waited


def one_more(amount: int) -> int:
    """A side effect."""
    return amount + 1


@actor(name="vault")
class Vault:
    """Holds more than should be in memory."""

    entries: StateMap[str, str] = state_map()

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
