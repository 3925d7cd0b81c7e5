"""What is held across waits is in one place of the state, whoever puts it where, whatever others do."""

import json
import sys
from pathlib import Path
from random import Random

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import (
    Reject,
    host,
    query_handler,
    run_handler,
    signal_handler,
    state,
    state_list,
    state_map,
    workflow,
)

PLACES = ("f", "g", "mx", "my", "l0", "l-1")


class Shelf:
    f: dict = state(default_factory=dict)
    g: list = state(default_factory=list)
    m: dict[str, list] = state_map()
    r: list[list] = state_list()

    def at(self, place):
        if place in ("f", "g"):
            return getattr(self, place)
        if place[0] == "m":
            return self.m.get(place[1:])
        return self.r[int(place[1:])] if len(self.r) else None

    def put(self, place, value):
        as_list = value if isinstance(value, list) else [value]
        if place == "f":
            self.f = value if isinstance(value, dict) else {"in": value}
        elif place == "g":
            self.g = as_list
        elif place[0] == "m":
            self.m[place[1:]] = as_list
        elif len(self.r):
            self.r[int(place[1:])] = as_list
        else:
            self.r.append(as_list)

    def shown(self):
        return json.loads(json.dumps([self.f, self.g, dict(self.m), list(self.r)]))


def do(shelf, held, op, number):
    """One operation of a handler that has some objects in hand."""
    what, place, other = op
    one = shelf.at(place)
    if what == "hold":
        held[other] = one
    elif what == "hold inside":
        parts = one.values() if isinstance(one, dict) else one or ()
        held[other] = next((part for part in parts if isinstance(part, list | dict)), None)
    elif what == "change":
        add(one, number)
    elif what == "change held":
        add(held.get(other), number)
    elif what == "new":
        shelf.put(place, [[number]])
    elif what == "put held" and held.get(other) is not None:
        shelf.put(place, held[other])
    elif what in ("copy", "nest", "swap") and one is not None:
        two = shelf.at(other)
        if what == "copy":
            shelf.put(other, one)
        elif two is not None and what == "swap":
            shelf.put(place, two)
            shelf.put(other, one)
        elif two is not None and len(json.dumps([one, two])) < 300 and not is_in(two, one):
            add(two, one)
    elif what == "drop":
        shelf.m.pop(place[1:], None)
    elif what == "shift" and len(shelf.r) > 1:
        del shelf.r[number % len(shelf.r)]
    elif what == "insert":
        shelf.r.insert(number % 2, [number])


def add(one, value):
    if isinstance(one, list):
        one.append(value)
    elif isinstance(one, dict):
        one[str(len(one))] = value


def is_in(one, other):
    parts = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return one is other or any(is_in(other, part) for part in parts) or other in list(parts)


def drawn(random):
    what = random.choice((
        "hold", "hold", "hold inside", "change", "change held", "change held", "new", "put held", "copy",
        "nest", "swap", "drop", "shift", "insert",
    ))  # fmt: skip
    holds = what in ("hold", "hold inside", "change held", "put held")
    return [what, random.choice(PLACES), random.choice("ab" if holds else PLACES)]


@workflow(name="flow")
class Flow(Shelf):
    @run_handler
    async def run(self, script: list):
        held, found = {}, []
        for at, ops in enumerate(script):
            for nth, op in enumerate(ops):
                do(self, held, op, 100 * at + nth)
            found.append(self.shown())
            await host.promise(f"p{at}")
        return found

    @signal_handler()
    def meanwhile(self, ops: list, number: int, fails: bool):
        held = {}
        for nth, op in enumerate(ops):
            do(self, held, op, number + nth)
        if fails:
            raise Reject("as told")

    @query_handler()
    def look(self):
        return self.shown()


def played(seed, crashes):
    """All that anybody has seen of a random run and its signals."""
    random, crash = Random(f"held {seed}"), Random(f"crash {seed} {crashes}")
    script = [[drawn(random) for _ in range(random.randint(1, 4))] for _ in range(random.randint(2, 5))]
    world = World(Flow)
    id = world.start("flow/1", "run", script=script)
    seen = []

    def ask(handler, **arguments):
        if crash.random() < crashes:
            world.restart()
        seen.append(world.ask("flow/1", handler, **arguments))

    for at in range(len(script)):
        for nth in range(random.randint(0, 3)):
            ops, fails = [drawn(random) for _ in range(random.randint(1, 3))], random.random() < 0.35
            ask("meanwhile", ops=ops, number=10_000 + 1000 * at + 10 * nth, fails=fails)
            ask("look")
        ask("$promise", name=f"p{at}", value=True)
        ask("look")
    return seen, world.errors.get(id, world.replies.get(id))


