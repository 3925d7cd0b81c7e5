"""Any text in any place of ``host``: an error of that call, never a record that the log cannot take."""

import contextlib

import pytest
from world import World

from plexstream import (
    Reject,
    StateMap,
    actor,
    handler,
    host,
    run_handler,
    signal_handler,
    state_map,
    workflow,
)
from plexstream.schema import codec

BAD = "\ud800"
CALLS = {
    "tell handler": lambda: host.tell("a/1", BAD),
    "tell to": lambda: host.tell("a/" + BAD, "x"),
    "tell argument": lambda: host.tell("a/1", "x", {BAD: 1}),
    "emit topic": lambda: host.emit(BAD, 1),
    "emit key": lambda: host.emit("t", 1, key=BAD),
    "send_after handler": lambda: host.send_after(1, BAD),
    "send_after to": lambda: host.send_after(1, "x", to="a/" + BAD),
    "cancel": lambda: host.cancel(BAD),
    "remind name": lambda: host.remind(BAD, "x", every=5),
    "remind handler": lambda: host.remind("r", BAD, every=5),
    "remind cron": lambda: host.remind("r", "x", cron=BAD),
    "remind tz": lambda: host.remind("r", "x", cron="* * * * *", tz=BAD),
    "forget": lambda: host.forget(BAD),
    "timer": lambda: host.timer(BAD, "x", every=5),
    "set": lambda: host.set(BAD, 1),
    "set value": lambda: host.set("k", BAD),
    "get": lambda: host.get(BAD),
    "clear": lambda: host.clear(BAD),
    "spawn": lambda: host.spawn("a/" + BAD),
    "stop": lambda: host.stop("a/" + BAD),
    "stop reason": lambda: host.stop("a/2", BAD),
    "exit": lambda: host.exit("a/2", BAD),
    "link": lambda: host.link("a/" + BAD),
    "monitor": lambda: host.monitor("a/" + BAD),
    "log": lambda: host.info(BAD, **{"x": BAD}),
    "reject": lambda: (_ for _ in ()).throw(Reject(BAD, {BAD: BAD})),
    "raise": lambda: (_ for _ in ()).throw(ValueError(BAD)),
    "resolve_awakeable": lambda: host.resolve_awakeable(BAD, 1),
    "reject_awakeable": lambda: host.reject_awakeable("x", BAD),
    "run": lambda: host.run(BAD, str),
    "ask": lambda: host.ask("a/1", BAD),
    "ask argument": lambda: host.ask("a/1", "x", {BAD: 1}),
    "promise": lambda: host.promise(BAD),
    "promise resolve": lambda: host.promise(BAD).resolve(1),
    "promise reject": lambda: host.promise("p").reject(BAD),
    "promise peek": lambda: host.promise(BAD).peek(),
    "continue_as_new": lambda: host.continue_as_new(what=BAD),
    "version": lambda: host.version(BAD, 1, 2),
    "result": lambda: BAD,
}


@actor(name="a")
class Any_:
    map: StateMap = state_map()

    @handler("do")
    async def do(self, what: str):
        waits = CALLS[what]()
        if hasattr(waits, "__await__"):
            return await waits
        return waits

    @handler("x")
    def x(self):
        pass


@workflow(name="w")
class Flow:
    @run_handler
    async def run(self, what: str):
        waits = CALLS[what]()
        if hasattr(waits, "__await__"):
            return await waits
        return waits

    @signal_handler("s")
    def s(self):
        pass


@pytest.mark.parametrize("kind", ["a", "w"])
@pytest.mark.parametrize("what", CALLS)
def test_halves_of_surrogate_pairs(what, kind):
    world = World(Any_, Flow)
    with contextlib.suppress(KeyError):  # it waits
        world.ask(f"{kind}/1", "do" if kind == "a" else "run", what=what)
    for record in world.journal:
        codec.encode_journal(record)
    world.restart()
    world.ask("a/2", "x")
