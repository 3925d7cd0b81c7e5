"""Actors that keep others waiting, answer for others, and wait."""

import json

from plexstream import Retry, actor, handler, host, state
from plexstream.model.errors import TimedOut
from plexstream.model.journal.deferred import CALLS
from plexstream.model.messages.address import full


@actor(name="lock", retry=Retry(attempts=1), state_ttl=500)
class Lock:
    """Keeps those who want it waiting, and gives it to the first who is still there."""

    tokens: list = state(default_factory=list)
    given: list = state(default_factory=list)

    @handler("acquire")
    def acquire(self, slow: bool = False) -> None:
        self.tokens.append(host.defer())

    @handler("slowly")
    async def slowly(self) -> None:
        await host.sleep(5)
        self.tokens.append(host.defer())

    @handler("release")
    def release(self) -> int:
        for skipped, token in enumerate(self.tokens):
            if host.reply(token, "yours"):
                self.tokens = self.tokens[skipped + 1 :]
                return skipped
        self.tokens = []
        return -1

    @handler("hand_on")
    def hand_on(self, to: str) -> None:
        for token in self.tokens:
            host.tell(to, "answer", token=token)

    @handler("busy")
    async def busy(self, seconds: float = 60) -> None:
        await host.sleep(seconds)

    @handler("ask_back")
    async def ask_back(self, to: str) -> object:
        return await host.ask(to, "ping")

    @handler("reply_and_wait")
    async def reply_and_wait(self) -> list:
        took = [host.reply(token, "yours") for token in self.tokens]
        await host.sleep(1)
        again = []
        for token in self.tokens:
            try:
                again.append(host.reply(token, "again"))
            except Exception as error:
                again.append(type(error).__name__)
        await host.sleep(1)
        return [took, again]


@actor(name="clerk", retry=Retry(attempts=1))
class Clerk:
    """Answers for others."""

    sent: list = state(default_factory=list)

    @handler("answer")
    def answer(self, token: str, reason: str = "") -> None:
        if reason:
            self.sent.append(host.reject(token, reason, [1]))
        else:
            self.sent.append(host.reply(token, ["from", host.self_id()]))


@actor(name="guest", retry=Retry(attempts=1))
class Guest:
    got: list = state(default_factory=list)

    @handler("want")
    async def want(self, timeout: float = 0, handler: str = "acquire") -> object:
        try:
            self.got.append(await host.ask("lock/1", handler, timeout=timeout or None))
        except TimedOut:
            self.got.append("late")
            await host.sleep(600)
        return self.got[-1]

    @handler("race")
    async def race(self) -> object:
        return await host.race(host.start.ask("lock/1", "acquire"), host.start.sleep(1))

    @handler("tries", retry=Retry(attempts=3, interval=1, jitter=0))
    async def tries(self) -> object:
        return await host.ask("lock/1", "acquire", timeout=2)

    @handler("ping")
    def ping(self) -> str:
        return "pong"

    @handler("detached")
    async def detached(self) -> None:
        host.start.ask("lock/1", "acquire", detach=True)
        await host.sleep(1)


def waiting(world, address="lock/1"):
    found = world.pieces.collections.entries(full(address), CALLS)
    return [key for key, value in found if json.loads(value)[5:6] != [True]]


def tokens(world):
    return world.field("lock/1", "tokens")
