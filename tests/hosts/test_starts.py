"""Starts that somebody waits for, that are not to be, or that end in between; and the hook for a crash."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import (
    AlreadyStarted,
    CallError,
    DeclarationError,
    Ignore,
    Ignored,
    Retry,
    actor,
    handler,
    host,
    init_handler,
    on_crash,
    state,
)


@actor(name="log")
class Log:
    lines: list = state(default_factory=list)

    @handler("line")
    def line(self, text: str):
        self.lines.append(text)


@actor(name="worker", retry=Retry(attempts=1))
class Worker:
    n: int = state(default=0)

    @init_handler
    def init(self, config: dict):
        self.n = 10
        if "ignore" in config:
            raise Ignore(config["ignore"])
        if "wait" in config:
            host.sleep(config["wait"])
        if "late" in config:
            raise Ignore(config["late"])
        if "fail" in config:
            raise ValueError("cannot start")
        if "step" in config:
            host.ask("log/1", "nothing of the kind")

    @handler("add")
    def add(self):
        self.n += 1
        return self.n

    @handler("fail")
    def fail(self):
        self.n = 99
        host.tell("log/1", "line", text="rolled back")
        raise ValueError("boom")

    @handler("fail_later")
    async def fail_later(self):
        await host.sleep(1)
        raise ValueError("later")

    @handler("refuse")
    def refuse(self):
        raise Ignore("only an init handler may")

    @on_crash
    def crashed(self, reason: str):
        host.tell("log/1", "line", text=f"{host.self_id()} at {self.n}: {reason}")
        self.n = 1000


@actor(name="boss")
class Boss:
    down: list = state(default_factory=list)

    @handler("spawn")
    def spawn(self, args: dict) -> str:
        return host.spawn("worker", "w", args, wait=True)

    @handler("try_all")
    async def try_all(self, several: list) -> list:
        found = []
        for args in several:
            try:
                found.append(await host.spawn("worker", args.pop("id"), args, wait=True))
            except AlreadyStarted:
                found.append("already started")
            except Ignored as error:
                found.append(error.detail)
            except CallError as error:
                found.append(error.code)
        return found

    @handler("bare")
    def bare(self, id: str, link: bool = False):
        host.spawn("worker", id, {"ignore": "not here"}, link=link)

    @handler("both")
    def both(self):
        host.spawn("worker", "w", link=True, wait=True)

    @handler("watch")
    def watch(self, address: str):
        host.monitor(address)

    @handler("__down__")
    def on_down(self, address: str, ref: str, reason: str):
        self.down.append(reason)


@pytest.fixture(params=[0, 1, 3], ids=["", "crash after each turn", "crash after three"])
def world(request):
    return World(Log, Worker, Boss, crash_every=request.param)


def begin(world, *children, **more):
    spec = {"children": [{"id": id, "type": "worker", "args": args} for id, args in children], **more}
    call = world.start("supervisor/app", "configure", spec=spec)
    world.run()
    return call


def log(world):
    return world.field("log/1", "lines") or []


# Starts that somebody waits for


def test_a_start_that_is_waited_for(world):
    assert world.ask("boss/1", "spawn", args={}) == "worker/w"
    assert world.ask("worker/w", "add") == 11
    assert world.ask("boss/1", "spawn", args={}) == "already_started"
    assert world.ask("worker/w", "add") == 12


def test_a_start_that_waits_is_waited_for(world):
    call = world.start("boss/1", "spawn", args={"wait": 5})
    assert call not in world.replies
    world.run(5_000)
    assert world.replies[call] == "worker/w"


def test_whatever_comes_of_it_is_raised(world):
    world.ask("worker/virtual", "add")
    several = [
        {"id": "a"}, {"id": "a"}, {"id": "b", "ignore": "not here"}, {"id": "c", "fail": 1},
        {"id": "virtual"},
        {"id": "d", "nonsense": 1}, {"id": "b"},
    ]  # fmt: skip
    assert world.ask("boss/1", "try_all", several=several) == [
        "worker/a", "already started", "default/default/worker/b is not to be started: not here", "failed",
        "already started", "worker/d", "worker/b",
    ]  # fmt: skip


def test_one_that_is_waited_for_does_not_link(world):
    assert world.ask("boss/1", "both") == "failed"


# Starts that are not to be


def test_ignored_starts_leave_nothing_and_are_no_failures(world):
    world.ask("boss/1", "bare", id="w")
    world.ask("boss/1", "bare", id="x", link=True)
    assert world.put_aside() == []
    assert world.ask("worker/w", "add") == "stopped"
    assert world.life("worker/w").reason == "ignored: default/default/worker/w is not to be started: not here"
    assert world.life("boss/1") is None or not world.life("boss/1").stopped
    assert world.ask("boss/1", "spawn", args={}) == "worker/w"
    assert world.ask("worker/w", "add") == 11


def test_only_an_init_handler_may_say_that_it_is_not_to_be(world):
    call = world.start("worker/w", "refuse")
    assert world.errors[call]["code"] == "failed"
    assert "Ignore" in world.errors[call]["detail"]


# Starts that end in between


@pytest.mark.parametrize("how", ["$end", "$cancel"])
def test_a_supervised_start_that_is_ended_has_failed(world, how):
    begin(world, ("a", {"wait": 60}), max_restarts=0)
    assert world.children() == {"a": "starting"}
    [(_, number)] = world.waiting()
    world.ask("worker/a", how, invocation=number)
    assert world.children() == {"a": "stopped"}
    assert world.history()[-1] == ("give up", "a")


# The hook for a crash


def test_a_crash_is_told_with_the_state_from_before(world):
    begin(world, ("a", {}))
    world.ask("worker/a", "add")
    assert world.ask("worker/a", "fail") == "failed"
    world.run()
    assert log(world) == ["worker/a at 11: failed: worker.fail raised ValueError: boom"]
    assert world.ask("worker/a", "add") == 11


def test_a_crash_of_a_handler_that_waits(world):
    begin(world, ("a", {}))
    call = world.start("worker/a", "fail_later")
    world.run(1_000)
    assert world.replies[call] == "failed"
    assert log(world) == ["worker/a at 10: failed: worker.fail_later raised ValueError: later"]


def test_who_fails_twice_before_the_decision_crashes_once(world):
    begin(world, ("a", {}))
    for _ in range(3):
        world.tell("worker/a", "fail")
    world.run()
    assert len(log(world)) == 1


def test_a_failure_that_ends_nothing_is_no_crash(world):
    assert world.ask("worker/a", "fail") == "failed"
    assert log(world) == []


def test_a_failed_start_is_no_crash(world):
    begin(world, ("a", {"fail": 1}), max_restarts=0)
    assert log(world) == []


@pytest.mark.parametrize("what", ["raise ValueError", "host.sleep", "send_after", "exit"])
def test_a_hook_that_cannot_be_changes_nothing(what, caplog):
    @actor(name="worker", retry=Retry(attempts=1))
    class Bad:
        @handler("fail")
        def fail(self):
            raise ValueError("boom")

        @on_crash
        def crashed(self, reason: str):
            host.tell("log/1", "line", text="lost")
            if what == "host.sleep":
                host.sleep(1)
            elif what == "send_after":
                host.send_after(1, "fail")
            elif what == "exit":
                host.exit("again")
            else:
                raise ValueError("in the hook")

    world = World(Log, Bad)
    begin(world, ("a", {}))
    assert world.ask("worker/a", "fail") == "failed"
    assert log(world) == []
    assert world.children() == {"a": "running"}
    assert "its on_crash hook failed" in caplog.text


def test_a_hook_takes_a_reason():
    with pytest.raises(DeclarationError, match=r"write def crashed\(self, reason: str\)"):
        class Bad:
            @on_crash
            def crashed(self):
                pass
