"""A handler that kills its process when it runs again is found, and ends; others go on."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import actor, handler, host

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
