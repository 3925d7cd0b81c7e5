"""Ranges of maps in handlers: typed keys, waits in between, crashes, undone turns, code that has changed."""

import copy
import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parent.parent / "inspection"))

from test_again import again
from world import World

from plexstream import StateMap, actor, handler, host, run_handler, signal_handler, state, state_map, workflow
from plexstream.cli.views.journal_text import text_of


@actor(name="queue")
class Queue:
    jobs: StateMap[tuple[int, str], list] = state_map()
    by_score = state_map(float, str)
    ids = state_map(int, int)

    @handler
    def put(self, priority: int, name: str, score: float = 0.0):
        self.jobs[priority, name] = [name]
        self.by_score[score] = name
        self.ids[priority] = len(name)

    @handler
    def take(self):
        found = self.jobs.first()
        if found is None:
            return None
        del self.jobs[found[0]]
        return found

    @handler
    def drain(self, priority: int, fails: bool = False):
        taken = []
        for key, (name,) in self.jobs.prefix((priority,)):
            del self.jobs[key]
            taken.append(name)
        if fails:
            raise ValueError("it comes to nothing")
        return taken

    @handler
    def tag(self):
        for _, job in self.jobs.range(limit=2):
            job.append("tagged")

    @handler
    def wrong(self, key: str):
        return self.ids[key]

    @handler(read_only=True)
    def look(self, n: int = 2):
        return [list(self.jobs.range(limit=n)), list(self.jobs.range(limit=n, reverse=True)), len(self.jobs)]

    @handler(read_only=True)
    def best(self, least: float):
        return [name for _, name in self.by_score.range(least, reverse=True, limit=3)]


ROWS = [(2, "c"), (-1, "z"), (10, "a"), (2, "b"), (-20, "x")]


@pytest.mark.parametrize("crash_every", [0, 1, 2])
def test_a_queue_by_priority(crash_every):
    world = World(Queue, crash_every=crash_every)
    for priority, name in ROWS:
        world.ask("queue/1", "put", priority=priority, name=name, score=priority / 4)
    rows = [[[p, name], [name]] for p, name in sorted(ROWS)]
    assert world.ask("queue/1", "look") == [rows[:2], rows[:2:-1], 5]
    assert world.ask("queue/1", "best", least=0.5) == ["a", "b"], "of two with a score the last stays"
    assert world.ask("queue/1", "drain", priority=2, fails=True) == "failed"
    assert world.ask("queue/1", "look", n=9)[0] == rows
    assert world.ask("queue/1", "drain", priority=2) == ["b", "c"]
    world.ask("queue/1", "tag")
    taken = [world.ask("queue/1", "take") for _ in range(4)]
    assert taken == [[[-20, "x"], ["x", "tagged"]], [[-1, "z"], ["z", "tagged"]], [[10, "a"], ["a"]], None]
    assert world.ask("queue/1", "look") == [[], [], 0]


def test_methods_work_without_a_host():
    queue = Queue()
    for priority, name in ROWS:
        queue.put(priority, name, priority / 4)
    assert queue.drain(2) == ["b", "c"]
    least, most, count = queue.look(1)
    assert (least, most, count) == ([((-20, "x"), ["x"])], [((10, "a"), ["a"])], 3)
    queue.tag()
    assert queue.jobs == {(-20, "x"): ["x", "tagged"], (-1, "z"): ["z", "tagged"], (10, "a"): ["a"]}
    assert queue.take() == ((-20, "x"), ["x", "tagged"])
    assert queue.ids.count(0) == 2
    assert queue.best(0.5) == ["a", "b"]
    copied = copy.deepcopy(queue)
    del copied.jobs[-1, "z"]
    assert (copied.jobs.last(), queue.jobs.count()) == (((10, "a"), ["a"]), 2)
    queue.ids["a"] = 1
    with pytest.raises(TypeError, match=r"queue\.ids has int keys, not 'a'"):
        queue.ids.first()


def test_loops_have_the_same_order_without_a_host():
    """Or a unit test says what no installation does."""
    bare = Queue().ids
    bare.update({10: 1, -3: 2, 2: 3})
    rows = [(-3, 2), (2, 3), (10, 1)]
    assert [*bare] == [*bare.keys()] == [*dict(bare)] == [key for key, _ in rows]
    assert [*bare.items()] == rows
    assert [*bare.values()] == [2, 3, 1]
    assert repr(copy.deepcopy(bare)) == repr(bare) == "{-3: 2, 2: 3, 10: 1}"
    assert (-3, 2) in bare.items()
    assert bare.popitem() == (-3, 2)
    for key in bare:
        del bare[key]
    with pytest.raises(KeyError, match=r"queue\.ids is empty"):
        bare.popitem()


@pytest.mark.parametrize("value", [None, Queue, [], 1.5], ids=str)
def test_values_are_themselves_without_a_host(value):
    bare = Queue().ids
    bare[1] = value
    assert bare.first() == bare.last() == (1, value)
    ((_, found),) = bare.range()
    assert found is value


def test_a_wrong_key_names_the_map():
    world = World(Queue)
    id = world.start("queue/1", "wrong", key="a")
    assert "queue.ids has int keys, not 'a' (str)" in json.dumps(world.errors[id])


