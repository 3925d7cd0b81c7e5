"""Handlers that wait beside others of their actor: what they see, and what they may do, after any crash."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import (
    Retry,
    actor,
    handler,
    host,
    init_handler,
    run_handler,
    signal_handler,
    state,
    state_list,
    state_map,
    workflow,
)
from plexstream.processor.mailbox.later.queues import Queues
from plexstream.processor.waiting import limits
from plexstream.processor.waiting.invocation.machine import State


@actor(name="desk", retry=Retry(attempts=5, interval=0.1, factor=1, jitter=0))
class Desk:
    n: int = state(default=0)
    tags: list[str] = state(default_factory=list)
    rows: dict[str, int] = state_map()
    log: list[str] = state_list()

    @handler()
    async def enter(self, who: str):
        self.n += 1
        got = await host.promise("open")
        return [who, got, self.n]

    @handler(shared=True)
    async def opens(self, after: float, value: int):
        seen = self._look()
        await host.sleep(after)
        host.promise("open").resolve(value)
        return [seen, self._look()]

    @handler(shared=True)
    def opens_plainly(self, after: float, value: int):
        seen = self._look()
        host.sleep(after)
        host.promise("open").resolve(value)
        return [seen, self._look()]

    @handler(shared=True)
    async def looks(self, times: int):
        found = []
        for _i in range(times):
            found.append([self._look(), self.rows.get("none"), await host.ask("other/1", "count", by=1)])
            host.emit("seen", len(self.rows))
        return [found, self._look()]

    @handler(shared=True)
    async def settles_then_waits(self, name: str):
        host.promise(name).resolve(1)
        await host.sleep(60)
        return host.promise(name).peek()

    @handler(shared=True)
    async def writes_before(self):
        self.n += 100
        await host.sleep(1)

    @handler(shared=True)
    async def writes_after(self, what: str):
        await host.sleep(1)
        if what == "field":
            self.n += 100
        elif what == "inside":
            self.tags.append("x")
        elif what == "map":
            self.rows["x"] = 1
        else:
            self.log.append("x")

    @handler(shared=True)
    async def awaits(self, name: str):
        got = await host.promise(name)
        return [got, self.n]

    @handler(shared=True)
    async def fails(self, times: int):
        n = self.n
        await host.sleep(1)
        if fails(times):
            raise RuntimeError("again")
        host.promise("open").resolve(n)

    @handler(shared=True)
    async def peeks(self, name: str):
        await host.sleep(1)
        known = host.promise(name).peek()
        row = self.rows.get(str(known))
        await host.sleep(60)
        return [known, row]

    @handler(shared=True)
    async def runs(self):
        before = self.n
        await host.run("something", list)
        after = self.n
        await host.sleep(60)
        return [before, after, self.n]

    @handler(shared=True)
    async def takes_long(self):
        await host.sleep(3600)

    @handler()
    def add(self, n: int = 10):
        self.n += n
        self.tags.append(f"t{self.n}")
        self.rows[f"r{self.n}"] = self.n
        self.log.append(f"l{self.n}")
        return self.n

    @handler()
    def fails_first(self, times: int):
        if fails(times):
            raise RuntimeError("again")

    def _look(self):
        return [self.n, len(self.tags), dict(self.rows), list(self.log)]


failed = []


def fails(times):
    failed.append(1)
    return len(failed) <= times


@actor(name="brief", state_ttl=10, max_active=1)
class Brief:
    n: int = state(default=0)
    rows: dict[str, int] = state_map()

    @handler()
    def add(self):
        self.n += 1
        self.rows[str(self.n)] = self.n
        return self.n

    @handler(shared=True)
    async def waits(self, seconds: float):
        before = [self.n, len(self.rows)]
        await host.sleep(seconds)
        return [before, [self.n, len(self.rows)]]


@actor(name="store")
class Store:
    rows: dict[str, str] = state_map()

    @handler()
    def put(self, key: str, size: int):
        self.rows[key] = "x" * size

    @handler(shared=True)
    async def loops(self, waits: bool):
        size = sum(map(len, self.rows.values()))
        if waits:
            await host.sleep(1)
        return size


@pytest.fixture(autouse=True)
def _clean():
    failed.clear()


@actor(name="other")
class Other:
    n: int = state(default=0)

    @handler()
    def count(self, by: int):
        self.n += by
        return self.n


@actor(name="made")
class Made:
    n: int = state(default=0)

    @init_handler
    def init(self):
        self.n = 7

    @handler(shared=True)
    async def waits(self):
        n = self.n
        await host.sleep(1)
        return [n, self.n]

    @handler(shared=True)
    def does_not(self):
        return self.n

    @handler()
    async def enter(self):
        self.n += 1
        await host.promise("open")
        return self.n

    @handler()
    def add(self):
        self.n += 1
        return self.n


@workflow(name="flow")
class Flow:
    status: str = state(default="new")
    seen: list[str] = state_list()

    @run_handler
    async def run(self):
        self.status = "waits"
        got = await host.promise("go")
        self.status = "went"
        again = await host.promise("again")
        return [got, again, list(self.seen)]

    @signal_handler()
    async def later(self, after: float, name: str = "go"):
        before = self.status
        await host.sleep(after)
        host.promise(name).resolve(name)
        await host.sleep(0.1)
        return [before, self.status]

    @signal_handler()
    async def perhaps(self, after: float):
        if after:
            await host.sleep(after)
        self.seen.append("perhaps")
        self.status = "perhaps"
        return self.status

    @signal_handler()
    def note(self, what: str):
        self.seen.append(what)
        return len(self.seen)


# Going on


@pytest.mark.parametrize("crash_every", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("opens", ["opens", "opens_plainly"])
def test_it_waits_and_resolves_a_promise_of_its_actor(opens, crash_every):
    world = World(Desk, Other, crash_every=crash_every)
    id = world.start("desk/1", "enter", who="me")
    other = world.start("desk/1", opens, after=60, value=5)
    assert id not in world.replies
    assert other not in world.replies
    world.run(61_000)
    assert world.replies[id] == ["me", 5, 1]
    assert world.replies[other] == [[0, 0, {}, []], [0, 0, {}, []]], "what another has not ended is not seen"
    assert world.field("desk/1", "n") == 1
    assert world.waiting() == []


@pytest.mark.parametrize("crash_every", [0, 1, 2, 3, 4])
def test_several_run_beside_each_other_and_beside_exclusive_ones(crash_every):
    world = World(Desk, Other, crash_every=crash_every)
    first = world.start("desk/1", "opens", after=10, value=1)
    second = world.start("desk/1", "awaits", name="open")
    third = world.start("desk/1", "takes_long")
    assert world.ask("desk/1", "add") == 10, "nobody waits for them"
    world.run(11_000)
    seen, now = world.replies[first]
    assert seen == [0, 0, {}, []]
    assert now == [10, 1, {"r10": 10}, ["l10"]]
    assert world.replies[second] == [1, 10]
    assert third not in world.replies
    assert [h for h, _ in world.waiting()] == ["takes_long"]
    world.run(3_600_000)
    assert world.replies[third] is None


@pytest.mark.parametrize("crash_every", [0, 1, 2, 3, 4, 5, 7])
def test_each_stretch_sees_the_state_of_then_whenever_it_runs_again(crash_every):
    world = World(Desk, Other, crash_every=crash_every)
    id = world.tell("desk/1", "looks", _kind=1, times=4)
    for _ in range(200):
        before = len(world.mailbox)
        world._step()
        if world.p.position >= before and id not in world.replies and len(world.mailbox) < 60:
            world.tell("desk/1", "add", n=1)
    world.run()
    found, last = world.replies[id]
    assert [count for _, _, count in found] == [1, 2, 3, 4], "each is asked once"
    for n, tags, rows, log in [*(look for look, _, _ in found), last]:
        assert rows == {f"r{i}": i for i in range(1, n + 1)}, "all of it is of one time"
        assert (tags, log) == (n, [f"l{i}" for i in range(1, n + 1)])
    assert last[0] > found[0][0][0], "and it goes on with the actor"


def test_what_it_saw_stands_in_the_journal_and_is_what_it_sees_again():
    world = World(Desk, Other)
    world.ask("desk/1", "add")
    id = world.start("desk/1", "opens", after=60, value=5)
    world.ask("desk/1", "add")
    for _ in range(3):
        world.restart()
        world.run()
    world.run(61_000)
    assert world.replies[id] == [
        [10, 1, {"r10": 10}, ["l10"]],
        [20, 2, {"r10": 10, "r20": 20}, ["l10", "l20"]],
    ]


@pytest.mark.parametrize("crash", [False, True])
def test_what_it_saw_before_an_effect_is_not_what_it_saw_after_it(crash):
    world = World(Desk, Other)
    world.hold_effects = True
    id = world.start("desk/1", "runs")
    world.ask("desk/1", "add")
    world.hold_effects = False
    world.run()
    world.ask("desk/1", "add")
    if crash:
        world.restart()
    world.run(60_000)
    assert world.replies[id] == [0, 10, 20]


def test_it_may_have_settled_promises_long_before_its_end():
    world = World(Desk, Other)
    id = world.start("desk/1", "enter", who="me")
    other = world.start("desk/1", "settles_then_waits", name="open")
    assert world.replies[id] == ["me", 1, 1], "others see them with its next step"
    world.restart()
    world.run(61_000)
    assert world.replies[other] == 1


def test_it_sees_what_is_not_acknowledged_yet_and_takes_nothing_from_others():
    """Messages that come in one batch: no record of the first is on the log when the second is handled."""
    world = World(Desk, Other)
    world.ask("other/1", "count", by=1)
    ids = [
        world.tell("desk/1", "add", _kind=1),
        world.tell("desk/1", "opens", _kind=1, after=1, value=1),
        world.tell("desk/1", "opens_plainly", _kind=1, after=1, value=1),
        world.tell("desk/1", "add", _kind=1),
    ]
    first = world.p.position
    world.p.receive(list(enumerate(world.mailbox))[first:], world.now)
    world.run()
    assert [world.replies[ids[i]] for i in (0, 3)] == [10, 20]
    world.run(1_000)
    came = [world.replies[i] for i in ids[1:3]]
    assert [[10, 1, {"r10": 10}, ["l10"]], [20, 2, {"r10": 10, "r20": 20}, ["l10", "l20"]]] in came
    assert "already_done" in came


# What it may not


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("what", ["field", "inside", "map", "list"])
def test_it_changes_no_state(what, crash):
    world = World(Desk, Other)
    names = {"field": "n", "inside": "tags", "map": "rows", "list": "log"}
    id = world.start("desk/1", "writes_after", what=what)
    if crash:
        world.restart()
    world.run(2_000)
    assert f"is shared, but changed {names[what]}" in world.errors[id]["detail"]
    assert world.ask("desk/1", "add") == 10
    assert world.ask("desk/1", "opens", after=0, value=1)[0] == [10, 1, {"r10": 10}, ["l10"]]


def test_nor_before_its_first_wait():
    world = World(Desk, Other)
    for _ in range(2):  # the first time it is not known yet that it waits
        id = world.start("desk/1", "writes_before")
        assert "is shared, but changed n" in world.errors[id]["detail"]
    assert world.ask("desk/1", "add") == 10


# What is done to it


def test_it_is_tried_again_as_any():
    world = World(Desk, Other)
    world.tell("desk/1", "fails", times=2)
    world.run()
    world.ask("desk/1", "add")
    world.run(10_000)
    world.restart()
    for _ in range(10):
        world.run(1_000)
    assert world.start("desk/1", "awaits", name="open") in world.replies
    assert world.replies[world.start("desk/1", "awaits", name="open")] == [0, 10]
    assert world.put_aside() == []


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("how", ["$cancel", "$end"])
def test_it_is_cancelled_and_killed_by_its_number(how, crash):
    world = World(Desk, Other)
    holder = world.start("desk/1", "enter", who="me")
    id = world.start("desk/1", "takes_long")
    number = dict(world.waiting())["takes_long"]
    if crash:
        world.restart()
    world.ask("desk/1", how, invocation=number)
    assert world.replies[id] == {"$cancel": "cancelled", "$end": "killed"}[how]
    assert [h for h, _ in world.waiting()] == ["enter"]
    assert holder not in world.replies


@pytest.mark.parametrize("crash", [False, True])
def test_it_is_paused_and_resumed(crash):
    world = World(Desk, Other)
    id = world.start("desk/1", "opens", after=60, value=5)
    number = dict(world.waiting())["opens"]
    world.ask("desk/1", "$pause", invocation=number)
    assert world.ask("desk/1", "add") == 10
    if crash:
        world.restart()
    world.run(61_000)
    assert id not in world.replies
    world.ask("desk/1", "$resume", invocation=number)
    assert world.replies[id] == [[0, 0, {}, []], [10, 1, {"r10": 10}, ["l10"]]]


@pytest.mark.parametrize("crash_every", [0, 1, 2, 3])
@pytest.mark.parametrize("at", range(4))
def test_it_is_restarted_from_a_step(at, crash_every):
    world = World(Desk, Other, crash_every=crash_every)
    world.ask("desk/1", "add", n=1)
    world.ask("other/1", "count", by=0)
    id = world.tell("desk/1", "looks", _kind=1, times=3)
    number = None
    for _ in range(300):
        world._step()
        found = dict(world.waiting())
        if number is None and "looks" in found and world.p.invocations.live:
            inv = next(i for f in world.p.invocations.live.values() for i in f.values())
            if inv.begun and min(inv.outstanding, default=0) == min(at, 2):
                number = found["looks"]
                world.tell("desk/1", "add", n=1)
                world.tell("desk/1", "$restart", invocation=number, **{"from": at})
                world.tell("desk/1", "add", n=1)
    world.run()
    found, last = world.replies[id]
    for n, tags, rows, log in [*(look for look, _, _ in found), last]:
        assert rows == {f"r{i}": i for i in range(1, n + 1)}
        assert (tags, log) == (n, [f"l{i}" for i in range(1, n + 1)])
    assert last[0] == 3


@pytest.mark.parametrize("crash", [False, True])
def test_what_it_reads_after_a_restart_is_what_it_reads_again(crash):
    world = World(Desk, Other)
    world.ask("desk/1", "add")
    id = world.start("desk/1", "peeks", name="p")
    world.run(1_000)
    world.ask("desk/1", "$promise", name="p", value="r10")
    world.ask("desk/1", "$restart", invocation=dict(world.waiting())["peeks"], **{"from": 1})
    world.ask("desk/1", "add")
    if crash:
        world.restart()
    world.run(61_000)
    assert world.replies[id] == ["r10", 10]


@pytest.mark.parametrize("crash", [False, True])
def test_a_restart_from_its_beginning_finds_what_it_found_then(crash):
    world = World(Desk, Other)
    world.ask("desk/1", "add")
    id = world.start("desk/1", "opens", after=60, value=1)
    world.ask("desk/1", "add")
    world.ask("desk/1", "$restart", invocation=dict(world.waiting())["opens"], **{"from": 0})
    if crash:
        world.restart()
    world.run(61_000)
    then, now = [10, 1, {"r10": 10}, ["l10"]], [20, 2, {"r10": 10, "r20": 20}, ["l10", "l20"]]
    assert world.replies[id] == [then, now]


def test_it_leaves_memory_and_comes_back(monkeypatch):
    monkeypatch.setattr(limits, "KEPT_TASKS", 1)
    world = World(Desk, Other)
    ids = [world.start("desk/1", "opens", after=60 + i, value=i) for i in range(4)]
    world.ask("desk/1", "add")
    world.run(70_000)
    came = [world.replies[i] for i in ids]
    assert came.count("already_done") == 3
    assert [[0, 0, {}, []], [10, 1, {"r10": 10}, ["l10"]]] in came


def test_code_that_reads_what_it_had_not_is_stuck(monkeypatch):
    world = World(Desk, Other)
    id = world.start("desk/1", "awaits", name="open")
    reads = Desk.awaits

    async def more(self, name: str):
        self.rows.get("something")
        return await reads(self, name)

    world.restart()
    monkeypatch.setattr(world.host._types["desk"].handlers["awaits"], "function", more)
    world.ask("desk/1", "opens", after=0, value=1)
    world.run(1_000)
    inv = next(i for f in world.p.invocations.live.values() for i in f.values())
    assert "it now reads rows[something], which it did not when this was recorded" in inv.stuck
    monkeypatch.setattr(world.host._types["desk"].handlers["awaits"], "function", reads)
    world.run(10_000)
    assert world.replies[id] == [1, 0]


@pytest.mark.parametrize("crash_every", [0, 1, 2])
def test_state_does_not_expire_while_one_waits_and_what_has_expired_is_not_seen(crash_every):
    world = World(Brief, crash_every=crash_every)
    world.ask("brief/1", "add")
    world.run(11_000)
    expired = world.start("brief/1", "waits", seconds=60)
    assert world.ask("brief/1", "add") == 1, "it had expired"
    world.run(30_000)
    assert world.ask("brief/1", "add") == 2
    world.run(31_000)
    assert world.replies[expired] == [[0, 0], [2, 2]]
    world.run(20_000)
    assert world.ask("brief/1", "add") == 1, "and it expires again"


def test_what_it_reads_between_two_waits_has_a_bound():
    world = World(Store)
    for key in "abcdef":
        world.ask("store/1", "put", key=key, size=900_000)
    assert world.ask("store/1", "loops", waits=False) == 5_400_000, "what is not recorded has none"
    id = world.start("store/1", "loops", waits=True)
    assert "it has read 5400" in world.errors[id]["detail"]
    assert "ask a read_only handler" in world.errors[id]["detail"]


@pytest.mark.parametrize("crash", [False, True])
def test_a_call_made_twice_with_its_key_is_one(crash):
    world = World(Desk, Other)
    first = world.tell("desk/1", "opens", _kind=1, _key="k", after=10, value=1)
    world.run()
    if crash:
        world.restart()
    second = world.tell("desk/1", "opens", _kind=1, _key="k", after=10, value=1)
    world.run()
    world.run(11_000)
    assert world.replies[first] == world.replies[second] == [[0, 0, {}, []]] * 2
    assert len([s for s in world.steps("opens") if s.commands and s.number == 0]) == 1


@pytest.mark.parametrize("crash", [False, True])
def test_it_ends_with_its_actors_life(crash):
    world = World(Desk, Other)
    id = world.start("desk/1", "takes_long")
    world.ask("desk/1", "add")
    if crash:
        world.restart()
    world.tell("desk/1", "$stop", reason="shutdown", ref="r")
    world.run()
    assert world.replies[id] == "killed"
    assert world.waiting() == []


# Queues


@pytest.mark.parametrize("parked", [False, True])
@pytest.mark.parametrize("crash", [False, True])
def test_one_in_the_queue_of_an_actor_whose_next_handler_waits_does_not_wait_for_that(crash, parked):
    world = World(Desk, Other)
    world.tell("desk/1", "fails_first", times=1)
    world.run()
    waits = world.tell("desk/1", "enter", _kind=1, who="me")
    opens = world.tell("desk/1", "opens", _kind=1, after=1, value=5)
    world.run(0)
    if crash:
        world.restart()
    world.run(200)
    for _ in range(10):
        world.run(1_000)
    assert world.replies[waits] == ["me", 5, 1]
    assert opens in world.replies
    assert world.waiting() == []


def _behind_a_retry(world, after):
    """Two in the queue of a tell that is tried again: an exclusive one that waits, and what it waits for."""
    world.tell("desk/1", "fails_first", times=1)
    world.run()
    waits = world.tell("desk/1", "enter", _kind=1, who="me")
    opens = world.tell("desk/1", "opens", _kind=1, after=after, value=5)
    world.run(0)
    return waits, opens


def test_it_goes_on_as_soon_as_one_before_it_waits():
    world = World(Desk, Other)
    waits, _ = _behind_a_retry(world, after=0)
    world.run(100)
    assert world.replies[waits] == ["me", 5, 1]


def test_one_that_was_left_in_the_queue_goes_on_in_time(monkeypatch):
    passes, calls = Queues.let_pass, []
    monkeypatch.setattr(Queues, "let_pass", lambda p, a: passes(p, a) if calls else calls.append(1))
    world = World(Desk, Other)
    waits, _ = _behind_a_retry(world, after=0)
    world.run(100)
    assert waits not in world.replies, "as while care is taken after crashes"
    world.run(limits.PROBE_AFTER)
    assert world.replies[waits] == ["me", 5, 1]


@pytest.mark.parametrize("crash", [False, True])
def test_one_that_was_parked_holds_nobody(monkeypatch, crash):
    monkeypatch.setattr(Queues, "let_pass", lambda *_: None)
    world = World(Desk, Other)
    waits, opens = _behind_a_retry(world, after=60)
    for _ in range(8):
        world.run(1_000)
    assert [inv.state for f in world.p.invocations.live.values() for inv in f.values()][1] == State.PARKED
    if crash:
        world.restart()
        world.run()
    world.ask("desk/1", "$promise", name="open", value=1)
    world.run()
    assert world.replies[waits] == ["me", 1, 1]
    assert world.ask("desk/1", "add") == 11, "nobody has the actor"
    world.run(60_000)
    assert world.replies[opens] == "already_done"


# The init hook


@pytest.mark.parametrize("crash_every", [0, 1, 2])
def test_the_init_hook_runs_before_it(crash_every):
    world = World(Made, crash_every=crash_every)
    id = world.start("made/1", "waits")
    assert world.ask("made/1", "add") == 8, "it has run, and does not run again"
    world.run(2_000)
    assert world.replies[id] == [7, 8]
    assert world.ask("made/2", "does_not") == 7
    assert world.ask("made/2", "add") == 8


@pytest.mark.parametrize("crash", [False, True])
def test_what_it_did_for_a_handler_that_waits_is_not_seen_yet(crash):
    world = World(Made)
    id = world.start("made/1", "enter")
    assert world.ask("made/1", "does_not") == 0
    other = world.start("made/1", "waits")
    if crash:
        world.restart()
    world.ask("made/1", "$promise", name="open", value=1)
    world.run(2_000)
    assert world.replies[id] == 8
    assert world.replies[other] == [0, 8]
    assert world.ask("made/1", "add") == 9


# Workflows


@pytest.mark.parametrize("crash_every", [0, 1, 2, 3])
def test_a_signal_waits_beside_the_run(crash_every):
    world = World(Flow, crash_every=crash_every)
    run = world.start("flow/1", "run")
    signal = world.start("flow/1", "later", after=10)
    assert world.ask("flow/1", "note", what="x") == 1
    world.run(11_000)
    world.run(1_000)
    assert world.replies[signal] == ["waits", "went"]
    last = world.start("flow/1", "later", after=1, name="again")
    for _ in range(3):
        world.run(1_000)
    assert world.replies[run] == ["go", "again", ["x"]]
    assert world.replies[last] == ["went", "went"]
    assert world.waiting() == []


@pytest.mark.parametrize("crash", [False, True])
def test_a_signal_that_may_wait_changes_state_only_where_it_does_not(crash):
    world = World(Flow)
    world.start("flow/1", "run")
    for _ in range(2):  # the second time it is known that it may wait
        assert world.ask("flow/1", "perhaps", after=0) == "perhaps"
        assert world.ask("flow/1", "note", what="y") in (2, 4)
        id = world.start("flow/1", "perhaps", after=1)
        if crash:
            world.restart()
        world.run(2_000)
        assert "flow.perhaps is a signal handler that waits, but changed" in world.errors[id]["detail"]
    world.start("flow/1", "later", after=0, name="go")
    run = world.start("flow/1", "run")
    world.start("flow/1", "later", after=0, name="again")
    world.run(1_000)
    assert world.replies[run] == ["go", "again", ["perhaps", "y", "perhaps", "y"]]
