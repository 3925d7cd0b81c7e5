"""All that has left a handler is compared when it runs again: a difference is stuck, told with both sides."""

import json
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
    query_handler,
    run_handler,
    signal_handler,
    state,
    state_map,
    workflow,
)
from plexstream.hosts.native import NativeHost
from plexstream.hosts.system import SYSTEM_TYPES
from plexstream.model.journal.journal import OutKind


@actor(name="sink")
class Sink:
    got: list = state(default_factory=list)

    @handler()
    def put(self, what: object = None) -> None:
        self.got.append(what)

    @handler()
    def slow(self, what: object = None) -> object:
        return what


def world_of(body, *others, **declared):
    """A world whose type ``changes`` does `body` in its handler."""
    return World(changes(body, **declared), Sink, *others)


def changes(body, **declared):
    @actor(name="changes", **declared)
    class Changes:
        @handler()
        async def go(self):
            return await body()

        @handler()
        def hear(self, **_):
            pass

        @handler("__alarm__")
        def alarm(self):
            pass

    return Changes


def comes_back_as(world, *classes):
    """The process is lost, and the next one has other code."""
    types = {c.__plexstream__.name: c.__plexstream__ for c in classes}
    world.host = NativeHost({**types, **SYSTEM_TYPES})
    world.restart()
    world.run(3000)


def stuck(world, address="default/default/changes/1"):
    return [inv.stuck for inv in world.p.invocations.live.get(address, {}).values() if inv.stuck]


def sends(*what):
    """A handler that does all of `what`, waits, and does the last of it once more."""

    async def body():
        for one in what:
            one()
        await host.sleep(3)
        await host.sleep(3)

    return body


def tell(to="sink/1", what="old"):
    return lambda: host.tell(to, "put", what=what)


def emit(topic="audit", value=1, key=None):
    return lambda: host.emit(topic, value, key=key)


def later(delay=5.0, to=None, n=1):
    return lambda: host.send_after(delay, "hear", n=n, to=to)


def asks(what):
    def ask():
        host.start.ask("sink/1", "slow", what=what, detach=True)

    return ask


def cancels(which):
    """Sets two timers and takes one of them back."""

    def both():
        timers = [host.send_after(50, "hear"), host.send_after(60, "hear")]
        host.cancel(timers[which])

    return both


def spawns(id, **args):
    return lambda: host.spawn("sink", id, args)


LEAVES = [
    ("a message", tell(), tell(to="sink/2"), "tell sink/1 put", "tell sink/2 put"),
    ("its arguments", tell(), tell(what="new"), '{"what":"old"}', '{"what":"new"}'),
    ("one more message", tell(), lambda: (tell()(), tell()()), '"last"', '"old"'),
    ("one message less", tell(), lambda: None, '"old"', '"last"'),
    ("another kind", tell(), emit(), "tell sink/1 put", "emit audit 1"),
    ("an output", emit(), emit(value=2), "emit audit 1", "emit audit 2"),
    ("its topic", emit(), emit(topic="other"), "emit audit 1", "emit other 1"),
    ("its key", emit(), emit(key="k"), "emit audit 1,", "emit audit 1 key k"),
    ("a timer's delay", later(), later(6.0), "due 1005000", "due 1006000"),
    ("a timer's receiver", later(), later(to="sink/1"), "changes/1 hear", "sink/1 hear"),
    ("a timer's arguments", later(), later(n=2), '{"n":1}', '{"n":2}'),
    ("a cancelled timer", cancels(0), cancels(1), "cancel of the timer 1.1", "cancel of the timer 1.2"),
    ("the alarm", lambda: host.alarm.set_in(5), lambda: host.alarm.set_in(6), "due 1005000", "due 1006000"),
    ("an alarm less", lambda: host.alarm.set_in(5), lambda: None, 'timer $alarm', '"last"'),
    ("a reminder", lambda: host.remind("r", "hear", every=60), lambda: host.remind("s", "hear", every=60),
     "r changes/1 hear", "s changes/1 hear"),
    ("an ask's arguments", asks(1), asks(2), '{"what":1}', '{"what":2}'),
    ("a child", spawns("c"), spawns("d"), "tell sink/c $start", "tell sink/d $start"),
    ("a link", lambda: host.link("sink/1"), lambda: host.link("sink/2"), "sink/1 $link", "sink/2 $link"),
    ("a monitor", lambda: host.monitor("sink/1"), lambda: host.monitor("sink/2"), "sink/1 $m", "sink/2 $m"),
    ("a stop", lambda: host.stop("sink/1"), lambda: host.stop("sink/2"), "sink/1 $stop", "sink/2 $stop"),
    ("an awakeable", lambda: host.resolve_awakeable(ID, 1), lambda: host.resolve_awakeable(ID, 2),
     '"value":1', '"value":2'),
]  # fmt: skip
from plexstream.model.messages.awakeable import make_id  # noqa: E402

