"""A handler restarted from where it looks at a promise, or gives one: it goes on with the state of then."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import (
    Reject,
    actor,
    handler,
    host,
    query_handler,
    run_handler,
    signal_handler,
    state,
    state_list,
    workflow,
)
from plexstream.model.errors import AlreadyDone


def finds(how):
    """What it comes to here, which is something else once the promise has been given."""
    if how == "peeks":
        return str(host.promise("p").peek())
    if how == "time":
        return str(host.now())
    try:
        host.promise("p").resolve("mine")
    except AlreadyDone:
        return "late"
    return "mine"


class Looks:
    items: list[str] = state_list()
    n: int = state(default=0)

    async def goes(self, how: str, ends: str = ""):
        self.items.append("before")
        host.tell("note/1", "note", what="before")
        await host.sleep(1)
        self.n += 1
        asleep = host.start.sleep(1) if how == "time" else None
        self.items.append(finds(how))
        if asleep is not None:
            await asleep
        host.tell("note/1", "note", what="behind")
        if ends and self.items[-1] not in ("None", "mine"):
            if ends == "refuses":
                raise Reject("as told")
            if ends == "goes on as new":
                host.continue_as_new(how="", ends="")
            return list(self.items)
        self.n += 10
        await host.promise("q")
        self.items.append("end")
        return list(self.items)


@workflow(name="flow")
class Flow(Looks):
    @run_handler
    async def run(self, how: str, ends: str = ""):
        return await self.goes(how, ends) if how else list(self.items)

    @signal_handler()
    def add(self):
        self.items.append("meanwhile")

    @query_handler()
    def look(self):
        return [list(self.items), self.n]


@actor(name="object")
class Object(Looks):
    @handler()
    async def run(self, how: str, ends: str = ""):
        return await self.goes(how, ends)

    @handler(read_only=True)
    def look(self):
        return [list(self.items), self.n]


@actor(name="beside")
class Beside:
    @handler(shared=True)
    async def run(self, how: str, ends: str):
        await host.sleep(1)
        found = finds(how)
        host.tell("note/1", "note", what="behind")
        if found not in ("None", "mine"):
            if ends == "refuses":
                raise Reject("as told")
            return found
        await host.promise("q")
        return "never"


@actor(name="note")
class Note:
    told: list[str] = state(default_factory=list)

    @handler()
    def note(self, what: str):
        self.told.append(what)

    @handler(read_only=True)
    def look(self):
        return self.told


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(
    ("how", "first", "then"), [("peeks", "None", "7"), ("resolves", "mine", "late"), ("time", "1001000", "")]
)
def test_what_it_does_then_is_on_the_state_of_then(how, first, then, crash):
    world = World(Flow, Note)
    id = world.start("flow/1", "run", how=how)
    world.run(1000)
    world.run(1000)
    found = ["before", first]
    assert world.ask("flow/1", "look") == [found, 11]
    world.ask("flow/1", "$pause")
    world.ask("flow/1", "add")
    if how != "resolves":
        world.ask("flow/1", "$promise", name="p", value=7)
    then = then or str(world.now)
    world.ask("flow/1", "$restart", **{"from": 1})
    world.run(1000)
    found += ["meanwhile", then]  # collections keep what was undone
    for _ in range(2):
        assert world.ask("flow/1", "look") == [found, 11]
        if crash:
            world.restart()
            world.run()
        world.ask("flow/1", "add")
        found.append("meanwhile")
    world.ask("flow/1", "$promise", name="q", value=1)
    found.append("end")
    assert world.replies[id] == found
    for _ in range(2):
        assert world.ask("flow/1", "look") == [found, 11]
        assert world.ask("note/1", "look") == ["before", "behind", "behind"], "those were told already"
        world.restart()


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("how", ["peeks", "resolves"])
@pytest.mark.parametrize(
    ("type", "ends"),
    [
        ("flow", "goes on as new"),
        *((type, ends) for type in ("flow", "object", "beside") for ends in ("returns", "refuses")),
    ],
)
def test_it_ends_there(type, how, ends, crash):
    world = World(Flow, Object, Beside, Note)
    it = f"{type}/1"
    id = world.start(it, "run", how=how, ends=ends)
    world.run(1000)
    assert id not in world.replies
    world.ask(it, "$pause")
    if how == "peeks" or type == "object":  # which nobody has seen resolve it
        world.ask(it, "$promise", name="p", value=7)
    world.ask(it, "$restart", **{"from": 1})
    if crash:
        world.restart()
    world.run(1000)
    assert world.waiting() == []
    found = "late" if how == "resolves" else "7"
    if ends == "refuses":
        assert world.replies[id] == "rejected"
    elif type == "beside":
        assert world.replies[id] == found
    else:
        assert world.replies[id][-1] == found
    told = world.ask("note/1", "look")
    assert told.count("before") == (type != "beside")
    assert told.count("behind") == 1 + (ends != "refuses"), "what was undone had left already"
    if type == "flow" and ends != "refuses":
        assert world.ask(it, "look") == [world.replies[id], 1], "the fields are those of that step"
    for _ in range(2):
        world.restart()
        if type == "flow" and ends != "refuses":
            assert world.ask(it, "look") == [world.replies[id], 1]
        assert world.ask("note/1", "look") == told


@workflow(name="several")
class Several:
    items: list[str] = state_list()
    n: int = state(default=0)

    @run_handler
    async def run(self, first: bool):
        if not first:
            return [list(self.items), self.n]
        self.items.append("a")
        one, other = host.start.sleep(1), host.start.sleep(2)
        await one
        host.tell("note/1", "note", what="one")
        self.items.append("b")
        self.n += 1
        await other
        self.items.append("c")
        host.tell("note/1", "note", what="other")
        return host.continue_as_new(first=False)

    @query_handler()
    def look(self):
        return [list(self.items), self.n]


@pytest.mark.parametrize("paused", [False, True])
def test_a_run_that_goes_on_with_several_answers_at_once_and_as_new_loses_nothing(paused):
    world = World(Several, Note)
    id = world.start("several/1", "run", first=True)
    if paused:
        world.ask("several/1", "$pause")
    world.run(1000)
    world.run(1000)
    if paused:
        world.ask("several/1", "$resume")
    world.run(1000)
    assert world.replies[id] == [["a", "b", "c"], 1]
    for _ in range(2):
        assert world.ask("several/1", "look") == [["a", "b", "c"], 1]
        assert world.ask("note/1", "look") == ["one", "other"]
        world.restart()


class Refuses:
    items: list[str] = state_list()
    n: int = state(default=0)

    async def goes(self):
        one, other = host.start.sleep(1), host.start.sleep(2)
        await one
        host.tell("note/1", "note", what="one")
        self.items.append("one")
        self.n += 1
        await other
        host.tell("note/1", "note", what="never")
        self.n += 10
        raise Reject("as told")


@workflow(name="refusing")
class Refusing(Refuses):
    @run_handler
    async def run(self):
        await self.goes()

    @query_handler()
    def look(self):
        return [list(self.items), self.n]


@actor(name="refuser")
class Refuser(Refuses):
    @handler()
    async def run(self):
        await self.goes()

    @handler(read_only=True)
    def look(self):
        return [list(self.items), self.n]


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize(("type", "right"), [("refusing", [["one"], 1]), ("refuser", [[], 0])])
def test_who_fails_with_several_answers_at_once_has_sent_what_came_before(type, right, paused):
    world = World(Refusing, Refuser, Note)
    id = world.start(f"{type}/1", "run")
    if paused:
        world.ask(f"{type}/1", "$pause")
    world.run(1000)
    world.run(1000)
    if paused:
        world.ask(f"{type}/1", "$resume")
    world.run(1000)
    assert world.replies[id] == "rejected"
    for _ in range(2):
        assert world.ask(f"{type}/1", "look") == right
        assert world.ask("note/1", "look") == ["one"]
        world.restart()
