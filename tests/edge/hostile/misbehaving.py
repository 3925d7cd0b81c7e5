"""Handlers, errors and values that do what nobody should."""

import sys
from dataclasses import dataclass

from plexstream import Reject, actor, handler, host, state
from plexstream.model.errors import CallError


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text for you")

    __repr__ = __str__


class MuteRuntime(RuntimeError):
    __str__ = __repr__ = Mute.__str__


class Muted:
    def __str__(self):
        raise MuteRuntime

    __repr__ = __str__

    def __iter__(self):
        sys.exit(7)


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


@dataclass
class Wrong:
    n: int

    def __post_init__(self):
        raise Mute


@actor
class Bad:
    count: int = state(default=0)

    @handler("fine")
    def fine(self) -> int:
        self.count += 1
        return self.count

    @handler("mute")
    def mute(self) -> None:
        raise Mute

    @handler("mute_runtime")
    def mute_runtime(self) -> None:
        raise MuteRuntime

    @handler("exits")
    def exits(self) -> None:
        sys.exit(3)

    @handler("interrupts")
    def interrupts(self) -> None:
        raise KeyboardInterrupt

    @handler("generator_exit")
    def generator_exit(self) -> None:
        raise GeneratorExit

    @handler("rejects_mute")
    def rejects_mute(self) -> None:
        raise Reject("no", data=Muted())

    @handler("rejects_without_text")
    def rejects_without_text(self) -> None:
        raise Reject(Muted())

    @handler("rejects_deep")
    def rejects_deep(self) -> None:
        raise Reject("no", data=deep())

    @handler("rejects_nan")
    def rejects_nan(self) -> None:
        raise Reject("no", data={"n": float("nan"), "s": "\ud800"})

    @handler("rejects_surrogate")
    def rejects_surrogate(self) -> None:
        raise Reject("half \ud800 a pair")

    @handler("call_error")
    def call_error(self) -> None:
        raise CallError(Muted(), data=Muted())

    @handler("returns_mute")
    def returns_mute(self):
        return Muted()

    @handler("returns_deep")
    def returns_deep(self):
        return deep()

    @handler("recursion")
    def recursion(self) -> int:
        return self.recursion()

    @handler("memory")
    def memory(self) -> None:
        raise MemoryError

    @handler("emits_deep")
    def emits_deep(self) -> None:
        host.emit("x", deep())

    @handler("tells_mute")
    def tells_mute(self) -> None:
        host.tell("bad/other", "fine", {"x": Muted()})

    @handler("wrong")
    def wrong(self, value: Wrong) -> None: ...

    @handler("effect_mute")
    async def effect_mute(self) -> None:
        await host.run("mute", raises_mute)

    @handler("effect_exits")
    async def effect_exits(self) -> None:
        await host.run("exits", sys.exit, 4)

    @handler("effect_returns_mute")
    async def effect_returns_mute(self) -> None:
        await host.run("returns", Muted)

    @handler("group")
    def group(self) -> None:
        raise BaseExceptionGroup("all of it", [Mute(), SystemExit(1)])


def raises_mute():
    raise Mute
