"""A handler that kills its process when it runs again is found, and ends; others go on."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import actor, handler, host
from plexstream.model.errors import CallError
from plexstream.model.journal.journal import DONE, Claim, Control, Mark
from plexstream.model.messages.address import full

DEADLY = set()


class Killed(BaseException):
    pass


@actor(name="step")
class Step:
    @handler()
    async def go(self) -> str:
        if host.self_id() in DEADLY:
            raise KeyboardInterrupt  # stands for what no handler outlives
        await host.sleep(100)
        await host.run("late", str)
        return "done"


@actor(name="waiter")
class Waiter:
    @handler()
    async def asks(self, beside: bool = False) -> str:
        """Beside an effect, it runs again before the answer is there."""
        if beside:
            host.start.run("late", str)
        try:
            value = await host.ask("waiter/other", "answer")
        except CallError as error:
            value = error.code
        return self.goes_on(value)

    @handler()
    async def sleeps(self, beside: bool = False) -> str:
        if beside:
            host.start.run("late", str)
        try:
            await host.sleep(1)
        except CallError as error:
            return self.goes_on(error.code)
        return self.goes_on("slept")

    def goes_on(self, value: str) -> str:
        if "any" in DEADLY or value in DEADLY:
            raise KeyboardInterrupt
        return value

    @handler(read_only=True)
    def answer(self) -> str:
        return "answer"


def crash_on(world, ms):
    """Time passes, and each kill is a crash."""
    for _ in range(30):
        try:
            for _ in range(10):
                world.run(ms)
            break
        except KeyboardInterrupt:
            world.restart()
    else:
        pytest.fail("it kills its process for ever")


@pytest.mark.parametrize("what", ["asks", "sleeps"])
def test_what_a_handler_waits_for_is_put_aside(what):
    """The handler gets an error instead, and goes on with it; not before that is on the log."""
    world = World(Waiter)
    id = world.tell("waiter/1", what, _kind=1)
    while len(world.mailbox) < (3 if what == "asks" else 1) or world.p.position < 1:
        world._step()
    mark = Mark(0, world.now, (), 0, 0, -1, "", False)
    tried = mark._replace(attempt=2) if what == "asks" else mark._replace(timer=f"{full('waiter/1')}#1~0")
    for _ in range(4):
        world.journal.append(Claim("t", "n", world.now, {}))
        world.journal.append(tried._replace(claim=len(world.journal) - 1))
    world.restart()
    for _ in range(3):
        world.run(1000)
    assert world.put_aside() == [("" if what == "asks" else "$wake", "poisoned")]
    noted, done = world.steps(what)[-2:]
    assert [c.number for c in noted.completions] == [0, Control.NOTED]
    assert (done.status, [o.payload for o in done.outs]) == (DONE, [b'"poisoned"'])
    assert world.replies[id] == "poisoned"
    assert world.waiting() == []


@pytest.mark.parametrize("deadly", ["any", "answer", "slept"])
@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("what", ["asks", "sleeps"])
def test_a_handler_that_kills_when_it_goes_on_ends(what, beside, deadly):
    world = World(Waiter)
    world.hold_effects = True
    DEADLY.add(deadly)
    try:
        id = world.tell("waiter/1", what, _kind=1, beside=beside)
        crash_on(world, 200)
    finally:
        DEADLY.clear()
    if deadly in ("any", {"asks": "answer", "sleeps": "slept"}[what]):
        assert world.replies[id] == "poisoned"
    assert world.waiting() == []


@pytest.mark.parametrize("kind", [0, 1])
def test_what_kills_its_process_in_every_reign_is_put_aside(kind):
    world = World(Step)
    world.hold_effects = True
    ids = [world.tell(f"step/{i}", "go", _kind=kind) for i in range(3)]
    world.run()
    world.run(100_000)  # each waits for its effect, which is given again when it runs again
    DEADLY.add("step/1")
    try:
        for _ in range(9):
            world.restart()
            try:
                for _ in range(10):
                    world.run(50)
                break
            except KeyboardInterrupt:
                pass
        else:
            pytest.fail("it kills its process for ever")
    finally:
        DEADLY.clear()
    steps = {a: list(found) for a, found in world.p.invocations.live.items()}
    assert list(steps) == ["default/default/step/0", "default/default/step/2"]
    assert len(world.p.invocations.effects) == 2
    if kind:
        assert world.replies[ids[1]] == "poisoned"
    else:
        dead = [o for r in world.journal for o in getattr(r, "outs", ()) if o.kind == 7]
        assert [(o.target, o.key) for o in dead] == [("default/default/step/1", "poisoned")]
