"""A process ends when no more is on the log than that a run began; others go on before it runs again."""

import pytest
from world import World

from plexstream import (
    host,
    query_handler,
    run_handler,
    signal_handler,
    state,
    state_list,
    state_map,
    workflow,
)
from plexstream.model.journal.journal import Step


@workflow
class Rounds:
    n: int = state(default=0)
    items: list = state_list()
    notes: dict = state_map()

    @run_handler
    async def run(self, round: int = 0):
        self.n += 1
        self.items.append(f"run {round}")
        self.notes["last"] = f"run {round}"
        if round == 0:
            host.continue_as_new(round=1)
        await host.promise("end")
        return self.n

    @signal_handler()
    def add(self, x: int):
        self.n += x
        self.items.append(x)
        self.notes[f"{x}"] = self.n

    @query_handler()
    def look(self):
        return [self.n, list(self.items), dict(self.notes)]


def lone_beginning(*classes):
    """A partition whose journal ends with the record that a run has begun."""
    world = World(*classes)
    world.ask("rounds/1", "add", x=1)  # some state
    world.tell("rounds/1", "run")
    world.run()
    at = next(i for i, r in enumerate(world.journal) if type(r) is Step)
    assert not world.journal[at].commands, "else it is not alone"
    assert len(world.journal) > at + 1
    del world.journal[at + 1 :]
    world.restart()
    return world


def comes_first(world, handler, **arguments):
    """A message that is handled before anything runs again."""
    world.tell("rounds/1", handler, **arguments)
    at = world.p.position
    world.p.receive(list(enumerate(world.mailbox))[at:], world.now)


@pytest.mark.parametrize("signals", [0, 1, 3])
@pytest.mark.parametrize("crash", [False, True], ids=["", "crash"])
def test_what_signals_change_before_it_runs_again_stays(signals, crash):
    world = lone_beginning(Rounds)
    added = [10 * (i + 1) for i in range(signals)]
    for x in added:
        comes_first(world, "add", x=x)
    world.run()
    if crash:
        world.restart()
        world.run()
    n, items, notes = world.ask("rounds/1", "look")
    assert n == 1 + sum(added) + 2
    assert items == [1, *added, "run 0", "run 1"]
    assert notes.keys() == {"1", *map(str, added), "last"}
    world.ask("rounds/1", "$promise", name="end", value=1)
    assert world.ask("rounds/1", "run") == n
    world.restart()
    assert world.ask("rounds/1", "look")[0] == n
