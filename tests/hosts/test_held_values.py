"""What a handler holds of its state across a wait is its state: nothing is appended to what is stale."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import (
    actor,
    handler,
    host,
    query_handler,
    run_handler,
    signal_handler,
    state,
    state_list,
    state_map,
    workflow,
)


@dataclass
class Order:
    lines: list[str] = field(default_factory=list)


class Held:
    """Handlers that change what they have read before a wait."""

    items: list = state(default_factory=list)
    sizes: dict = state(default_factory=dict)
    names: set[str] = state(default_factory=set)
    order: Order = state(default_factory=Order)
    deep: dict = state(default_factory=dict)
    notes: dict[str, list] = state_map()

    async def changes(self):
        items, sizes, names, lines = self.items, self.sizes, self.names, self.order.lines
        self.deep = {"a": {"b": [0]}}
        self.notes["n"] = ["new"]
        for round in range(3):
            items.append(f"item {round}")
            sizes[f"{round}"] = round
            names.add(f"name {round}")
            lines.append(f"line {round}")
            await host.sleep(1)
            if round == 0:
                inner, note = self.deep["a"]["b"], self.notes["n"]
            inner.append(round)
            note.append(round)
        assert items is self.items
        assert note == self.notes["n"]
        return self.shown()

    def shown(self):
        return {
            "items": self.items,
            "sizes": self.sizes,
            "names": sorted(self.names),
            "lines": self.order.lines,
            "deep": self.deep,
            "notes": dict(self.notes),
        }


@workflow(name="flow")
class Flow(Held):
    @run_handler
    async def run(self):
        return await self.changes()

    @query_handler()
    def look(self):
        return self.shown()


@actor(name="object")
class Object(Held):
    @handler()
    async def run(self):
        return await self.changes()

    @handler(read_only=True)
    def look(self):
        return self.shown()


ALL = {
    "items": ["item 0", "item 1", "item 2"],
    "sizes": {"0": 0, "1": 1, "2": 2},
    "names": ["name 0", "name 1", "name 2"],
    "lines": ["line 0", "line 1", "line 2"],
    "deep": {"a": {"b": [0, 0, 1, 2]}},
    "notes": {"n": ["new", 0, 1, 2]},
}


@pytest.mark.parametrize("crash", [0, 1, 2])
@pytest.mark.parametrize("type", ["flow", "object"])
def test_what_is_held_is_what_the_state_has(type, crash):
    world = World(Flow, Object)
    id = world.start(f"{type}/1", "run")
    for second in range(3):
        if crash and second % crash == 0:
            world.restart()
        world.run(1000)
    assert world.replies[id] == ALL
    assert world.ask(f"{type}/1", "look") == ALL
    world.restart()
    assert world.ask(f"{type}/1", "look") == ALL


@workflow(name="shared")
class Shared:
    items: list = state(default_factory=list)
    sizes: dict = state(default_factory=dict)
    notes: dict[str, list] = state_map()

    @run_handler
    async def run(self):
        items, sizes = self.items, self.sizes
        self.notes["n"] = []
        note = self.notes["n"]
        await host.promise("go")
        items.append("run")
        sizes["run"] = 1
        note.append("run")
        await host.promise("end")
        items.append("end")
        note.append("end")
        return len(items)

    @signal_handler()
    def add(self, x: str):
        self.items.append(x)
        self.sizes[x] = 1
        self.notes["n"].append(x)

    @signal_handler()
    def fails(self):
        self.items.append("never")
        self.sizes.clear()
        self.notes["n"].append("never")
        raise ValueError("on purpose")

    @query_handler()
    def look(self):
        return [self.items, sorted(self.sizes), dict(self.notes)]


@pytest.mark.parametrize("crash", [False, True])
def test_what_signals_add_meanwhile_is_in_it(crash):
    world = World(Shared)
    id = world.start("shared/1", "run")
    for x in ("a", "b"):
        world.ask("shared/1", "add", x=x)
        world.ask("shared/1", "fails")
        if crash:
            world.restart()
    world.ask("shared/1", "$promise", name="go", value=1)
    world.ask("shared/1", "add", x="c")
    if crash:
        world.restart()
    assert world.ask("shared/1", "look") == [
        ["a", "b", "run", "c"], ["a", "b", "c", "run"], {"n": ["a", "b", "run", "c"]},
    ]  # fmt: skip
    world.ask("shared/1", "$promise", name="end", value=1)
    assert world.replies[id] == 5
    found = world.ask("shared/1", "look")
    world.restart()
    assert world.ask("shared/1", "look") == found
    assert found[0] == found[2]["n"] == ["a", "b", "run", "c", "end"]


@workflow(name="assigns")
class Assigns:
    items: list = state(default_factory=list)

    @run_handler
    async def run(self, changes: bool = True):
        mine = ["a"]
        self.items = mine
        await host.sleep(1)
        if changes:
            mine.append("b")
        await host.sleep(1)
        return self.items


@pytest.mark.parametrize("crash", [False, True])
def test_who_changes_what_the_state_has_a_copy_of_hears_of_it(crash):
    world = World(Assigns)
    id = world.start("assigns/1", "run")
    if crash:
        world.restart()
    world.run(1000)
    world.run(1000)
    assert world.replies[id] == "failed"
    assert "assigns.items was assigned a value" in world.errors[id]["detail"]
    id = world.start("assigns/2", "run", changes=False)
    world.run(1000)
    world.run(1000)
    assert world.replies[id] == ["a"]


DEFAULTS = ["default"]


@workflow(name="defaults")
class Defaults:
    items: list = state(default_factory=list)

    @run_handler
    async def run(self):
        self.items = DEFAULTS
        await host.promise("end")

    @signal_handler()
    def add(self):
        self.items.append("more")
        return self.items


def test_a_constant_that_is_assigned_stays_one():
    world = World(Defaults)
    for n in range(2):
        world.start(f"defaults/{n}", "run")
        assert world.ask(f"defaults/{n}", "add") == ["default", "more"]
    assert DEFAULTS == ["default"]


@workflow(name="drops")
class Drops:
    notes: dict[str, list] = state_map()
    items: list[list] = state_list()

    @run_handler
    async def run(self):
        self.notes["kept"] = [1]
        self.notes["n"] = [1]
        self.items.append([1])
        await host.sleep(1)
        note, item = self.notes.pop("n"), self.items.pop()
        await host.sleep(1)
        note.append(2)
        item.append(2)
        await host.sleep(1)
        return [dict(self.notes), list(self.items)]


@pytest.mark.parametrize("crash", [False, True])
def test_what_was_taken_out_is_nobodys(crash):
    world = World(Drops)
    id = world.start("drops/1", "run")
    for _ in range(3):
        world.run(1000)
        if crash:
            world.restart()
    assert world.replies[id] == [{"kept": [1]}, []]
