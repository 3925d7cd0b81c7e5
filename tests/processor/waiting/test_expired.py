"""State that has expired is out of sight until the record that begins anew, and what comes then is seen."""

import pytest
from world import World

from plexstream import Retry, actor, handler, host, run_handler, signal_handler, state, state_map, workflow

FAILS = [0]


@actor(state_ttl=30.0, retry=Retry(attempts=9, interval=4.0, factor=1.0, jitter=0))
class Notes:
    n: int = state(default=0)
    notes: dict = state_map()

    def _note(self, name):
        self.n += 1
        self.notes[name] = self.n

    @handler()
    def old(self):
        self._note("old")

    @handler()
    def plain(self):
        self._note("plain")

    @handler()
    def fails(self):
        FAILS[0] -= 1
        if FAILS[0] >= 0:
            raise RuntimeError("a moment")
        self._note("fails")

    @handler()
    async def waits(self):
        self._note("waits")
        await host.sleep(1)
        self._note("waited")

    @handler()
    async def fails_and_waits(self):
        FAILS[0] -= 1
        if FAILS[0] >= 0:
            raise RuntimeError("a moment")
        await self.waits()

    @handler()
    async def only_an_effect(self):
        await host.run("nothing", str)
        self._note("ran")

    @handler(read_only=True)
    def look(self):
        return {"n": self.n, **self.notes}


SEEN = {
    "plain": ["plain"],
    "fails": ["fails"],
    "waits": ["waits", "waited"],
    "fails_and_waits": ["waits", "waited"],
    "only_an_effect": ["ran"],
}


@pytest.mark.parametrize("crash", [0, 3], ids=["no crash", "crashes"])
@pytest.mark.parametrize(
    "attempts", [0, 1, 3], ids=["no failure", "fails once", "fails until it is in the journal"]
)
@pytest.mark.parametrize("what", SEEN)
def test_who_begins_anew_sees_its_own_state_and_nothing_of_before(what, attempts, crash):
    world = World(Notes)
    FAILS[0] = 0
    world.ask("notes/1", "old")
    world.run(31_000)
    assert world.ask("notes/1", "look") == {"n": 0}, "it has expired, though no record says so yet"
    FAILS[0] = attempts
    world.tell("notes/1", what)
    for second in range(4 * attempts + 4):
        world.run(1000)
        if crash and second % crash == crash - 1:
            world.restart()
    found = {name: i + 1 for i, name in enumerate(SEEN[what])}
    assert world.ask("notes/1", "look") == {"n": len(found), **found}
    world.ask("notes/1", "plain")
    more = {**found, "plain": len(found) + 1}
    assert world.ask("notes/1", "look") == {"n": len(found) + 1, **more}


@workflow(name="flow", retention=30.0, retry=Retry(attempts=9, interval=4.0, factor=1.0, jitter=0))
class Flow:
    notes: dict = state_map()

    @run_handler
    async def run(self, name: str):
        FAILS[0] -= 1
        if FAILS[0] >= 0:
            raise RuntimeError("a moment")
        self.notes[name] = len(self.notes)
        got = await host.promise("go")
        self.notes[got] = len(self.notes)
        return dict(self.notes)

    @signal_handler()
    def go(self, to: str):
        host.promise("go").resolve(to)


@pytest.mark.parametrize("attempts", [0, 1, 3])
def test_a_run_after_the_retention_of_another_has_promises_and_maps_of_its_own(attempts):
    world = World(Flow)
    FAILS[0] = 0
    world.tell("flow/1", "run", name="a")
    world.run()
    world.tell("flow/1", "go", to="b")
    world.run()
    world.run(31_000)
    FAILS[0] = attempts
    world.tell("flow/1", "run", name="c")
    for _ in range(4 * attempts + 1):
        world.run(1000)
    world.tell("flow/1", "go", to="d")
    world.run()
    assert world.ask("flow/1", "run", name="e") == {"c": 0, "d": 1}
