"""Actors that coordinate in their handlers, and that note what they are told."""

from __future__ import annotations

from plexstream import Retry, actor, handler, host, state


@actor
class Mover:
    """Moves a tuple: under a lock it counts in a way that only the lock makes right."""

    moved: int = state(default=0)

    @handler("move")
    def move(self, space: str) -> object:
        found = host.ts.space(space).take(["raw", None, None], wait=5)
        if found is None:
            return None
        with host.locks.hold("count", lease=600):
            host.kv.put("moved", host.kv.get("moved", 0) + 1)
        host.queues.queue("moved").send(found[1:])
        host.ts.space(space).write(["done", *found[1:]])
        self.moved += 1
        return found

    @handler("move_awaited")
    async def move_awaited(self, space: str) -> object:
        found = await host.ts.space(space).take(["raw", None, None], wait=5)
        if found is None:
            return None
        async with host.locks.hold("count", lease=600):
            await host.kv.put("moved", await host.kv.get("moved", 0) + 1)
        await host.queues.queue("moved").send(found[1:])
        await host.ts.space(space).write(["done", *found[1:]])
        self.moved += 1
        return found


@actor
class Hearer:
    said: list = state(default_factory=list)
    posted: list = state(default_factory=list)

    @handler("hear")
    def hear(self, said: object) -> None:
        self.said.append(said)

    @handler("post")
    def post(self, message: dict) -> None:
        self.posted.append([message["position"], message["value"]])

    @handler("report", read_only=True)
    def report(self) -> dict:
        return {"said": self.said, "posted": self.posted}


@actor(retry=Retry(attempts=1))
class Slice:
    rows: dict = state(default_factory=dict)

    @handler("add")
    def add(self, updates: dict) -> int:
        for key, value in updates.items():
            self.rows[key] = self.rows.get(key, 0) + value
        return len(updates)

    @handler("total", read_only=True)
    def total(self) -> int:
        return sum(self.rows.values())
