"""spawn, stop, exit, link, monitor: what each does, and who hears of what."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import Reject, Retry, actor, cron, handler, host, init_handler, state, state_map


@actor(name="worker", retry=Retry(attempts=2, interval=0))
class Worker:
    n: int = state(default=0)
    name: str = state(default="")
    notes: object = state_map()

    @handler("add")
    def add(self):
        self.n += 1
        self.notes[str(self.n)] = "x"
        return self.n

    @handler("read", read_only=True)
    def read(self):
        return [self.n, self.name, len(self.notes)]

    @handler("fail")
    def fail(self):
        self.n = 99
        raise ValueError("boom")

    @handler("refuse")
    def refuse(self):
        raise Reject("no")

    @handler("leave")
    def leave(self, reason="normal"):
        self.n += 100
        host.exit(reason)


@actor(name="ticker", retry=Retry(attempts=1))
class Ticker:
    n: int = state(default=0)

    @handler("begin")
    def begin(self):
        host.send_after(1, "tick")
        host.send_after(1, "line", to="boss/9", text="still sent")

    @handler("tick")
    def tick(self):
        self.n += 1
        host.send_after(1, "tick")

    @handler("leave")
    def leave(self):
        host.send_after(1, "tick")
        host.exit()

    @handler("fail")
    def fail(self):
        raise ValueError


@actor(name="clock", retry=Retry(attempts=1))
class Clock:
    n: int = state(default=0)

    @cron("* * * * *")
    @handler("tick")
    def tick(self):
        self.n += 1
        if self.n == 2:
            host.exit()
        if self.n == 4:
            raise ValueError

    @handler("skip")
    def skip(self):
        self.n = 3


@actor(name="boss")
class Boss:
    heard: list = state(default_factory=list)
    refs: list = state(default_factory=list)
    down_ref: str = state(default="")

    @handler("do")
    def do(self, calls: list):
        for name, *arguments in calls:
            found = getattr(host, name)(*arguments)
            if name == "monitor":
                self.refs.append(found)

    @handler("spawn_linked")
    def spawn_linked(self, id: str):
        host.spawn("worker", id, {"name": "w"}, link=True)

    @handler("forget")
    def forget(self):
        host.demonitor(self.refs[-1])

    @handler("__down__")
    def down(self, address: str, ref: str, reason: str):
        self.heard.append(["down", address, reason])
        self.down_ref = ref


@actor(name="trapper")
class Trapper(Boss):
    @handler("__exit__")
    def exited(self, address: str, reason: str):
        self.heard.append(["exit", address, reason])


@actor(name="tidy")
class Tidy:
    begun: dict = state(default_factory=dict)
    stopping: str = state(default="")

    @init_handler
    def init(self, config: dict):
        self.begun = config

    @handler("__stop__")
    def stop(self, reason: str):
        self.stopping = reason
        host.send_after(0.1, "done")

    @handler("done")
    def done(self):
        host.exit(self.stopping)


@pytest.fixture(params=[0, 1, 3], ids=["", "crash after each turn", "crash after three"])
def world(request):
    return World(Worker, Boss, Trapper, Tidy, Ticker, Clock, crash_every=request.param)


def do(world, boss, *calls):
    assert world.ask(boss, "do", calls=[list(c) for c in calls]) is None
    world.run()


def test_spawn_fills_fields_and_is_done_once(world):
    do(world, "boss/1", ["spawn", "worker", "1", {"name": "one"}])
    assert world.ask("worker/1", "read") == [0, "one", 0]
    world.ask("worker/1", "add")
    do(world, "boss/1", ["spawn", "worker", "1", {"name": "two"}])
    assert world.ask("worker/1", "read") == [1, "one", 1]
    assert world.life("worker/1").starts == 1


def test_a_spawned_actor_is_stopped_by_a_failure_and_begins_anew_when_started(world):
    do(world, "boss/1", ["spawn", "worker", "1"])
    world.ask("worker/1", "add")
    assert world.ask("worker/1", "refuse") == "rejected"
    assert world.ask("worker/1", "read") == [1, "", 1]
    assert world.ask("worker/1", "fail") == "failed"
    assert world.life("worker/1").reason.startswith("failed: worker.fail raised ValueError: boom")
    assert world.ask("worker/1", "read") == "stopped"
    world.tell("worker/1", "add")
    world.run()
    assert world.put_aside() == [("add", "stopped")]
    do(world, "boss/1", ["spawn", "worker", "1"])
    assert world.ask("worker/1", "read") == [0, "", 0]
    assert world.ask("worker/1", "add") == 1


def test_an_actor_that_nobody_started_goes_on_after_a_failure(world):
    world.ask("worker/1", "add")
    assert world.ask("worker/1", "fail") == "failed"
    assert world.ask("worker/1", "read") == [1, "", 1]
    assert world.life("worker/1") is None


def test_bad_input_does_not_end_an_actor(world):
    do(world, "boss/1", ["spawn", "worker", "1"])
    assert world.ask("worker/1", "nothing") == "unknown_handler"
    assert world.ask("worker/1", "add", much=1) == "bad_arguments"
    assert world.ask("worker/1", "$start", args=1) == "bad_arguments"
    assert world.ask("worker/1", "$stop", reason=1) == "bad_arguments"
    assert world.ask("worker/1", "$link") == "bad_arguments"
    assert world.ask("worker/1", "add") == 1


def test_what_does_not_fit_the_start(world):
    do(world, "trapper/1", ["spawn", "worker", "1", {"nam": "x"}])
    assert world.put_aside() == [("$start", "bad_arguments")]
    assert world.ask("worker/1", "add") == "stopped"
    assert "no state field 'nam'" in world.life("worker/1").reason


def test_init_gets_the_arguments(world):
    do(world, "boss/1", ["spawn", "tidy", "1", {"a": [1]}])
    assert world.field("tidy/1", "begun") == {"a": [1]}


def test_stop_and_exit(world):
    do(world, "boss/1", ["spawn", "worker", "1"], ["monitor", "worker/1"], ["stop", "worker/1", "over"])
    assert world.ask("worker/1", "add") == "stopped"
    assert world.field("boss/1", "heard") == [["down", "worker/1", "over"]]
    do(world, "boss/1", ["spawn", "worker", "2"], ["monitor", "worker/2"])
    assert world.ask("worker/2", "leave") is None  # its turn takes effect
    assert world.field("worker/2", "n") == 100
    assert world.field("boss/1", "heard")[1:] == [["down", "worker/2", "normal"]]


def test_a_stop_comes_behind_what_was_sent_before(world):
    do(world, "boss/1", ["spawn", "worker", "1"], ["tell", "worker/1", "add"], ["stop", "worker/1"])
    assert world.field("worker/1", "n") == 1


def test_links_end_together(world):
    world.ask("worker/2", "add")
    do(world, "boss/1", ["link", "worker/1"], ["link", "worker/2"])
    do(world, "trapper/1", ["link", "boss/1"])
    assert world.ask("worker/1", "fail") == "failed"
    world.run()
    for address in ("worker/1", "worker/2", "boss/1"):
        assert world.life(address).reason.startswith("failed: worker.fail")
        assert world.links(address) == []
    assert world.ask("worker/2", "add") == "stopped"
    [[what, who, why]] = world.field("trapper/1", "heard")
    assert (what, who) == ("exit", "boss/1")
    assert "boom" in why
    assert world.links("trapper/1") == []


def test_a_normal_exit_ends_nobody_else(world):
    do(world, "boss/1", ["link", "worker/1"])
    do(world, "trapper/1", ["link", "worker/1"])
    world.ask("worker/1", "leave")
    world.run()
    assert not world.life("boss/1").stopped
    assert world.links("boss/1") == []
    assert world.field("trapper/1", "heard") == [["exit", "worker/1", "normal"]]


def test_what_is_undone_with_the_end_stays_undone(world):
    do(world, "boss/1", ["link", "worker/1"], ["monitor", "worker/2"])
    ref = world.field("boss/1", "refs")[0]
    do(world, "boss/1", ["unlink", "worker/1"], ["demonitor", ref], ["exit", "gone"])
    assert world.links("boss/1") == world.links("worker/1") == world.links("worker/2") == []
    assert world.ask("worker/1", "add") == 1


@pytest.mark.parametrize("address", ["worker/1", "default/default/worker/1"])
def test_the_reference_of_a_monitor_is_the_one_of_its_notice(world, address):
    do(world, "boss/1", ["monitor", address])
    world.ask("worker/1", "leave")
    world.run()
    assert [world.field("boss/1", "down_ref")] == world.field("boss/1", "refs")


def test_unlinked_actors_end_alone(world):
    do(world, "boss/1", ["link", "worker/1"])
    do(world, "boss/1", ["unlink", "worker/1"])
    world.ask("worker/1", "fail")
    world.run()
    assert world.ask("boss/1", "do", calls=[]) is None
    assert world.ask("worker/1", "add") == 1


def test_spawned_and_linked_at_once(world):
    world.ask("boss/1", "spawn_linked", id="1")
    world.run()
    assert world.ask("worker/1", "read") == [0, "w", 0]
    world.ask("worker/1", "fail")
    world.run()
    assert world.ask("boss/1", "do", calls=[]) == "stopped"


def test_a_monitor_hears_once_and_not_at_all_when_taken_back(world):
    do(world, "boss/1", ["monitor", "worker/1"])
    world.ask("worker/1", "fail")
    world.ask("worker/1", "fail")
    world.run()
    assert [h[:2] for h in world.field("boss/1", "heard")] == [["down", "worker/1"]]
    assert world.ask("worker/1", "add") == 1  # nobody started it
    do(world, "boss/1", ["monitor", "worker/1"])
    world.tell("worker/1", "fail")
    world.tell("boss/1", "forget")
    world.run()
    assert len(world.field("boss/1", "heard")) == 1
    assert world.links("boss/1") == world.links("worker/1") == []


def test_what_is_not_there(world):
    do(world, "trapper/1", ["link", "nobody/1"], ["monitor", "nobody/1"])
    assert world.field("trapper/1", "heard") == [
        ["exit", "nobody/1", "noproc"], ["down", "nobody/1", "noproc"],
    ]  # fmt: skip
    do(world, "boss/1", ["spawn", "worker", "1"], ["stop", "worker/1"])
    do(world, "trapper/1", ["link", "worker/1"], ["monitor", "worker/1"])
    assert [h[2] for h in world.field("trapper/1", "heard")] == ["noproc"] * 4
    assert world.links("trapper/1") == []


def test_who_wants_to_stop_in_its_own_time_may(world):
    do(world, "boss/1", ["spawn", "tidy", "1"], ["monitor", "tidy/1"], ["stop", "tidy/1", "late"])
    assert not world.life("tidy/1").stopped
    world.run(100)
    assert world.life("tidy/1").reason == "late"
    assert [h[2] for h in world.field("boss/1", "heard")] == ["late"]


def test_users_send_no_signals():
    world = World(Boss)
    assert world.ask("boss/1", "do", calls=[["tell", "boss/2", "$kill"]]) == "failed"


@pytest.mark.parametrize("how", ["leave", "fail", "$stop", "$kill"])
def test_timers_end_with_a_life_but_for_what_they_send_to_others(world, how):
    do(world, "boss/1", ["spawn", "ticker", "1"])
    world.ask("ticker/1", "begin")
    world.run(1000)
    assert world.field("ticker/1", "n") == 1
    world.ask("ticker/1", "begin")
    world.ask("ticker/1", how)
    world.run(5000)
    assert world.ask("ticker/1", "begin") == "stopped"
    assert world.put_aside() == [("line", "unknown_handler")] * 2
    do(world, "boss/1", ["spawn", "ticker", "1"])
    world.run(5000)
    assert world.field("ticker/1", "n") is None


def test_what_a_type_does_by_the_clock_ends_and_begins_with_a_life(world):
    for last in (2, 3):
        do(world, "boss/1", ["spawn", "clock", "1"])
        if last == 3:
            world.ask("clock/1", "skip")  # its next tick fails
        for _ in range(4):
            world.run(60_000)
        assert world.life("clock/1").stopped
        assert world.field("clock/1", "n") == last
    assert world.put_aside() == [("tick", "failed")]
