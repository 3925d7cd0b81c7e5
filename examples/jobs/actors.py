"""Jobs in a tuple space: workers compete for them, and each job is taken by one."""

from plexstream import actor, handler, host


@actor
class Worker:
    @handler("work")
    async def work(self, batch: str) -> int:
        """Take jobs while there are any. A take is a step: what was taken stays taken after a crash."""
        done = 0
        while (job := await host.ts.take(["job", batch, int])) is not None:
            number = job[2]
            await host.ts.write(["done", batch, number, number * number, host.self_id()])
            done += 1
        return done
