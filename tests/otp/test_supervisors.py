"""What OTP's `supervisor` does, as expectations of ours."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from plexstream import CallError, Rejected, Stopped
from tests.otp.systems import System, fresh

R = "running"
LONG_WINDOW = {"max_restart_window_seconds": 3600}


class Group:
    """A supervisor with children whose ids end in its name."""

    def __init__(self, system: System, *children: dict[str, Any], spawn: bool = False, **more: Any) -> None:
        self.system, self.name = system, fresh()
        self.address, self.helper = f"supervisor/s-{self.name}", f"helper/h-{self.name}"
        spec = {"children": [self.child(**child) for child in children], **more}
        if spawn:
            system.ask(self.helper, "supervise", id=f"s-{self.name}", spec=spec)
        else:
            system.ask(self.address, "configure", spec=spec)

    def child(self, id: str, type: str = "worker", **more: Any) -> dict[str, Any]:
        if "supervisor" in more:
            below = more.pop("supervisor")
            below = {**below, "children": [self.child(**c) for c in below.get("children", [])]}
            return {"id": f"{id}-{self.name}", "supervisor": below, **more}
        return {"id": f"{id}-{self.name}", "type": type, **more}

    def id(self, id: str) -> str:
        return f"{id}-{self.name}"

    def do(self, handler: str, id: str) -> Any:
        return self.system.ask(self.address, handler, id=self.id(id))

    def add(self, id: str, **more: Any) -> Any:
        return self.system.ask(self.address, "start_child", child=self.child(id, **more))

    def rows(self, address: str = "") -> dict[str, dict[str, Any]]:
        rows = self.system.ask(address or self.address, "which_children")
        return {row["id"].partition("-")[0]: row for row in rows}

    def status(self, address: str = "") -> dict[str, str]:
        return {id: row["status"] for id, row in self.rows(address).items()}

    def settled(self, **want: str) -> Group:
        try:
            self.system.until(lambda: self.status() == want)
        except AssertionError:
            assert self.status() == want
        return self

    def started(self, **times: int) -> None:
        """Until each runs, and has been started so often."""
        want = {id: (R, n) for id, n in times.items()}
        self.system.until(lambda: {i: (r["status"], r["starts"]) for i, r in self.rows().items()} == want)

    def lines(self) -> list[str]:
        return self.system.ask(f"log/{self.name}", "get")

    def logged(self, *lines: str) -> None:
        try:
            self.system.until(lambda: self.lines() == [*lines])
        except AssertionError:
            assert self.lines() == [*lines]

    def call(self, id: str, handler: str = "add", **arguments: Any) -> Any:
        return self.system.ask(f"worker/{self.id(id)}", handler, **arguments)

    def fail(self, id: str) -> None:
        with pytest.raises(CallError, match="abnormal"):
            self.call(id, "fail")

    def dead(self, *ids: str) -> None:
        for id in ids:
            with pytest.raises(Stopped):
                self.call(id)

    def monitor(self, *addresses: str) -> Group:
        for address in addresses:
            self.system.ask(self.helper, "monitor", address=address)
            # It is known there before anything that is sent to it after that.
            with contextlib.suppress(CallError):
                self.system.ask(address, "no such handler")
        return self

    def down(self, *what: str) -> None:
        try:
            self.system.until(lambda: sorted(self.system.ask(self.helper, "heard")[0]) == sorted(what))
        except AssertionError:
            assert sorted(self.system.ask(self.helper, "heard")[0]) == sorted(what)

    def stop(self) -> None:
        self.system.ask(self.helper, "stop", address=self.address)


def one(id: str = "c1", **more: Any) -> dict[str, Any]:
    return {"id": id, **more}


# Starting and stopping


def test_it_stops_when_it_is_told(system):
    group = Group(system, spawn=True)
    group.monitor(group.address)
    group.stop()
    group.down("s: shutdown")


def test_one_that_is_not_to_be_started_is_no_failure(system):
    ignored = {"args": {"ignore": 1}}
    group = Group(system, one("a"), one("b", **ignored), one("c", restart="temporary", **ignored),
                  one("d"), max_restarts=0)  # fmt: skip
    group.settled(a=R, b="stopped", d=R)
    with pytest.raises(Rejected, match="not here"):
        group.add("e", args={"ignore": 1})
    with pytest.raises(Rejected, match="not here"):
        group.do("restart_child", "b")
    group.settled(a=R, b="stopped", d=R, e="stopped")


def test_a_child_that_cannot_start_ends_the_tree_and_those_before_it_are_stopped(system):
    group = Group(system, one("a"), one("b", args={"fail_at": 1}), one("c"), max_restarts=1, **LONG_WINDOW)
    group.settled(a="stopped", b="stopped", c="new")
    group.logged("start a", "stop a")


@pytest.mark.parametrize(("spec", "word"), [
    ({"children": [{"type": "worker"}]}, "id"),
    ({"children": [{"id": "x"}]}, "type"),
    ({"children": ["x"]}, "table"),
    ({"children": [{"id": "x", "type": "worker", "restart": "prmanent"}]}, "restart"),
    ({"children": [{"id": "x", "type": "worker", "shutdown_timeout_seconds": -1}]}, "shutdown"),
    ({"children": [{"id": "x", "type": "worker", "shutdown_timeout_seconds": "infinite"}]}, "'infinity' or"),
    ({"children": [{"id": "x", "type": "worker"}] * 2}, "two"),
    ({"children": [{"id": "x", "type": "worker", "significant": True}]}, "permanent"),
    ({"children": [{"id": "x", "type": "w", "significant": True, "restart": "transient"}]}, "auto_shutdown"),
    ({"strategy": "none_for_one"}, "strategy"),
    ({"auto_shutdown": "any"}, "auto_shutdown"),
    ({"max_restarts": -1}, "max_restarts"),
    ({"max_restarts": "infinity"}, "max_restarts"),
    ({"max_restart_window_seconds": "infinity"}, "window"),
    ({"max_restart_window_seconds": 0}, "window"),
])  # fmt: skip
def test_faulty_declarations_are_refused(system, spec, word):
    with pytest.raises(Rejected, match=word):
        system.ask(f"supervisor/{fresh()}", "configure", spec=spec)


def test_children_stop_in_the_reverse_order_of_their_start(system):
    group = Group(system, *map(one, "abcd"), spawn=True).settled(a=R, b=R, c=R, d=R)
    group.stop()
    group.logged(*(f"start {x}" for x in "abcd"), *(f"stop {x}" for x in "dcba"))


@pytest.mark.parametrize(("timeout", "asked"), [(0.5, True), (0, False)])
def test_one_that_takes_too_long_is_killed(system, timeout, asked):
    slow = one("c2", type="slow", args={"seconds": -1}, shutdown_timeout_seconds=timeout)
    group = Group(system, one("c1"), slow, spawn=True).settled(c1=R, c2=R)
    group.monitor(f"worker/{group.id('c1')}", f"slow/{group.id('c2')}")
    group.stop()
    group.down("c1: shutdown", "c2: killed")
    assert ("asked c2" in group.lines()) is asked


@pytest.mark.parametrize("timeout", ["infinity", 999_999_999])
def test_one_may_take_its_time(system, timeout):
    slow = one("c1", type="slow", args={"seconds": 0.8}, shutdown_timeout_seconds=timeout)
    group = Group(system, slow, spawn=True).settled(c1=R)
    group.monitor(f"slow/{group.id('c1')}")
    group.stop()
    group.down("c1: shutdown")


# At run time


def test_children_are_administered(system):
    group = Group(system, one("c1")).settled(c1=R)
    with pytest.raises(Rejected, match="already"):
        group.add("c1")
    for handler in ("stop_child", "delete_child", "restart_child", "get_childspec"):
        with pytest.raises(Rejected, match="no child"):
            group.do(handler, "nobody")
    for handler in ("restart_child", "delete_child"):
        with pytest.raises(Rejected, match="it is running"):
            group.do(handler, "c1")
    group.do("stop_child", "c1")
    group.settled(c1="stopped")
    group.do("stop_child", "c1")
    with pytest.raises(Rejected, match="already"):
        group.add("c1")
    assert group.do("restart_child", "c1") == f"worker/{group.id('c1')}"
    group.settled(c1=R)
    group.do("stop_child", "c1")
    group.do("delete_child", "c1")
    group.settled()
    with pytest.raises(Rejected, match="no child"):
        group.do("restart_child", "c1")
    assert group.add("c1") == f"worker/{group.id('c1')}"
    group.settled(c1=R)


def test_a_child_runs_when_its_start_is_answered(system):
    group = Group(system)
    group.add("c1")
    assert group.status() == {"c1": R}


def test_who_asks_for_a_start_hears_of_its_failure(system):
    group = Group(system, one("a"), max_restarts=0).settled(a=R)
    with pytest.raises(Rejected, match="start 1 fails"):
        group.add("b", args={"fail_at": 1})
    group.settled(a=R)


def test_counts_and_declarations(system):
    group = Group(system, one("a", restart="transient", args={"x": 1}), one("b"), one("t", supervisor={}))
    group.settled(a=R, b=R, t=R)
    group.do("stop_child", "b")
    group.settled(a=R, b="stopped", t=R)
    assert system.ask(group.address, "count_children") == {
        "specs": 3,
        "active": 2,
        "supervisors": 1,
        "workers": 2,
    }
    spec = group.do("get_childspec", "a")
    assert (spec["id"], spec["type"], spec["restart"], spec["args"]) == (
        group.id("a"),
        "worker",
        "transient",
        {"x": 1},
    )


def test_it_answers_while_a_child_is_slow_to_stop(system):
    slow = one("c1", type="slow", args={"seconds": 1.0}, shutdown_timeout_seconds=20)
    group = Group(system, slow).settled(c1=R)
    group.do("stop_child", "c1")
    assert group.status() == {"c1": "stopping"}
    again = system.start(group.address, "restart_child", id=group.id("c1"))
    assert again() == f"slow/{group.id('c1')}"
    group.settled(c1=R)
    group.do("stop_child", "c1")
    group.do("delete_child", "c1")  # once it is
    group.settled()


# Whom a restart concerns, and when there is one


@pytest.mark.parametrize("how", ["normal", "shutdown", "shutdown: moved", "abnormal"])
@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
def test_restart_types(system, restart, how):
    group = Group(system, one("c1", restart=restart), max_restarts=2, **LONG_WINDOW).settled(c1=R)
    group.call("c1")
    if how == "abnormal":
        group.fail("c1")
    else:
        group.call("c1", "leave", reason=how)
    if restart == "permanent" or (restart == "transient" and how == "abnormal"):
        group.started(c1=2)
        assert group.call("c1") == 1
        return
    group.settled(**({} if restart == "temporary" else {"c1": "stopped"}))
    group.dead("c1")
    if restart == "temporary":
        group.add("c1", restart="temporary")


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_temporary_bystander_is_not_restarted(system, strategy):
    group = Group(system, one("c1"), one("c2", restart="temporary"), strategy=strategy).settled(c1=R, c2=R)
    group.fail("c1")
    group.started(c1=2)


def test_more_restarts_than_the_window_allows_over_a_longer_time(system):
    group = Group(system, one("c1"), max_restarts=1, max_restart_window_seconds=0.3).settled(c1=R)
    for n in range(3):
        group.fail("c1")
        group.started(c1=n + 2)
        system.wait(0.4)


def test_no_restart_is_allowed(system):
    group = Group(system, one("c1"), one("c2"), max_restarts=0, spawn=True).settled(c1=R, c2=R)
    group.monitor(group.address)
    group.fail("c1")
    group.down(f"s: {group.id('c1')}: failed: worker.fail raised ValueError: abnormal")
    group.dead("c1", "c2")
    assert [line for line in group.lines() if line.startswith("start")] == ["start c1", "start c2"]


@pytest.mark.parametrize(("strategy", "again"), [
    ("one_for_one", ["c2"]), ("one_for_all", ["c1", "c2", "c3"]), ("rest_for_one", ["c2", "c3"]),
])  # fmt: skip
def test_strategies(system, strategy, again):
    children = [one(id) for id in ("c1", "c2", "c3")]
    group = Group(system, *children, strategy=strategy, max_restarts=2, spawn=True, **LONG_WINDOW)
    group.settled(c1=R, c2=R, c3=R).monitor(group.address)
    for id in ("c1", "c2", "c3"):
        group.call(id)
    group.fail("c2")
    group.started(**{id: 1 + (id in again) for id in ("c1", "c2", "c3")})
    assert {id: group.call(id) for id in ("c1", "c2", "c3")} == {
        id: 1 + (id not in again) for id in ("c1", "c2", "c3")
    }
    stops = [line for line in group.lines() if line.startswith("stop")]
    assert stops == [f"stop {id}" for id in reversed(again) if id != "c2"]  # who has crashed is not asked
    group.fail("c3")
    group.started(
        **{id: 1 + (id in again) + (id == "c3" or strategy == "one_for_all") for id in group.rows()}
    )
    group.fail("c3")
    group.down(f"s: {group.id('c3')}: failed: worker.fail raised ValueError: abnormal")
    group.dead("c1", "c2", "c3")


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_a_start_that_goes_on_failing_ends_the_tree(system, strategy):
    group = Group(
        system, one("c1", args={"fail_at": 2}), one("c2"), strategy=strategy, max_restarts=2, **LONG_WINDOW
    )
    group.settled(c1=R, c2=R)
    group.fail("c1")
    group.settled(c1="stopped", c2="stopped")
    group.dead("c1", "c2")


def test_one_for_all_begins_anew_where_a_start_fails(system):
    second = one("c2", args={"fail_at": 2, "good_from": 3})
    group = Group(system, one("c1"), second, strategy="one_for_all", max_restarts=3, **LONG_WINDOW)
    group.settled(c1=R, c2=R)
    group.fail("c1")
    group.started(c1=3, c2=3)


def test_rest_for_one_leaves_alone_what_is_before_a_start_that_fails(system):
    second = one("c2", args={"fail_at": 2, "good_from": 3})
    group = Group(
        system, one("c1"), second, one("c3"), strategy="rest_for_one", max_restarts=3, **LONG_WINDOW
    )
    group.settled(c1=R, c2=R, c3=R)
    group.fail("c1")
    group.started(c1=2, c2=3, c3=2)


def test_a_tree(system):
    below = {"max_restarts": 2, **LONG_WINDOW}
    first = one("t1", supervisor={**below, "children": [one("c1"), one("c2")]})
    second = one("t2", supervisor=below)
    group = Group(system, first, second, strategy="one_for_all", max_restarts=4, **LONG_WINDOW)
    group.settled(t1=R, t2=R)
    t1, t2 = (group.rows()[id]["address"] for id in ("t1", "t2"))
    system.until(lambda: group.status(t1) == {"c1": R, "c2": R})
    for child in (group.child("c3", args={"fail_at": 2}), group.child("c4")):
        system.ask(t2, "start_child", child=child)
    group.fail("c4")
    system.until(lambda: group.rows(t2)["c4"]["starts"] == 2 and group.status(t2) == {"c3": R, "c4": R})
    group.fail("c3")  # it cannot start again: t2 gives up, all are restarted, and what was added is gone
    group.started(t1=2, t2=2)
    system.until(lambda: group.status(t1) == {"c1": R, "c2": R})
    assert group.status(t2) == {}
    group.dead("c3", "c4")


def test_a_worker_for_each_job(system):
    group = Group(system)
    for n in range(6):
        group.add(f"j{n}", restart="temporary")
    for n in range(5):
        group.call(f"j{n}", "leave")
    group.fail("j5")
    group.settled()


def test_a_crash_is_told_by_a_hook(system):
    group = Group(system, one("c1")).settled(c1=R)
    group.call("c1")
    group.fail("c1")
    group.logged("start c1", "crash at 1 c1", "start c1")


@pytest.mark.parametrize(("auto", "ends"), [("any_significant", ["a"]), ("all_significant", ["a", "b"])])
@pytest.mark.parametrize("restart", ["transient", "temporary"])
def test_significant_children(system, auto, ends, restart):
    significant = {"significant": True, "restart": restart}
    group = Group(
        system, one("a", **significant), one("b", **significant), one("c"), auto_shutdown=auto, spawn=True
    )
    group.settled(a=R, b=R, c=R).monitor(group.address)
    group.do("stop_child", "c")
    group.do("restart_child", "c")
    for id in ends:
        assert group.status()["c"] == R
        group.call(id, "leave")
    group.down("s: shutdown")
    group.dead("a", "b", "c")


# Links and monitors


def test_who_watches_hears_of_the_end_once(system):
    name = fresh()
    helper, server = f"helper/{name}", f"server/{name}"
    system.ask(helper, "start", type="server", id=name)
    group = Group(system)
    group.monitor(server)
    system.ask(server, "stop_and_reply")
    group.down(f"{name}: normal")
    system.ask(group.helper, "monitor", address=server)
    group.down(f"{name}: normal", f"{name}: noproc")


def test_who_is_linked_may_hear_instead_of_ending(system):
    name = fresh()
    helper, server = f"helper/{name}", f"server/{name}"
    system.ask(helper, "start", type="server", id=name)
    system.ask(helper, "link", address=server)
    system.ask(server, "req")  # behind it
    with pytest.raises(CallError, match="crash"):
        system.ask(server, "crash")
    system.until(lambda: [x for x in system.ask(helper, "heard")[1] if "crash" in x])
