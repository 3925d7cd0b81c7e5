"""Actors that use each thread there is."""

import asyncio
import time

from plexstream import actor, handler, host, state, subscribe


@subscribe("readings", key="id", handler="take", into="reading")
@actor
class Meter:
    count: int = state(default=0)

    @handler("take")
    def take(self, reading: dict) -> int:
        self.count += 1
        host.emit("taken", {"count": self.count})
        return self.count

    @handler("effects")
    async def effects(self) -> list[int]:
        return [await host.run("plain", plain), await host.run("async", coroutine)]

    @handler("hold")
    def hold(self, seconds: float) -> None:
        time.sleep(seconds)


def plain() -> int:
    return 1


async def coroutine() -> int:
    await asyncio.sleep(0)
    return 2
