"""Trees: strategies, restart types, intensity, directives, order of starts and stops."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import Child, Retry, Supervisor, actor, handler, host, init_handler, state
from plexstream.hosts.system.children.children import Children, Node
from plexstream.hosts.system.children.state import Head
from plexstream.hosts.system.tree import Tree


@actor(name="log")
class Log:
    lines: list = state(default_factory=list)

    @handler("line")
    def line(self, text: str):
        self.lines.append(text)


@actor(name="worker", retry=Retry(attempts=2, interval=0))
class Worker:
    n: int = state(default=0)
    tag: str = state(default="")

    @init_handler
    def init(self, config: dict):
        if config.get("broken"):
            raise ValueError("cannot start")
        self.tag = config.get("tag", "")
        host.tell("log/1", "line", text=f"start {host.self_id()}")

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


@actor(name="slow")
class Slow:
    """Takes its time to stop."""

    n: int = state(default=0)

    @handler("add")
    def add(self):
        self.n += 1

    @handler("__stop__")
    def stop(self, reason: str):
        host.tell("log/1", "line", text=f"stopping {host.self_id()}")
        host.send_after(0.2, "done", reason=reason)

    @handler("done")
    def done(self, reason: str):
        host.tell("log/1", "line", text=f"stopped {host.self_id()}")
        host.exit(reason)


@pytest.fixture(params=[0, 1, 3], ids=["", "crash after each turn", "crash after three"])
def world(request):
    return World(Log, Worker, Slow, crash_every=request.param)


def workers(*ids, **more):
    return [Child(id, "worker", **more) for id in ids]


def begin(world, children, **more):
    assert world.ask("supervisor/app", "configure", spec=Supervisor(children, **more).table()) is None
    world.run()


def fails(world, id, what="fail"):
    world.ask(f"worker/{id}", what)
    world.run()


def log(world):
    return world.field("log/1", "lines") or []


def starts(world):
    return {c["id"]: c["starts"] for c in world.ask("supervisor/app", "which_children")}


def test_children_start_in_order_with_their_arguments(world):
    begin(world, [Child("a", "worker", {"tag": "x"}), *workers("b", "c")])
    assert log(world) == ["start worker/a", "start worker/b", "start worker/c"]
    assert world.field("worker/a", "tag") == "x"
    assert world.children() == dict.fromkeys("abc", "running")
    assert world.history() == [("start", "")]


@pytest.mark.parametrize(
    ("strategy", "again"),
    [("one_for_one", "b"), ("one_for_all", "abc"), ("rest_for_one", "bc")],
)
def test_strategies(world, strategy, again):
    begin(world, workers("a", "b", "c"), strategy=strategy)
    for id in "abc":
        world.ask(f"worker/{id}", "add")
    before = len(log(world))
    fails(world, "b")
    assert log(world)[before:] == [f"start worker/{id}" for id in again]
    assert starts(world) == {id: 1 + (id in again) for id in "abc"}
    counts = {id: world.ask(f"worker/{id}", "add") for id in "abc"}
    assert counts == {id: 1 if id in again else 2 for id in "abc"}
    assert world.history()[1:] == [("restart", "b")]


@pytest.mark.parametrize(
    ("restart", "how", "again"),
    [
        ("permanent", "fail", True), ("permanent", "leave", True), ("transient", "fail", True),
        ("transient", "leave", False), ("temporary", "fail", False), ("temporary", "leave", False),
    ],
)  # fmt: skip
def test_restart_types(world, restart, how, again):
    begin(world, workers("a", "b", restart=restart))
    fails(world, "a", how)
    over = {} if restart == "temporary" else {"a": "stopped"}  # a temporary one is forgotten
    assert world.children() == {**({"a": "running"} if again else over), "b": "running"}
    assert world.ask("worker/a", "add") == (1 if again else "stopped")
    assert world.history()[1:] == [("restart" if again else "stop", "a")]


def test_directives(world):
    children = [Child(d, "worker", on_failure=d) for d in ("restart", "resume", "stop")]
    begin(world, children)
    for d in ("restart", "resume", "stop"):
        world.ask(f"worker/{d}", "add")
        fails(world, d)
    assert world.ask("worker/restart", "add") == 1
    assert world.ask("worker/resume", "add") == 2
    assert world.ask("worker/stop", "add") == "stopped"
    assert world.history()[1:] == [("restart", "restart"), ("resume", "resume"), ("stop", "stop")]


def test_too_many_restarts_within_the_window_and_not_over_a_longer_time(world):
    begin(world, workers("a", "b"), max_restarts=2, max_restart_window_seconds=5)
    for _ in range(5):
        fails(world, "a")
        world.run(2_600)
    assert world.children() == {"a": "running", "b": "running"}
    world.run(5_000)
    for _ in range(3):
        fails(world, "a")
    assert world.children() == {"a": "stopped", "b": "stopped"}
    assert world.history()[-1] == ("give up", "a")
    assert world.history().count(("restart", "a")) == 7
    assert world.ask("worker/b", "add") == "stopped"
    assert world.ask("supervisor/app", "restart") is None
    world.run()
    assert world.children() == {"a": "running", "b": "running"}


def test_a_failure_counts_once_for_each_life(world):
    begin(world, workers("a"), max_restarts=1)
    for _ in range(4):  # all before the supervisor hears of the first
        world.tell("worker/a", "fail")
    world.run()
    assert starts(world) == {"a": 2}
    assert world.children() == {"a": "running"}


def test_a_child_that_cannot_start_is_tried_until_the_supervisor_gives_up(world):
    begin(world, [*workers("a"), Child("b", "worker", {"broken": True}), *workers("c")], max_restarts=2)
    assert world.history() == [("start", ""), ("restart", "b"), ("restart", "b"), ("give up", "b")]
    assert world.children() == {"a": "stopped", "b": "stopped", "c": "new"}
    assert log(world) == ["start worker/a"]


def test_a_type_that_nobody_has(world):
    begin(world, [Child("a", "nobody")], max_restarts=1)
    assert world.history()[-1] == ("give up", "a")
    [child] = world.ask("supervisor/app", "which_children")
    assert "no actor type 'nobody'" in child["reason"]


def test_nested_supervisors_escalate(world):
    inner = Supervisor(workers("a", "b"), max_restarts=0)
    begin(world, [*workers("before"), Child("inner", supervisor=inner)], max_restarts=1)
    assert world.children() == {"before": "running", "inner": "running"}
    assert world.children("app.inner") == {"a": "running", "b": "running"}
    world.ask("worker/b", "add")
    fails(world, "a")
    assert world.history()[1:] == [("restart", "inner")]
    assert world.children("app.inner") == {"a": "running", "b": "running"}
    assert world.ask("worker/b", "add") == 1
    assert world.ask("worker/before", "add") == 1
    fails(world, "b")
    assert world.children() == {"before": "stopped", "inner": "stopped"}
    assert world.ask("worker/a", "add") == "stopped"


def test_the_directive_escalate(world):
    inner = Supervisor([Child("a", "worker", on_failure="escalate"), *workers("b")])
    begin(world, [Child("inner", supervisor=inner)])
    fails(world, "a")
    assert world.history()[1:] == [("restart", "inner")]
    assert world.children("app.inner") == {"a": "running", "b": "running"}


def test_children_stop_in_the_reverse_order_each_within_its_time(world):
    children = [Child("a", "slow"), Child("b", "slow", shutdown_timeout_seconds=0.1), Child("c", "slow")]
    begin(world, [Child("inner", supervisor=Supervisor(children))])
    assert world.ask("supervisor/app", "stop_child", id="inner") is None
    for _ in range(9):
        world.run(50)
    assert log(world) == ["stopping slow/c", "stopped slow/c", "stopping slow/b", "stopping slow/a"]
    world.run(300)
    assert log(world)[-1] == "stopped slow/a"
    assert world.life("slow/b").reason == "killed"
    assert world.life("slow/a").reason == "shutdown"
    assert world.children() == {"inner": "stopped"}
    assert world.life("supervisor/app.inner").stopped


def test_children_at_run_time(world):
    begin(world, workers("a"), max_restart_window_seconds=5)  # a whole number, too
    assert world.ask("supervisor/app", "start_child", child={"id": "b", "type": "worker"}) == "worker/b"
    assert world.ask("worker/b", "add") == 1
    assert world.ask("supervisor/app", "start_child", child={"id": "b", "type": "worker"}) == "rejected"
    assert world.ask("supervisor/app", "start_child", child={"id": "c", "typ": "worker"}) == "rejected"
    for running in ("restart_child", "delete_child"):
        assert world.ask("supervisor/app", running, id="b") == "rejected"
    for id in ("a", "b"):
        assert world.ask("supervisor/app", "stop_child", id=id) is None
    assert world.ask("supervisor/app", "restart_child", id="b") == "worker/b"
    assert world.ask("worker/b", "add") == 1
    assert world.ask("supervisor/app", "delete_child", id="a") is None
    assert world.children() == {"b": "running"}
    assert world.ask("worker/a", "add") == "stopped"
    assert world.ask("supervisor/app", "stop_child", id="a") == "rejected"


def test_a_new_declaration_changes_what_has_changed(world):
    begin(world, [*workers("a", "b"), Child("inner", supervisor=Supervisor(workers("x")))])
    for id in ("a", "b", "x"):
        world.ask(f"worker/{id}", "add")
    begin(world, [*workers("a", "b"), Child("inner", supervisor=Supervisor(workers("x")))])
    assert world.history() == [("start", "")]
    inner = Supervisor([*workers("x"), *workers("y")])
    begin(world, [Child("b", "worker", {"tag": "new"}), *workers("c"), Child("inner", supervisor=inner)])
    assert world.children() == {"b": "running", "c": "running", "inner": "running"}
    assert world.children("app.inner") == {"x": "running", "y": "running"}
    assert world.ask("worker/a", "add") == "stopped"
    assert world.ask("worker/b", "add") == 1
    assert world.ask("worker/x", "add") == 2
    spec = Supervisor([Child("b", "slow")]).table()
    assert world.ask("supervisor/app", "configure", spec=spec) == "rejected"


def test_state_that_was_there_before_is_kept_by_the_first_start(world):
    world.ask("worker/a", "add")
    begin(world, workers("a"))
    assert world.ask("worker/a", "add") == 2


def test_an_actor_has_one_supervisor(world):
    begin(world, workers("a"))
    spec = Supervisor(workers("a"), max_restarts=0).table()
    world.ask("supervisor/other", "configure", spec=spec)
    world.run()
    [child] = world.ask("supervisor/other", "which_children")
    assert child["reason"] == "default/default/worker/a is a child of default/default/supervisor/app"
    assert world.children() == {"a": "running"}
    assert world.ask("worker/a", "add") == 1


def test_a_killed_supervisor_takes_its_children_with_it(world):
    begin(world, [Child("inner", supervisor=Supervisor(workers("a")))])
    world.ask("worker/a", "add")
    world.ask("supervisor/app.inner", "$kill")
    world.run()
    assert world.history()[1:] == [("restart", "inner")]
    assert world.children("app.inner") == {"a": "running"}
    assert world.ask("worker/a", "add") == 1


def test_strangers_cannot_speak_for_a_child(world):
    begin(world, workers("a"))
    told = {"child": "worker/a", "event": "failed", "ref": "1.0", "reason": "x"}
    assert world.ask("supervisor/app", "__child__", **told) == "rejected"
    assert world.ask("supervisor/app", "$exited", ref="1.0") == "bad_arguments"
    assert starts(world) == {"a": 1}


def test_one_that_gave_up_starts_and_configures_nothing(world):
    begin(world, [*workers("a"), Child("b", "worker", {"tag": "old"})], max_restarts=0)
    world.tell("worker/a", "fail")
    world.run()
    assert [d for d, _ in world.history()][-1] == "give up"
    lines = log(world)
    assert world.ask("supervisor/app", "start_child", child={"id": "c", "type": "worker"}) == "rejected"
    assert world.ask("supervisor/app", "restart_child", id="a") == "rejected"
    spec = Supervisor([*workers("a", "d"), Child("b", "worker", {"tag": "new"})]).table()
    assert world.ask("supervisor/app", "configure", spec=spec) is None
    world.run(60_000)
    assert set(world.children().values()) <= {"stopped", "new"}
    assert log(world) == lines
    world.ask("supervisor/app", "restart")
    world.run()
    assert world.children() == {"a": "running", "d": "running", "b": "running"}
    assert world.field("worker/b", "tag") == "new"


def test_what_is_said_of_an_earlier_life_of_a_child_counts_for_nothing():
    child = Node("c", "a/c", {}, "permanent", "restart", 5.0, status="running", ref="life 2")
    children = Children({}, {})
    children.append(child)
    tree = Tree("app", Head(phase="running"), children, [], [], [], acts := Noted())
    tree.ended("a/c", "life 1", "failed", "boom")
    tree.started("a/c", "life 1")
    assert (acts.calls, child.status, tree.todo, tree.waiting) == ([], "running", [], [])
    tree.ended("a/c", "life 2", "failed", "boom")
    assert acts.calls


class Noted:
    """Acts that are only noted."""

    def __init__(self):
        self.calls = []

    def now(self):
        return 0

    def __getattr__(self, name):
        def act(*arguments):
            self.calls.append((name, arguments))
            return f"{name} {len(self.calls)}"

        return act


def test_one_that_was_spawned_and_gave_up_begins_anew_when_it_is_spawned_again():
    @actor(name="office")
    class Office:
        @handler
        def open(self):
            host.spawn("supervisor", "desks", Supervisor([Child("d", "worker")], max_restarts=0))

    world = World(Worker, Log, Office)
    world.ask("office/1", "open")
    world.tell("worker/d", "fail")
    world.run(1000)
    for _ in range(2):
        assert world.ask("supervisor/desks", "restart") == "stopped"
        assert world.ask("worker/d", "add") == "stopped"
    world.ask("office/1", "open")
    assert world.children("desks") == {"d": "running"}
