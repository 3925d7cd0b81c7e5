"""Supervisors whose children come and go: what each costs, and which of them are kept."""

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import Child, Retry, Supervisor, actor, handler, host, init_handler, state
from plexstream.hosts.system.children.children import Children, Node
from plexstream.hosts.system.supervisor import SupervisorActor
from plexstream.model.journal.journal import Turn
from plexstream.model.messages.address import full
from plexstream.schema import codec

MANY = 10_000


@actor(name="job", retry=Retry(attempts=1))
class Job:
    n: int = state(default=0)

    @init_handler
    def init(self, config: dict):
        if config.get("fail"):
            raise ValueError("cannot start")
        if config.get("wait"):
            host.sleep(config["wait"])

    @handler("add")
    def add(self):
        self.n += 1
        return self.n

    @handler("fail")
    def fail(self):
        raise ValueError("boom")

    @handler("leave")
    def leave(self, reason="normal"):
        host.exit(reason)


@pytest.fixture(params=[0, 1, 3], ids=["", "crash after each turn", "crash after three"])
def world(request):
    return World(Job, crash_every=request.param)


def begin(world, *children, **more):
    assert world.ask("supervisor/app", "configure", spec=Supervisor(list(children), **more).table()) is None
    world.run()


def start(world, id, restart="temporary", **more):
    child = {"id": id, "type": "job", "restart": restart, **more}
    return world.ask("supervisor/app", "start_child", child=child)


def count(world):
    return world.ask("supervisor/app", "count_children")


def pieces_of(world, address="supervisor/app"):
    return [(field, key) for field, key, _ in world.pieces.collections.of_actor(full(address))]


def test_each_of_ten_thousand_costs_the_same():
    world = World(Job)
    begin(world)
    costs = []
    for n in range(MANY):
        before = len(world.journal)
        assert start(world, f"j{n:05}") == f"job/j{n:05}"
        costs.append([len(codec.encode_journal(r)) for r in world.journal[before:] if type(r) is Turn])
    assert {len(each) for each in costs} == {len(costs[0])}
    early, late = (max(sum(each) for each in some) for some in (costs[10:100], costs[-90:]))
    assert late - early < 100, (early, late)  # numbers have more digits
    assert count(world) == {"specs": MANY, "active": MANY, "supervisors": 0, "workers": MANY}


def test_a_reading_in_parts():
    world = World(Job)
    begin(world, Child("first", "job"))
    for n in range(5):
        start(world, f"j{n}")
    which = [c["id"] for c in world.ask("supervisor/app", "which_children", limit=4)]
    which += [c["id"] for c in world.ask("supervisor/app", "which_children", after=which[-1], limit=4)]
    assert which == ["first", "j0", "j1", "j2", "j3", "j4"]
    assert world.ask("supervisor/app", "which_children", after="j4") == []
    assert world.ask("supervisor/app", "which_children", after="nobody") == "rejected"


@pytest.mark.parametrize("how", ["leave", "fail"])
def test_ended_temporary_children_leave_nothing(world, how):
    begin(world)
    before = pieces_of(world)
    for n in range(8):
        start(world, f"j{n}")
    for n in (3, 0, 7, 1, 2, 6, 5, 4):  # from within, and at both ends
        world.ask(f"job/j{n}", how)
        world.run()
    assert world.children() == {}
    assert count(world) == {"specs": 0, "active": 0, "supervisors": 0, "workers": 0}
    left = {(f, k) for f, k in pieces_of(world) if f not in ("history", "order", "todo")}
    assert left <= {*before, ("waiting", "#")}
    assert [k for f, k in pieces_of(world) if f in ("order", "todo")] in (["/", "#"], ["/"])
    assert start(world, "j3") == "job/j3"
    assert world.ask("job/j3", "add") == 1


def test_only_the_start_that_is_too_large_is_refused(world):
    begin(world)
    large = {"text": "x" * 900_000}
    for n in range(6):  # of a state of a few megabytes
        assert start(world, f"large{n}", args=large) == f"job/large{n}"
    slow = world.start("supervisor/app", "start_child", child={"id": "s", "type": "job", "args": {"wait": 5}})
    for size in (999_990, 1_100_000):  # also where the start would come later
        assert start(world, "larger", args={"text": "x" * size}) == "rejected"
    for id in ("x" * 600, "new\nline"):
        assert start(world, id) == "rejected"
    behind = world.start("supervisor/app", "start_child", child={"id": "z", "type": "job", "args": large})
    world.run(5_000)
    assert [world.replies[call] for call in (slow, behind)] == ["job/s", "job/z"]
    spec = Supervisor([Child("larger", "job", {"text": "x" * 999_990})]).table()
    assert world.ask("supervisor/app", "configure", spec=spec) == "rejected"
    world.ask("job/large1", "fail")
    world.run()
    assert set(world.children()) == {*(f"large{n}" for n in (0, 2, 3, 4, 5)), "s", "z"}


