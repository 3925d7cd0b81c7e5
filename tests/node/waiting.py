"""Actors whose handlers wait, for tests of what is seen of them and done to them from outside."""

from plexstream import actor, handler, host, state
from plexstream.sdk.spec import Retry


def broken_step() -> None:
    raise ValueError("no step")


@actor
class Waiter:
    done: list = state(default_factory=list)

    @handler("outside")
    async def outside(self) -> object:
        awakeable = host.awakeable()
        host.emit("ids", {"id": awakeable.id})
        value = await awakeable
        self.done = [*self.done, value]
        return value

    @handler("held")
    async def held(self) -> None:
        """Its awakeable is done while it waits for something else."""
        awakeable = host.awakeable()
        await host.sleep(3600)
        await awakeable

    @handler("seen", read_only=True)
    def seen(self) -> int:
        return 1

    @handler("nap")
    async def nap(self, seconds: float = 3600.0) -> str:
        self.done = [*self.done, "nap"]
        await host.sleep(seconds)
        self.done = [*self.done, "awake"]
        return "slept"

    @handler("promised")
    async def promised(self, name: str) -> object:
        return await host.promise(name)

    @handler("through")
    async def through(self, to: str) -> object:
        return await host.ask(to, "nap")

    @handler("steps")
    async def steps(self) -> list:
        one = await host.run("one", lambda: 1)
        self.done = [*self.done, one]
        await host.sleep(0.01)
        two = await host.run("two", lambda: {"is": 2})
        self.done = [*self.done, "all"]
        return [one, two]

    @handler("broken")
    async def broken(self) -> None:
        await host.sleep(0.001)
        raise ValueError("it does not work")

    @handler("broken_step")
    async def broken_step(self) -> None:
        await host.run("step", broken_step, retry=Retry(attempts=3, interval=60.0))

    @handler("refuses_work", retry=Retry(attempts=5, interval=60.0))
    def refuses_work(self) -> None:
        raise ValueError("no work")

    @handler("refuses_at_first", retry=Retry(attempts=2, interval=4.9))
    def refuses_at_first(self) -> None:
        raise ValueError("not now")

    @handler("add")
    def add(self, value: int) -> list:
        self.done = [*self.done, value]
        return self.done

    @handler("look", read_only=True)
    def look(self) -> list:
        return self.done


@actor(name="withholder")
class Withholder:
    """Answers later."""

    tokens: list = state(default_factory=list)

    @handler("nap")
    def nap(self) -> None:
        self.tokens.append(host.defer())

    @handler("serve")
    def serve(self) -> int:
        tokens, self.tokens = self.tokens, []
        return sum(host.reply(token, "served") for token in tokens)