def variant(**new):
    told = {"limit": 2, "start": 0, "last": 1, "end": None, **new}

    @actor(name="desk")
    class Desk:
        rows: dict[int, str] = state_map()
        n: int = state(default=0)

        @handler
        def put(self, key: int, value: str | None):
            self.rows.pop(key, None)
            if value is not None:
                self.rows[key] = value

        @handler(shared=True)
        async def looks(self, after: float):
            found = [list(self.rows.range(told["start"], told["end"], limit=told["limit"]))]
            await host.sleep(after)
            found.append(list(self.rows.range(reverse=True, limit=told["last"])))
            await host.sleep(after)
            return found

        @handler(shared=True)
        async def walks(self, after: float):
            seen = []
            for key, value in self.rows.range():
                seen.append([key, value])
                await host.sleep(after)
            return seen

        @handler
        async def holds(self, after: float):
            seen = []
            for key, value in self.rows.range():
                self.rows[key + 100] = "more" if key < 100 else "most"
                del self.rows[key]
                seen.append([key, value])
                await host.sleep(after)
                if len(seen) == 5:
                    break
            return seen, list(self.rows.range())

    @workflow(name="flow")
    class Flow:
        rows: dict[int, str] = state_map()

        @run_handler
        async def run(self):
            self.rows[1], self.rows[5] = "a", "b"
            seen = []
            for key, value in self.rows.range():
                seen.append([key, value])
                await host.promise(f"p{len(seen)}")
            return seen

        @signal_handler
        def put(self, key: int, value: str):
            self.rows[key] = value

        @signal_handler
        def goes(self, n: int):
            host.promise(f"p{n}").resolve(n)

    return Desk, Flow


def filled(crash_every=0):
    world = World(*variant(), crash_every=crash_every)
    for key in (-5, 1, 2, 3, 40):
        world.ask("desk/1", "put", key=key, value=f"v{key}")
    return world


@pytest.mark.parametrize("crash_every", [0, 1, 2, 3])
def test_what_a_range_saw_is_seen_again(crash_every):
    world = filled(crash_every)
    id = world.start("desk/1", "looks", after=5)
    for key, value in ((1, "new"), (0, "first"), (50, "last")):
        world.ask("desk/1", "put", key=key, value=value)
    world.run(5_000)
    world.ask("desk/1", "put", key=60, value="later")
    world.run(5_000)
    assert world.replies[id] == [[[1, "v1"], [2, "v2"]], [[50, "last"]]]
    told = "\n".join(text_of(step) for step in world.steps("looks"))
    assert "rows from 0 to behind 2" in told
    assert "rows[2]" in told
    assert "rows[3]" not in told, "what was not taken is not recorded"


@pytest.mark.parametrize("crash_every", [0, 1, 2, 3])
def test_a_range_goes_on_with_the_state_after_the_wait(crash_every):
    world = filled(crash_every)
    id = world.start("desk/1", "walks", after=1)
    for key, value in ((2, None), (-9, "behind"), (1, "changed"), (30, "new")):
        world.ask("desk/1", "put", key=key, value=value)
    for _ in range(9):
        world.run(1_000)
    assert world.replies[id] == [[-5, "v-5"], [1, "changed"], [3, "v3"], [30, "new"], [40, "v40"]]


@pytest.mark.parametrize("crash_every", [0, 1, 2, 3])
def test_one_that_changes_what_it_walks_over(crash_every):
    world = filled(crash_every)
    id = world.start("desk/1", "holds", after=1)
    for _ in range(9):
        world.run(1_000)
    seen, left = world.replies[id]
    assert seen == [[-5, "v-5"], [1, "v1"], [2, "v2"], [3, "v3"], [40, "v40"]]
    assert left == [[95, "more"], [101, "more"], [102, "more"], [103, "more"], [140, "more"]]


@pytest.mark.parametrize("crash_every", [0, 1, 2, 3])
def test_a_run_sees_what_signals_put_in_front_of_it(crash_every):
    world = World(*variant(), crash_every=crash_every)
    id = world.start("flow/1", "run")
    world.ask("flow/1", "put", key=3, value="between")
    world.ask("flow/1", "put", key=0, value="behind")
    for n in (1, 2, 3):
        world.ask("flow/1", "goes", n=n)
    assert world.replies[id] == [[1, "a"], [3, "between"], [5, "b"]]


@pytest.mark.parametrize("crash_every", [0, 1])
@pytest.mark.parametrize(
    ("new", "told"),
    [
        ({}, None),
        ({"limit": 1}, "[[[1,"),  # the result is another
        ({"start": 1}, None),
        ({"end": 3}, None),
        ({"limit": 3}, "it now reads rows from behind 2 on"),
        ({"start": -9}, "it now reads rows from -9 on"),
        ({"last": 2}, "it now reads rows before 50"),
    ],
)
def test_code_that_reads_more_is_told(new, told, crash_every):
    world = filled(crash_every)
    world.start("desk/1", "looks", after=5)
    world.ask("desk/1", "put", key=50, value="last")
    world.run(5_000)
    world.run(5_000)
    report = again(world, *variant(**new))
    if told is not None:
        assert report.first is not None
        assert told in "; ".join(report.first.what)
    else:
        assert report.first is None, report.first


def test_discarding_works_without_a_host():
    from plexstream.sdk.running.collections.bare import BareMap
    from plexstream.sdk.running.collections.keys import Keys

    bare = BareMap(Keys("a map", int))
    bare[1] = "x"
    bare.discard(1)
    bare.discard(2)
    assert not bare
