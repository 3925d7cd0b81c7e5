"""Names of handlers that messages are for: what a record could not hold is refused where it is said."""

import pytest
from world import World

from plexstream import actor, handler, host, state

HOW = {
    "tell": lambda name: host.tell("any/other", name),
    "ask": lambda name: host.ask("any/other", name),
    "send_after": lambda name: host.send_after(1, name),
    "send_after to another": lambda name: host.send_after(1, name, to="any/other"),
    "remind": lambda name: host.remind("mine", name, every=1),
    "timer": lambda name: host.timer("mine", name, every=1),
}


@actor(name="any")
class Any:
    heard: list[str] = state(default_factory=list)

    @handler("say")
    def say(self, how: str, name: str) -> None:
        HOW[how](name)

    @handler("*")
    def hear(self) -> None:
        self.heard.append("something")


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return World(Any, crash_every=request.param)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", ["a\0b", "\0", "a\0b\0c", "line\nfeed", "a\u00a0b", "x" * 1000, ""])
def test_a_name_that_cannot_be_printed_is_refused(world, how, name):
    asked = world.start("any/one", "say", how=how, name=name)
    assert world.replies[asked] == "failed"
    assert "printable characters" in world.errors[asked]["detail"]
    world.run(5_000)
    assert not world.field("any/one", "heard")
