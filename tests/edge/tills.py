"""Actors whose calls end in every way, for tests of what is seen of an invocation."""

from __future__ import annotations

from plexstream import Reject, Retry, actor, handler, host, state


@actor(retry=Retry(attempts=2, interval=0.05, jitter=0))
class Till:
    n: int = state(default=0)

    @handler("add")
    def add(self, x: int = 1) -> int:
        self.n += x
        return self.n

    @handler("take")
    def take(self, x: int = 1) -> int:
        self.n -= x
        return self.n

    @handler("refuse")
    def refuse(self) -> None:
        raise Reject("no", {"n": self.n})

    @handler("break")
    def break_(self) -> None:
        raise RuntimeError("on purpose")

    @handler("wait")
    async def wait(self, name: str = "go") -> object:
        return await host.promise(name)

    @handler("later")
    def later(self) -> None:
        host.defer()

    @handler("leave")
    def leave(self) -> None:
        host.exit("done for today")

    @handler("total", read_only=True)
    def total(self) -> int:
        return self.n


@actor(retry=Retry(attempts=5, interval=60.0, jitter=0))
class Slow:
    @handler("break")
    def break_(self) -> None:
        raise RuntimeError("on purpose")
