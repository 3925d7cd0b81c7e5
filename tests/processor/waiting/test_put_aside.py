"""What is put aside of a hook that failed: the same, whether it waited, was tried again, or neither."""

import json

import pytest
from world import World

from plexstream import Retry, actor, handler, host, state
from plexstream.model.journal.journal import OutKind
from plexstream.model.messages.address import full

WAITS = [False]


class Hooks:
    async def fails(self):
        if WAITS[0]:
            await host.sleep(1)
        raise RuntimeError("on purpose")

    @handler("__stop__")
    async def on_stop(self, reason: str):
        await self.fails()

    @handler("__down__")
    async def on_down(self, address: str, ref: str, reason: str):
        await self.fails()

    @handler("__exit__")
    async def on_exit(self, address: str, reason: str):
        await self.fails()

    @handler()
    def watch(self, whom: str):
        host.monitor(whom)

    @handler()
    def bind(self, whom: str):
        host.link(whom)


@actor(name="once", retry=Retry(attempts=1))
class Once(Hooks):
    n: int = state(default=0)


@actor(name="thrice", retry=Retry(attempts=3, interval=1, jitter=0))
class Thrice(Hooks):
    n: int = state(default=0)


@actor(name="long", retry=Retry(attempts=3, interval=20, jitter=0))
class Long(Hooks):
    n: int = state(default=0)


@actor
class Boss:
    @handler()
    def begin(self, type: str):
        host.spawn(type, "1")

    @handler()
    def end(self, whom: str, reason: str):
        host.stop(whom, reason)

    @handler()
    def nothing(self):
        pass


def letters(world, address):
    return [
        (o.handler, json.loads(o.payload))
        for r in [*world.turns(), *world.steps()]
        for o in r.outs
        if o.kind == OutKind.DEADLETTER and o.target == address
    ]


HOW = {
    "__stop__": {"reason": "enough"},
    "__down__": {"address": "nobody/1", "reason": "noproc"},
    "__exit__": {"address": "nobody/1", "reason": "noproc"},
}


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after a wait"])
@pytest.mark.parametrize("type", ["once", "thrice", "long"])
@pytest.mark.parametrize("hook", HOW)
def test_a_hook_that_fails_is_put_aside_with_the_arguments_that_it_got(hook, type, waits):
    WAITS[0] = waits
    world = World(Once, Thrice, Long, Boss)
    world.ask("boss/1", "begin", type=type)
    if hook == "__stop__":
        world.ask("boss/1", "end", whom=f"{type}/1", reason="enough")
    else:
        world.ask(f"{type}/1", "watch" if hook == "__down__" else "bind", whom="nobody/1")
    for _ in range(90):
        world.run(1000)
    [(handler, payload)] = letters(world, full(f"{type}/1"))
    assert handler == hook
    assert payload.items() >= HOW[hook].items()
    assert ("ref" in payload) == (hook == "__down__"), "nothing of the message of the system"