@pytest.mark.parametrize("seeds", [range(n, n + 20) for n in range(0, 80, 20)], ids=str)
def test_what_is_held_does_not_tell_whether_its_run_left_memory(seeds):
    for seed in seeds:
        without = played(seed, 0)
        for crashes in (1, 0.5):
            assert played(seed, crashes) == without, seed


PAIRS = [("mx", "my"), ("mx", "l0"), ("mx", "f"), ("f", "mx"), ("g", "mx"), ("f", "g")]


@workflow(name="twice")
class Twice(Shelf):
    @run_handler
    async def run(self, one: str, other: str):
        both = ["1"]
        self.put(one, both)
        self.put(other, both)
        add(both, "both")
        found = [self.pair(one, other)]
        await host.promise("first")
        found.append(self.pair(one, other))
        add(self.inside(one), "first")
        found.append(self.pair(one, other))
        await host.promise("second")
        add(self.inside(other), "second")
        found.append(self.pair(one, other))
        return found

    @signal_handler()
    def add(self, place: str):
        add(self.inside(place), "signal")

    @query_handler()
    def look(self, one: str, other: str):
        return self.pair(one, other)

    def inside(self, place):
        return self.f["in"] if place == "f" else self.at(place)

    def pair(self, one, other):
        return [list(self.inside(one)), list(self.inside(other))]


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_one_object_put_in_two_places_is_two_behind_a_wait(one, other, crash):
    world = World(Twice)
    id = world.start("twice/1", "run", one=one, other=other)

    def crashes():
        if crash:
            world.restart()

    crashes()
    world.ask("twice/1", "$promise", name="first", value=1)
    crashes()
    world.ask("twice/1", "add", place=one)
    crashes()
    found = world.ask("twice/1", "look", one=one, other=other)
    assert found == [["1", "both", "first", "signal"], ["1", "both"]]
    world.ask("twice/1", "$promise", name="second", value=1)
    assert world.replies[id] == [
        [["1", "both"], ["1", "both"]],
        [["1", "both"], ["1", "both"]],
        [["1", "both", "first"], ["1", "both"]],
        [["1", "both", "first", "signal"], ["1", "both", "second"]],
    ]
    for _ in range(2):
        assert world.ask("twice/1", "look", one=one, other=other) == world.replies[id][-1]
        world.restart()


@workflow(name="spoilt")
class Spoilt(Shelf):
    @run_handler
    async def run(self):
        self.m["x"] = [["kept"]]
        self.g.append(["kept"])
        held = self.m["x"], self.m["x"][0], self.g, self.g[0]
        await host.promise("go")
        for one in held:
            one.append("run")
        await host.promise("end")
        return self.shown()

    @signal_handler()
    def fails(self, how: str):
        if how == "overwrites":
            self.m["x"], self.g = [["never"]], ["never"]
        elif how == "takes out":
            self.m.pop("x")
            self.g.clear()
        elif how == "inside":
            self.m["x"][0] = ["never"]
            self.g[0] = ["never"]
        else:
            self.m["x"], self.g = self.g, self.m["x"]
        raise Reject("as told")

    @query_handler()
    def look(self):
        return self.shown()

    @query_handler()
    def spoils(self):
        self.m["x"], self.g = self.g, ["never"]


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("how", ["overwrites", "takes out", "inside", "swaps", "query"])
def test_a_signal_that_fails_leaves_the_run_what_it_holds(how, crash):
    world = World(Spoilt)
    id = world.start("spoilt/1", "run")
    if how == "query":
        assert world.ask("spoilt/1", "spoils") == "failed"
    else:
        assert world.ask("spoilt/1", "fails", how=how) == "rejected"
    world.ask("spoilt/1", "$promise", name="go", value=1)
    right = [{}, [["kept", "run"], "run"], {"x": [["kept", "run"], "run"]}, []]
    assert world.ask("spoilt/1", "look") == right
    if crash:
        world.restart()
    world.ask("spoilt/1", "$promise", name="end", value=1)
    assert world.replies[id] == right