ID = make_id("default/default/sink/1#1.0", "0" * 16)


@pytest.mark.parametrize("waited", [0, 1])
@pytest.mark.parametrize(
    ("old", "new", "said", "does"), [row[1:] for row in LEAVES], ids=[row[0] for row in LEAVES]
)
def test_what_leaves_otherwise_is_stuck_with_both_sides(old, new, said, does, waited):
    world = world_of(sends(emit("first"), old, tell(what="last")))
    world.tell("changes/1", "go")
    world.run()
    world.run(3000 * waited)
    comes_back_as(world, changes(sends(emit("first"), new, tell(what="last"))), Sink)
    [why] = stuck(world)
    assert "changes.go: item " in why
    recorded, now = why.split(" is recorded as ")[1].split(", but the handler now sends ")
    assert said.rstrip(",") in recorded
    assert does in now
    assert "Undo the change of the code, or allow it with host.version" in now
    assert ("," in said) <= ("key" not in recorded)
    comes_back_as(world, changes(sends(emit("first"), old, tell(what="last"))), Sink)
    world.run(20_000)
    world.run(20_000)
    assert not world.waiting(), "with the code of before it goes on"


@pytest.mark.parametrize(
    "old", [row[1] for row in LEAVES if row[0] not in ("one message less",)], ids=lambda _: ""
)
def test_the_same_code_is_never_stuck(old):
    world = world_of(sends(emit("first"), old, tell(what="last")))
    world.tell("changes/1", "go")
    world.run()
    for ms in (0, 3000, 0, 3000):
        world.restart()
        world.run(ms)
        assert not stuck(world)
    assert not world.waiting()
    assert (world.field("sink/1", "got") or ["last"])[-1] == "last"


def test_the_order_of_what_leaves_is_compared():
    world = world_of(sends(tell(what=1), tell(what=2)))
    world.tell("changes/1", "go")
    world.run()
    comes_back_as(world, changes(sends(tell(what=2), tell(what=1))), Sink)
    assert "item 1 of what it sends" in stuck(world)[0]


def test_a_message_that_moves_behind_a_wait_is_a_difference():
    async def before():
        host.tell("sink/1", "put", what=1)
        await host.sleep(1)
        await host.sleep(1)

    async def behind():
        await host.sleep(1)
        host.tell("sink/1", "put", what=1)
        await host.sleep(1)

    world = world_of(before)
    world.tell("changes/1", "go")
    world.run()
    world.run(1000)
    comes_back_as(world, changes(behind), Sink)
    assert "nothing" in stuck(world)[0]


def test_a_long_payload_is_told_where_it_differs():
    world = world_of(sends(tell(what="x" * 500 + "old")))
    world.tell("changes/1", "go")
    world.run()
    comes_back_as(world, changes(sends(tell(what="x" * 500 + "new"))), Sink)
    assert 'xold"}' in stuck(world)[0]
    assert 'xnew"}' in stuck(world)[0]


def test_a_version_allows_it():
    async def guarded():
        if host.version("audited"):
            host.emit("audit", 1)
        host.tell("sink/1", "put", what=1)
        await host.sleep(3)

    async def plain():
        host.tell("sink/1", "put", what=1)
        await host.sleep(3)

    world = world_of(plain)
    world.tell("changes/1", "go")
    world.run()
    comes_back_as(world, changes(guarded), Sink)
    world.run(3000)
    assert (stuck(world), world.waiting()) == ([], [])


def test_a_look_at_what_is_pending_sees_the_same_again():
    seen = []

    async def looks():
        seen.append((host.alarm.get(), sorted(host.reminders())))
        if host.alarm.get() is None:
            host.alarm.set_in(100)
        host.remind("r", "hear", every=60)
        host.forget("r")
        host.forget("none")
        host.remind("s", "hear", at=host.now() + 60_000)
        await host.sleep(3)
        seen.append((host.alarm.get(), sorted(host.reminders())))
        host.alarm.delete()
        await host.sleep(3)

    world = world_of(looks)
    world.tell("changes/1", "go")
    world.run()
    for _ in range(2):
        world.restart()
        world.run(3000)
        assert not stuck(world)
    assert not world.waiting()
    assert {json.dumps(one) for one in seen} == {"[null, []]", '[1100000, ["s"]]'}
    kinds = [OutKind(o.kind).name for s in world.steps() for o in s.outs if "~" not in o.id]
    assert kinds == ["TIMER", "TIMER", "CANCEL", "TIMER", "CANCEL"]


