"""What is executed again is all that ran: handlers that waited, that wait, timers, hooks and supervisors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "hosts"))

from world import World

from plexstream import (
    Child,
    Reject,
    Retry,
    Supervisor,
    actor,
    handler,
    host,
    init_handler,
    query_handler,
    run_handler,
    service,
    signal_handler,
    state,
    state_map,
    workflow,
)
from plexstream.hosts.load import Loaded
from plexstream.inspection.replay.reexecute import reexecute
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.topics.topics import Topics
from plexstream.node.setup import topology
from plexstream.schema import codec
from plexstream.schema.records.envelope import encode_envelope

TOPICS = Topics("test.")


def log_of(world):
    """What a world has written, as a log."""
    log = MemoryLog()
    topology.apply(log, TOPICS, 1)
    for topic, items in (
        (TOPICS.mailbox, [encode_envelope(e) for e in world.mailbox]),
        (TOPICS.journal, [codec.encode_journal(r) for r in world.journal]),
    ):
        log.append_now((topic, 0), [(b"k", value) for value in items])
    return log


def again(world, *classes):
    types = {c.__plexstream__.name: c.__plexstream__ for c in classes}
    return reexecute(log_of(world), TOPICS, 0, Loaded(types, "v"))


FAILS = {"left": 0}


def variant(**new):
    """Classes that do what they always did, but for what `new` says."""
    told = {
        "note": "a", "tick": 1, "child": "c", "down": "down", "started": 1, "slept": "slept", "signal": 0,
        "result": "done", "limit": 3, "bonus": 0, **new,
    }  # fmt: skip

    @actor(name="order", retry=Retry(attempts=3, interval=1, jitter=0))
    class Order:
        n: int = state(default=0)
        cells: dict[str, int] = state_map()

        @init_handler
        def begin(self):
            self.n = told["started"]

        @handler()
        async def pay(self, cents: int):
            if cents > told["limit"]:
                raise Reject("too much")
            receipt = await host.run("charge", lambda: f"r{cents}")
            host.tell("audit/1", "note", what=told["note"])
            await host.sleep(1)
            self.n += cents + told["bonus"]
            self.cells[receipt] = cents
            return [told["result"], await host.ask("audit/1", "add", n=cents)]

        @handler()
        async def stays(self):
            host.emit("out", told["slept"])
            await host.promise("never")

        @handler()
        async def tries(self):
            await host.sleep(1)
            if FAILS["left"]:
                FAILS["left"] -= 1
                raise RuntimeError("away")
            host.emit("out", told["result"])

        @handler()
        def arm(self):
            host.send_after(2, "tick", n=1)
            host.remind("r", "tick", every=3, n=2)

        @handler()
        def tick(self, n: int):
            self.n += n * told["tick"]

    @actor(name="audit")
    class Audit:
        seen: list = state(default_factory=list)

        @handler()
        def note(self, what: str):
            self.seen.append(what)

        @handler()
        def add(self, n: int):
            self.seen.append(n)
            return len(self.seen)

        @handler()
        def watch(self):
            host.monitor("order/1")
            host.spawn("kid", told["child"])

        @handler("__down__")
        def down(self, address: str, ref: str, reason: str):
            self.seen.append([told["down"], address, reason])

    @actor(name="kid")
    class Kid:
        n: int = state(default=0)

        @handler()
        def fail(self):
            raise RuntimeError("it fails")

        @handler()
        def count(self):
            self.n += 1

    @workflow(name="flow")
    class Flow:
        at: str = state(default="new")
        got: list = state(default_factory=list)

        @run_handler
        async def run(self, n: int):
            self.at = "waits"
            value = await host.promise("go")
            self.at = "went"
            if n < 2:
                host.continue_as_new(n=n + 1)
            return [value, told["result"]]

        @signal_handler()
        def go(self, v: int):
            self.got.append(v + told["signal"])
            host.promise("go").resolve(v)

        @query_handler()
        def look(self):
            return self.at

    @service(name="srv")
    class Srv:
        @handler()
        async def twice(self, n: int):
            await host.sleep(1)
            return n * 2 + told["bonus"]

    return Order, Audit, Kid, Flow, Srv


@pytest.fixture(scope="module")
def used():
    world = World(*variant())
    for to, name, arguments in (
        ("order/1", "pay", {"cents": 1}), ("order/1", "pay", {"cents": 9}), ("order/1", "arm", {}),
        ("audit/1", "watch", {}), ("flow/1", "run", {"n": 1}), ("srv/1", "twice", {"n": 2}),
        ("order/2", "stays", {}), ("order/3", "stays", {}),
    ):  # fmt: skip
        world.tell(to, name, _kind=1, **arguments)
        world.run(1000)
    FAILS["left"] = 1
    world.tell("order/4", "tries")
    for v in (1, 2):
        world.run(1000)
        world.ask("flow/1", "go", v=v)
    config = Supervisor(children=[Child("k", "kid")], max_restarts=3).table()
    world.tell("supervisor/app", "configure", _kind=1, spec=config)
    world.run(1000)
    world.tell("kid/k", "count")
    world.tell("kid/k", "fail")
    world.tell("order/3", "$end", _kind=1)
    world.run(1000)
    world.tell("order/1", "$kill", _kind=1)
    for _ in range(6):
        world.run(1000)
    assert world.waiting() == [("stays", 1)]
    return world


def test_the_same_code_does_the_same(used):
    report = again(used, *variant())
    assert report.first is None
    assert report.waited >= 5
    assert report.waiting == 1
    assert report.executed > 15
    assert (report.unknown, report.trimmed) == (0, 0)


def test_after_crashes_and_restarts_as_well():
    world = World(*variant(), crash_every=2)
    for _ in range(2):
        for handler_ in ("pay", "stays"):
            world.tell("order/1", handler_, _kind=1, **({"cents": 1} if handler_ == "pay" else {}))
        world.run(1000)
    for _ in range(5):
        world.run(1000)
    assert again(world, *variant()).first is None


@pytest.mark.parametrize(("new", "actor_", "what"), [
    ({"note": "b"}, "order/1", 'recorded as tell audit/1 note {"what":"a"}, but the handler now sends tell'),
    ({"bonus": 1}, "order/1", "n: recorded 2, now 3"),
    ({"result": "other"}, "order/1", 'result: recorded ["done",2], now ["other",2]'),
    ({"limit": 0}, "order/1", "failed: too much"),
    ({"slept": "otherwise"}, "order/3", 'emit out "slept"'),
    ({"tick": 2}, "order/1", "n: recorded"),
    ({"started": 5}, "order/1", "n"),
    ({"down": "up"}, "audit/1", 'recorded ["a",1,["down"'),
    ({"child": "d"}, "audit/1", "kid/c $start"),
    ({"signal": 1}, "flow/1", "got: recorded [1], now [2]"),
], ids=lambda x: next(iter(x)) if isinstance(x, dict) else "")  # fmt: skip
def test_whatever_differs_is_found(used, new, actor_, what):
    report = again(used, *variant(**new))
    assert report.first is not None
    assert report.first.actor == f"default/default/{actor_}"
    assert what in "; ".join(report.first.what)


def test_a_handler_that_waits_still_is_run_to_where_it_is():
    """This is what gets stuck once the new code is there."""
    world = World(*variant())
    world.start("order/2", "stays")
    assert again(world, *variant()).waiting == 1
    report = again(world, *variant(slept="otherwise"))
    assert (report.first.offset, report.first.handler) == (-1, "stays")
    assert 'emit out "slept"' in report.first.what[0]


def test_a_supervisor_decides_again(used, monkeypatch):
    from plexstream.hosts.system import tree

    decided = []
    original = tree.Tree.ended

    def ended(self, *arguments):
        decided.append(arguments)
        return original(self, *arguments)

    monkeypatch.setattr(tree.Tree, "ended", ended)
    assert again(used, *variant()).first is None
    assert decided
    monkeypatch.setattr(tree.Tree, "ended", lambda self, *_: None)
    report = again(used, *variant())
    assert report.first.actor == "default/default/supervisor/app"
