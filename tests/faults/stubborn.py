"""Handlers that never end."""

import time

from plexstream import actor, handler, host


@actor
class Stubborn:
    @handler("spin")
    def spin(self) -> None:
        while True:
            time.sleep(0.001)

    @handler("waits")
    async def waits(self) -> None:
        await host.sleep(3600)

    @handler("hangs")
    async def hangs(self) -> None:
        await host.run("hangs", time.sleep, 3600)

    @handler("fine")
    def fine(self) -> int:
        return 1