def test_what_the_system_adds_to_a_step_is_no_difference():
    """Answers to who completes what, cancels that reach down, timers of a series, links, its cron."""

    @actor(name="busy", retry=Retry(attempts=2))
    class Busy:
        @handler()
        async def tick(self):
            host.tell("sink/1", "put", what="tick")
            try:
                await host.promise("p")
            except Exception:
                host.tell("sink/1", "put", what="cancelled")
            host.tell("sink/1", "put", what="p")
            await host.ask("busy/other", "never")

        @handler()
        async def never(self):
            await host.promise("never")

        @handler()
        def arm(self):
            host.remind("r", "tick", every=60)

    world = World(Busy, Sink)
    world.ask("busy/1", "arm")
    world.run(60_000)
    for _ in range(2):
        world.restart()
        world.run()
        assert not stuck(world, "default/default/busy/1")
        world.ask("busy/1", "$promise", name="p", value=1)
    world.ask("busy/1", "$cancel")
    world.restart()
    world.run()
    assert not stuck(world, "default/default/busy/1")
    assert world.field("sink/1", "got") == ["tick", "p"]


def test_a_hook_that_waits_as_its_actor_is_started_anew_is_not_stuck():
    @actor(name="child")
    class Child:
        from plexstream import init_handler

        @init_handler
        def begin(self):
            host.tell("sink/1", "put", what="begins")
            host.sleep(5)
            host.tell("sink/1", "put", what="begun")
            host.sleep(5)

        @handler()
        def link(self):
            host.link("sink/2")
            host.monitor("sink/3")
            host.send_after(100, "link")

    world = World(Child, Sink)
    world.tell("child/1", "link")
    world.run(), world.run(5000), world.run(5000), world.run(5000)
    world.tell("child/1", "$kill")
    world.run()
    world.tell("child/1", "$start", args={})
    world.run()
    for ms in (0, 5000, 5000):
        world.restart()
        world.run(ms)
        assert not stuck(world, "default/default/child/1")
    assert world.field("sink/1", "got")[-2:] == ["begins", "begun"]
    assert not world.waiting()


# What others see of a workflow


def flow(first="waiting", extra=None, entry="a"):
    @workflow(name="flow")
    class Flow:
        status: str = state(default="new")
        more: str = state(default="")
        cells: dict[str, int] = state_map()

        @run_handler
        async def run(self):
            self.status = first
            self.cells[entry] = 1
            if extra:
                self.more = extra
            await host.promise("go")
            self.status = "went"
            await host.sleep(5)
            return self.status

        @signal_handler()
        def go(self, v: int):
            self.cells["signalled"] = v
            host.promise("go").resolve(v)

        @signal_handler()
        def note(self, v: str):
            self.more = v

        @query_handler()
        def look(self):
            return [self.status, self.more, dict(self.cells.items())]

    return Flow


@pytest.mark.parametrize(("now", "said", "does"), [
    ({"first": "queued"}, 'status is recorded as "waiting"', 'now makes it "queued"'),
    ({"extra": "x"}, "more is recorded as unchanged", 'now makes it "x"'),
    ({"entry": "b"}, "cells[a] is recorded as 1", "now makes it unchanged"),
])  # fmt: skip
def test_what_a_workflow_has_shown_is_compared(now, said, does):
    world = World(flow())
    world.start("flow/1", "run")
    comes_back_as(world, flow(**now))
    world.ask("flow/1", "go", v=1)
    [why] = stuck(world, "default/default/flow/1")
    assert said in why
    assert does in why
    assert world.ask("flow/1", "look") == ["waiting", "", {"a": 1, "signalled": 1}]


def test_the_same_workflow_is_not_stuck_whatever_signals_came():
    world = World(flow())
    id = world.start("flow/1", "run")
    for ms, signal in ((0, "note"), (0, "go"), (5000, "")):
        world.restart()
        world.run(ms)
        if signal:
            world.ask("flow/1", signal, v="1" if signal == "note" else 1)
        assert not stuck(world, "default/default/flow/1")
    world.run(5000)
    assert world.replies[id] == "went"


def test_a_record_that_a_cancel_parts_from_its_beginning_has_what_came_before():
    """The beginning is not on the log when the cancel comes: it may not get what the cancel led to."""

    @actor(name="parted")
    class Parted:
        @handler()
        async def go(self):
            try:
                await host.run("x", int)
            except Exception:
                host.tell("sink/1", "put", what="cancelled")
                await host.sleep(5)
            return 7

    world = World(Parted, Sink)
    world.hold_effects = True
    id = world.start("parted/1", "go")
    world.ask("parted/1", "$cancel")
    world.restart()
    world.run()
    assert not stuck(world, "default/default/parted/1")
    world.run(5000)
    assert world.replies[id] == 7
    assert world.field("sink/1", "got") == ["cancelled"]


def test_nothing_more_is_written_for_it():
    """What has left is in the journal anyway: no bytes more."""
    world = world_of(sends(tell(), emit(), later()))
    world.tell("changes/1", "go")
    world.run()
    [first] = world.steps()
    assert [c.number for c in first.completions] == []
    assert [OutKind(o.kind).name for o in first.outs] == ["TELL", "EMIT", "TIMER", "TIMER"]
