"""While a handler waits: who else goes on, who queues, and how it ends, through crashes and from outside."""

import pytest
from world import World

from plexstream import actor, handler, host, state
from plexstream.model.errors import CallError
from plexstream.model.journal.journal import DONE
from plexstream.sdk.spec import Retry

FAILS = {}


def failing(name):
    """Raises as often as a test has asked for."""
    if FAILS.get(name, 0) > 0:
        FAILS[name] -= 1
        raise ValueError(f"{name} on purpose")


@actor(retry=Retry(attempts=3, interval=0.1), idle_timeout=5.0)
class Shop:
    seen: list = state(default_factory=list)

    @handler("slow")
    async def slow(self, name: str = "slow", seconds: float = 1.0):
        self.seen = [*self.seen, name]
        await host.sleep(seconds)
        self.seen = [*self.seen, f"{name} slept"]
        return name

    @handler("add")
    def add(self, name: str):
        self.seen = [*self.seen, name]
        return name

    @handler("report", read_only=True)
    def report(self):
        return self.seen

    @handler("cleans")
    async def cleans(self):
        try:
            await host.sleep(60)
        except CallError as error:
            await host.sleep(1)
            self.seen = [*self.seen, f"undone: {error.code}"]
            return "cleaned"

    @handler("steps")
    def steps(self):
        for name in ("a", "b", "c"):
            host.tell("log/1", "note", name=name)
            host.run(name, str, name)
            failing(name)
        self.seen = [*self.seen, "steps"]
        return "done"

    @handler("patient", retry=Retry(attempts=3, interval=0.1))
    async def patient(self):
        got = await host.run("once", str, "got")
        failing("patient")
        return got

    @handler("ask")
    async def ask(self, whom: str, what: str):
        try:
            return await host.ask(whom, what)
        except CallError as error:
            return error.code

    @handler("ask_back")
    async def ask_back(self, whom: str):
        return await host.ask(whom, "ask", whom=host.self_id(), what="report_waiting")

    @handler("report_waiting")
    def report_waiting(self):
        return "never"

    @handler("run")
    async def run(self):
        return await host.run("effect", str, "x")

    @handler("remind")
    def remind(self):
        host.remind("beat", "beat", every=10.0)

    @handler("beat")
    async def beat(self):
        await host.sleep(0.5)
        self.seen = [*self.seen, "beat"]


@actor
class Log:
    names: list = state(default_factory=list)

    @handler("note")
    def note(self, name: str):
        self.names = [*self.names, name]

    @handler("report", read_only=True)
    def report(self):
        return self.names


@actor(state_ttl=7.0)
class Brief:
    seen: list = state(default_factory=list)

    @handler("add")
    def add(self, name: str):
        self.seen = [*self.seen, name]
        return self.seen

    @handler("slow")
    async def slow(self):
        await host.sleep(10)
        self.seen = [*self.seen, "slow"]
        return self.seen

    @handler("report", read_only=True)
    def report(self):
        return self.seen


@pytest.fixture
def world():
    FAILS.clear()
    return World(Shop, Log)


CRASHES = pytest.mark.parametrize("crash_every", [0, 1, 2, 3])


@CRASHES
@pytest.mark.parametrize("parked", [False, True])
def test_messages_wait_in_order_behind_a_handler_that_waits(crash_every, parked):
    w = World(Shop, Log, crash_every=crash_every)
    first = w.start("shop/1", "slow", seconds=60)
    names = [f"m{i}" for i in range(5)]
    for name in names[:3]:
        w.tell("shop/1", "add", name=name)
    w.run()
    if parked:
        w.run(6000)  # they are copied into the journal
        assert len([s for s in w.steps("add") if s.begin is not None]) == 3
        assert not w.p.inbox.waiting
    for name in names[3:]:
        w.tell("shop/1", "add", name=name)
    w.run()
    assert w.field("shop/1", "seen") is None
    assert first not in w.replies
    w.restart()
    w.run()
    w.run(60_000)
    assert w.replies[first] == "slow"
    assert w.field("shop/1", "seen") == ["slow", "slow slept", *names]
    assert w.waiting() == []


def test_a_read_sees_the_state_before_the_handler_that_waits(world):
    world.ask("shop/1", "add", name="before")
    world.start("shop/1", "slow")
    assert world.ask("shop/1", "report", _read=True) == ["before"]
    world.restart()
    world.run()
    assert world.ask("shop/1", "report") == ["before"]
    world.run(1000)
    assert world.ask("shop/1", "report") == ["before", "slow", "slow slept"]


def test_an_actor_that_waits_stays_and_the_others_go_on(world):
    id = world.start("shop/1", "slow", seconds=3600)
    world.run(60_000)
    world.p.actors.evict_idle(world.now)
    assert world.ask("shop/2", "add", name="x") == "x"
    world.run(3600_000)
    assert world.replies[id] == "slow"


# Deadlock


def test_an_actor_that_asks_itself_is_told(world):
    assert world.ask("shop/1", "ask", whom="shop/1", what="report_waiting") == "deadlock"
    assert world.waiting() == []


def test_a_asks_b_asks_a_is_told(world):
    assert world.ask("shop/1", "ask_back", whom="shop/2") == "deadlock"
    assert world.waiting() == []


# Failures