def test_a_declared_temporary_child_is_forgotten_and_not_started_again_by_the_same_declaration(world):
    tree = [Child("once", "job", restart="temporary"), Child("ever", "job")]
    begin(world, *tree)
    world.ask("job/once", "leave")
    world.run()
    assert world.children() == {"ever": "running"}
    begin(world, *tree)
    begin(world, *tree, Child("more", "job"))
    assert world.children() == {"ever": "running", "more": "running"}
    begin(world, Child("once", "job", {"again": 1}, restart="temporary"), *tree[1:])
    assert world.children() == {"once": "running", "ever": "running"}
    world.ask("job/once", "leave")
    world.run()
    assert start(world, "once", "permanent") == "job/once"


def test_a_declaration_leaves_alone_what_was_started_at_run_time(world):
    begin(world, Child("a", "job"))
    start(world, "x", "permanent")
    world.ask("job/x", "add")
    begin(world, Child("a", "job"))
    begin(world, Child("b", "job"), Child("a", "job"))
    assert list(world.children()) == ["b", "a", "x"]
    assert world.ask("job/x", "add") == 2
    begin(world)
    assert list(world.children()) == ["x"]


def test_a_start_that_fails_is_told_and_counts_for_nothing(world):
    begin(world, Child("a", "job"), max_restarts=0)
    assert start(world, "bad", "permanent", args={"fail": 1}) == "rejected"
    world.tell("supervisor/app", "start_child", child={"id": "worse", "type": "job", "args": {"fail": 1}})
    world.run()
    assert world.children() == {"a": "running"}
    assert world.history()[1:] == [("not started", "bad"), ("not started", "worse")]


def test_starts_are_answered_once_they_run_in_their_order(world):
    begin(world)
    slow = world.start("supervisor/app", "start_child", child={"id": "s", "type": "job", "args": {"wait": 5}})
    fast = world.start("supervisor/app", "start_child", child={"id": "f", "type": "job"})
    assert {slow, fast}.isdisjoint(world.replies)
    assert world.children() == {"s": "starting", "f": "new"}
    world.run(5_000)
    assert [world.replies[id] for id in (slow, fast)] == ["job/s", "job/f"]


def test_who_waits_for_a_start_hears_that_the_supervisor_stops(world):
    begin(world, Child("a", "job"))
    calls = [
        world.start("supervisor/app", "start_child", child={"id": id, "type": "job", "args": {"wait": 60}})
        for id in ("s", "f")
    ]
    world.ask("supervisor/app", "$stop")
    for call in calls:
        assert "the supervisor is stopping: shutdown" in world.errors[call]["detail"]
    world.run(10_000)
    assert world.ask("supervisor/app", "which_children") == "stopped"
    assert [world.life(f"job/{id}").reason for id in ("a", "s")] == ["shutdown", "killed"]


def test_a_row_of_children_against_a_list():
    children, row = Children({}, {}), []
    for n in (3, 1, 4, 15, 9, 2, 6):
        children.append(Node(str(n), f"job/{n}", {}, "", "", 0.0))
        row.append(str(n))
    for id in ("15", "3", "6"):
        children.remove(id)
        row.remove(id)
    children.begin_with(["2", "4"])
    row = ["2", "4", "1", "9"]
    assert [c.id for c in children] == [*children.ids()] == row
    assert [children.before(id) for id in row] == ["", *row[:-1]]
    assert (children.first(), children.last(), [*children.ids("4")]) == ("2", "9", ["1", "9"])
    children.begin_with(["2", "4", "1"])
    for id in row:
        children.remove(id)
    assert ([*children], children.first(), children.last()) == ([], "", "")


OLD = {
    "strategy": "one_for_all", "max_restarts": 3, "window": 5.0, "phase": "running", "reason": "",
    "children": [
        {
            "id": id, "address": f"job/{id}", "args": {}, "restart": "permanent", "on_failure": "restart",
            "shutdown": 5.0, "status": status, "ref": f"{n}.0", "starts": 1, "reason": "", "timer": "",
        }
        for n, (id, status) in enumerate([("a", "running"), ("b", "starting"), ("c", "new")])
    ],
    "todo": [["start", "b"], ["start", "c"]],
    "waiting": [{"child": "a", "ref": "0.0", "what": "failed", "reason": "boom"}],
    "restarts": [999],
}  # fmt: skip


def test_a_supervisor_of_before_children_were_entries(tester):
    t = tester(SupervisorActor)
    t.disk.fields["tree"] = json.dumps(OLD, separators=(",", ":")).encode()
    t.load()
    rows = json.loads(t.ok("which_children", must_read=True).value)
    assert [(row["id"], row["status"]) for row in rows] == [("a", "failed"), ("b", "starting"), ("c", "new")]
    told = {"child": "default/default/job/b", "event": "started", "ref": "1.0", "reason": ""}
    started = t.ok("__child__", json.dumps(told).encode(), sender="default/default/job/b")
    assert [(o.handler, o.target.rpartition("/")[2]) for o in started.outs] == [("$start", "c")]
    t.load()
    assert t.disk.fields["tree"] == b"null"
    told = {**told, "child": "default/default/job/c", "ref": f"{t.seq}.0"}
    ended = t.ok("__child__", json.dumps(told).encode(), sender="default/default/job/c")
    assert [o.handler for o in ended.outs if o.handler[:1] == "$"] == ["$stop"]  # all are restarted
    rows = json.loads(t.ok("which_children", must_read=True).value)
    assert [row["status"] for row in rows] == ["failed", "running", "stopping"]