@pytest.mark.parametrize("crash_every", [0, 2, 3])  # one that is there at every crash in a row is put aside
def test_a_tell_is_tried_again_from_its_recorded_steps(crash_every):
    FAILS.clear()
    FAILS.update(b=1, c=1)
    w = World(Shop, Log, crash_every=crash_every)
    w.tell("shop/1", "steps")
    w.run()
    for _ in range(5):
        w.run(1000)
    assert w.field("shop/1", "seen") == ["steps"]
    assert w.field("log/1", "names") == ["a", "b", "c"]
    assert w.put_aside() == []


def test_a_tell_that_keeps_failing_is_put_aside_and_others_go_on(world):
    FAILS.update(b=99)
    world.tell("shop/1", "steps")
    world.tell("shop/1", "add", name="next")
    for _ in range(6):
        world.run(1000)
    assert world.put_aside() == [("steps", "failed")]
    assert FAILS["b"] == 99 - 3
    assert world.field("shop/1", "seen") == ["next"]
    assert world.field("log/1", "names") == ["a", "b"]


def test_an_ask_fails_at_once_unless_its_handler_is_to_be_tried_again(world):
    FAILS.update(a=1, patient=1)
    assert world.ask("shop/1", "steps") == "failed"
    id = world.start("shop/1", "patient")
    assert id not in world.replies
    world.run(1000)
    assert world.replies[id] == "got"
    FAILS.update(patient=99)
    id = world.start("shop/1", "patient")
    for _ in range(5):
        world.run(1000)
    assert world.replies[id] == "failed"
    assert FAILS["patient"] == 99 - 3


# From outside


def control(w, what, to="shop/1", **arguments):
    return w.ask(to, what, **arguments)


def test_cancel_is_an_error_that_the_handler_may_clean_up_after(world):
    id = world.start("shop/1", "cleans")
    assert control(world, "$cancel") == {"address": "default/default/shop/1", "invocation": 1}
    assert id not in world.replies
    world.restart()
    world.run(1000)
    assert world.replies[id] == "cleaned"
    assert world.field("shop/1", "seen") == ["undone: cancelled"]
    id = world.start("shop/1", "slow")
    control(world, "$cancel")
    assert world.replies[id] == "cancelled"
    assert world.field("shop/1", "seen") == ["undone: cancelled"]
    assert control(world, "$cancel") == "unknown_invocation"


def test_kill_ends_it_without_a_word_to_its_code(world):
    id = world.start("shop/1", "cleans")
    world.tell("shop/1", "add", name="next")
    control(world, "$end", invocation=1)
    assert world.replies[id] == "killed"
    world.run(60_000)
    assert world.field("shop/1", "seen") == ["next"]
    assert world.waiting() == []


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("how", ["slow", "steps"])
def test_a_paused_handler_does_not_go_on_until_it_is_resumed(crash, how, world):
    world.hold_effects = True
    id = world.start("shop/1", how)
    control(world, "$pause", invocation=1)
    if crash:
        world.restart()
    world.hold_effects = False
    world.run(5000)
    assert id not in world.replies
    if crash:
        world.restart()
        world.run()
    assert control(world, "$resume", invocation=1) == {"address": "default/default/shop/1", "invocation": 1}
    world.run(1000)
    assert world.replies[id] in ("slow", "done")


# Idempotency


@pytest.mark.parametrize("parked", [False, True])
@pytest.mark.parametrize("crash", [False, True])
def test_an_idempotency_key_runs_once_while_it_waits_and_afterwards(world, parked, crash):
    first = world.start("shop/1", "slow", _key="k", seconds=60)
    second = world.start("shop/1", "slow", _key="k", seconds=60)
    if parked:
        world.run(6000)
    if crash:
        world.restart()
        world.run()
    world.run(60_000)
    third = world.start("shop/1", "slow", _key="k", seconds=60)
    assert [world.replies[id] for id in (first, second, third)] == ["slow"] * 3
    assert world.field("shop/1", "seen") == ["slow", "slow slept"]


# Side effects


def test_an_effect_that_is_recorded_does_not_run_again(world):
    id = world.start("shop/1", "run")
    assert world.replies[id] == "x"
    done = [s for s in world.steps("run") if s.status == DONE]
    assert [c.value for s in done for c in s.completions] == [b'"x"']


def test_an_effect_that_was_running_in_the_crash_runs_again(world):
    world.hold_effects = True
    id = world.start("shop/1", "run")
    world.restart()
    world.hold_effects = False
    world.mailbox = world.mailbox[:1]
    world.run()
    assert world.replies[id] == "x"


# Time


def test_a_series_goes_on_while_its_handler_waits(world):
    world.ask("shop/1", "remind")
    for _ in range(3):
        world.run(10_000)
        world.restart()
        world.run(1000)
    assert world.field("shop/1", "seen") == ["beat"] * 3


def test_state_does_not_expire_while_a_handler_waits():
    w = World(Brief)
    w.ask("brief/1", "add", name="old")
    id = w.start("brief/1", "slow")
    w.run(5_000)
    assert w.ask("brief/1", "report", _read=True) == ["old"]
    w.run(5_000)
    assert w.replies[id] == ["old", "slow"]
    assert w.ask("brief/1", "add", name="later") == ["old", "slow", "later"]
    w.run(20_000)
    assert w.ask("brief/1", "add", name="new") == ["new"]


# Lives


def test_a_life_that_ends_ends_its_handlers(world):
    id = world.start("shop/1", "slow", seconds=60)
    world.tell("shop/1", "add", name="next")
    world.tell("shop/1", "$kill", reason="enough", life="")
    world.run()
    assert world.waiting() == []
    assert world.replies[id] in ("stopped", "killed")
    assert world.ask("shop/1", "report") == "stopped"
