"""A tell that is tried again for long waits in the journal: it holds up neither marks nor trimming."""

import json
from itertools import pairwise

import pytest
from world import World

from plexstream import Reject, actor, handler, host, state, state_map
from plexstream.inspection.views.invocations import RETRIES, pending, retried
from plexstream.model.journal.attempt import FIELD
from plexstream.model.journal.journal import OutKind
from plexstream.model.journal.snapshot import Piece
from plexstream.model.messages.address import full
from plexstream.model.messages.message import TELL, Envelope
from plexstream.sdk.spec import Retry

HOUR = 3600
TRIED = []
WORLD = []
READY = []
"""When the other side is there again, in ms; never, if that is empty."""


def asks_outside(name):
    TRIED.append((name, WORLD[0].now))
    if not READY or WORLD[0].now < READY[0]:
        raise ConnectionError(f"{name}: nobody is there")


@actor(retry=Retry(attempts=1_000, interval=1.0, factor=2.0, max_interval=60.0))
class Account:
    seen: list = state(default_factory=list)

    @handler("book")
    def book(self, name: str):
        asks_outside(name)
        self.seen = [*self.seen, name]

    @handler("add")
    def add(self, name: str):
        self.seen = [*self.seen, name]

    @handler("read", read_only=True)
    def read(self):
        return self.seen

    @handler("set")
    def set(self):
        host.send_after(0.5, "book", {"name": "timer"})

    @handler("deadly")
    def deadly(self, name: str):
        TRIED.append((name, WORLD[0].now))
        if len(TRIED) < 5:
            raise ConnectionError(name)
        raise KeyboardInterrupt


@actor(retry=Retry(attempts=8, interval=2.0, factor=1.0))
class Slow:
    seen: list = state(default_factory=list)

    @handler("book")
    def book(self, name: str):
        asks_outside(name)
        self.seen = [*self.seen, name]

    @handler("remind")
    def remind(self):
        host.remind("daily", "book", {"name": "daily"}, every=1)

    @handler("refuse")
    def refuse(self):
        if len(TRIED) < 5:
            asks_outside("refuse")
        raise Reject("no")

    async def __start__(self):
        if WORLD[0].slow_start:
            await host.sleep(3)


@actor(state_ttl=20.0, retry=Retry(attempts=5, interval=12.0, factor=1.0))
class Brief:
    n: int = state(default=0)
    notes: dict = state_map()

    @handler("note")
    def note(self, name: str):
        asks_outside(name)
        self.n += 1
        self.notes[name] = self.n

    @handler("read", read_only=True)
    def read(self):
        return [self.n, *self.notes]


@pytest.fixture
def world():
    TRIED.clear()
    READY.clear()
    WORLD[:] = [World(Account, Slow, Brief)]
    WORLD[0].slow_start = False
    return WORLD[0]


def pass_time(world, seconds, crash=0, step=1000):
    """Time passes in steps of `step` ms. `crash`: every so many of them process and disk are lost."""
    for at in range(seconds * 1000 // step):
        if crash and at % crash == crash - 1:
            world.restart()
        world.run(step)


def times():
    """Seconds between the attempts."""
    return [(b - a) / 1000 for (_, a), (_, b) in pairwise(TRIED)]


def low(world):
    """Below which mailbox offset the next mark says that all is done: so far it may be trimmed."""
    return world.p.inbox.plain().low


@pytest.mark.parametrize(("crash", "seconds"), [(0, HOUR), (1, 300), (20, 1800), (100, HOUR)])
def test_the_mailbox_is_done_with_a_tell_that_is_retried_for_an_hour(world, crash, seconds):
    READY.append(world.now + seconds * 1000)
    world.tell("account/1", "book", name="a")
    world.tell("account/1", "add", name="b")
    world.tell("account/2", "add", name="elsewhere")
    world.tell("account/1", "add", name="c")
    pass_time(world, 30, crash)
    if crash == 1:  # what is behind it has never waited for long
        assert low(world) == 1
        pass_time(world, 7)
    assert low(world) == len(world.mailbox) == 4
    assert not world.p.inbox.waiting
    assert world.field("account/2", "seen") == ["elsewhere"]
    for n in range(10):
        world.tell("account/2", "add", name=f"{n}")
        pass_time(world, seconds // 20, crash)
        assert low(world) == len(world.mailbox)
    assert world.field("account/1", "seen") is None
    pass_time(world, seconds // 2 + 60, crash)
    assert world.field("account/1", "seen") == ["a", "b", "c"], "order is kept"
    assert world.field("account/1", FIELD) is None
    assert world.waiting() == []
    assert world.put_aside() == []
    least = [1, 2, 4, 8, 16, 32] + [60] * (len(TRIED) - 7)
    assert all(between >= due for between, due in zip(times(), least, strict=True))
    assert len(TRIED) > seconds // 70, "and it was tried all the time"


@pytest.mark.parametrize("crash", [0, 1, 3])
def test_attempts_are_as_many_as_the_policy_says(world, crash):
    world.tell("slow/1", "book", name="a")
    world.tell("slow/1", "refuse")
    world.tell("slow/1", "book", name="b")
    pass_time(world, 13, crash)
    assert {name for name, _ in TRIED} == {"a"}, "what is behind it waits"
    pass_time(world, 6, crash)
    assert [name for name, _ in TRIED[:9]] == ["a"] * 8 + ["b"]
    READY.append(world.now)
    pass_time(world, 60, crash)
    assert sorted(world.put_aside()) == [("book", "failed"), ("refuse", "rejected")]
    assert [o.due for r in world.journal for o in getattr(r, "outs", ()) if o.key == "failed"] == [8]
    assert world.field("slow/1", "seen") == ["b"]
    assert all(between >= 2 for between in times()[:7])


@pytest.mark.parametrize("crash", [0, 1, 3])
def test_a_timer_that_is_retried_is_in_the_journal_as_well(world, crash):
    READY.append(world.now + 600_000)
    world.tell("account/1", "set")
    world.run(500)
    world.tell("account/1", "add", name="behind")
    pass_time(world, 30, crash)
    pass_time(world, 7)
    assert low(world) == len(world.mailbox)
    assert list(world.pieces.timers_of(full("account/1"))) == []
    pass_time(world, 700, crash)
    assert sorted(world.field("account/1", "seen")) == ["behind", "timer"]


def test_what_reads_alone_goes_on_and_sees_the_state_before(world):
    world.tell("account/1", "add", name="before")
    world.tell("account/1", "book", name="a")
    pass_time(world, 30)
    assert world.ask("account/1", "read") == ["before"]


def test_it_can_be_tried_at_once_and_ended(world):
    world.tell("account/1", "book", name="a")
    world.tell("account/1", "book", name="b")
    world.tell("account/1", "add", name="c")
    pass_time(world, 100)
    before = len(TRIED)
    number = min(number for _, number in world.waiting())
    READY.append(world.now)
    world.ask("account/1", "$resume", invocation=number)
    assert len(TRIED) == before + 2
    assert world.field("account/1", "seen") == ["a", "b", "c"]
    READY.clear()
    world.tell("account/1", "book", name="d")
    world.tell("account/1", "add", name="e")
    pass_time(world, 30)
    number = min(number for _, number in world.waiting())
    world.ask("account/1", "$cancel", invocation=number)
    world.run(1000)
    assert world.field("account/1", "seen") == ["a", "b", "c", "e"]
    assert world.put_aside() == [("book", "cancelled")]


@pytest.mark.parametrize("crash", [0, 1, 4])
def test_what_kills_its_process_later_is_put_aside_with_its_deaths_alone(world, crash):
    world.tell("account/1", "deadly", name="a")
    world.tell("account/1", "add", name="b")
    deaths = 0
    for at in range(400):
        try:
            if crash and at % crash == crash - 1 and len(TRIED) < 4:
                world.restart()
            world.run(1000)
        except KeyboardInterrupt:
            deaths += 1
            world.restart()
    assert world.put_aside() == [("deadly", "poisoned")]
    assert 3 <= deaths <= 2 + 3
    assert world.field("account/1", "seen") == ["b"]


@pytest.mark.parametrize("after", [3, 20])
def test_its_supervisor_hears_of_it_as_of_any_failure(world, after):
    restart_life(world, "one", "account/1")
    TRIED.extend([("", 0)] * (3 if after == 3 else 0))
    world.tell("account/1", "deadly", name="a")
    for _ in range(100):
        try:
            world.run(1000)
        except KeyboardInterrupt:
            world.restart()
    assert world.put_aside() == [("deadly", "poisoned")]
    told = [json.loads(e.payload) for e in world.mailbox if e.handler == "$exited"]
    assert [(said["ref"], said["failed"]) for said in told] == [("one", True)]


def signal(world, handler, address="slow/1", **said):
    payload, parent = json.dumps(said).encode(), full("slow/parent")
    world.mailbox.append(Envelope(TELL, f"s{world.now}", full(address), handler, payload, parent))
    world.run()


def restart_life(world, ref, address="slow/1"):
    signal(world, "$start", address, ref=ref, args={}, parent=True, restart=True)


@pytest.mark.parametrize("crash", [0, 1, 3])
@pytest.mark.parametrize("slow_start", [False, True])
@pytest.mark.parametrize("after", [1, 3, 7])
def test_a_new_life_goes_on_with_what_waits(world, crash, slow_start, after):
    world.slow_start = slow_start
    restart_life(world, "one")
    pass_time(world, 5)
    world.tell("slow/1", "book", name="a")
    world.tell("slow/1", "book", name="b")
    pass_time(world, after, crash)
    restart_life(world, "two")
    pass_time(world, 4, crash)
    READY.append(world.now)
    pass_time(world, 30, crash)
    assert [name for name, _ in TRIED] == ["a"] * (len(TRIED) - 1) + ["b"]
    assert all(between >= 2 for between in times()[:-1])
    assert world.field("slow/1", "seen") == ["a", "b"]
    assert world.put_aside() == []
    assert world.waiting() == []
    assert world.field("slow/1", FIELD) is None


@pytest.mark.parametrize("crash", [0, 1, 3])
@pytest.mark.parametrize("after", [1, 7])
def test_where_the_life_ends_it_is_put_aside_as_what_waits_is(world, after, crash):
    restart_life(world, "one")
    world.tell("slow/1", "book", name="a")
    world.tell("slow/1", "book", name="b")
    pass_time(world, after, crash)
    signal(world, "$kill", reason="enough")
    pass_time(world, 30, crash)
    assert world.put_aside() == [("book", "stopped")] * 2
    assert world.waiting() == []


@pytest.mark.parametrize("crash", [False, True])
def test_it_is_listed_with_its_attempts(world, crash):
    world.tell("account/1", "book", name="a")
    world.tell("account/1", "add", name="b")
    world.run()
    assert [(i.handler, i.status, i.number) for i in listed(world)] == [("book", RETRIES, 0)]
    pass_time(world, 30)
    if crash:
        world.restart()
    book, add = listed(world)
    assert (book.handler, book.status, book.kind) == ("book", RETRIES, "tell")
    assert book.tried.attempt == len(TRIED) == 5
    assert book.tried.next > world.now
    assert (add.handler, add.status) == ("add", "queued")


def listed(world):
    world.pieces.flush()
    store = world.pieces.store
    return [*pending(store), *retried(store)]


@pytest.mark.parametrize("crash", [0, 1, 3])
def test_state_expires_meanwhile_and_what_succeeds_begins_anew(world, crash):
    READY.append(world.now)
    world.tell("brief/1", "note", name="old")
    world.run()
    READY[0] = world.now + 25_000
    world.tell("brief/1", "note", name="a")
    world.tell("brief/1", "note", name="b")
    pass_time(world, 30, crash)
    assert world.ask("brief/1", "read") == [0], "the attempts that failed have kept nothing alive"
    pass_time(world, 8, crash)
    assert world.ask("brief/1", "read") == [2, "a", "b"]


@pytest.mark.parametrize("crash", [0, 1, 3])
def test_what_fails_for_good_keeps_no_state_alive(world, crash):
    READY.append(world.now)
    world.tell("brief/1", "note", name="old")
    world.run()
    READY.clear()
    world.tell("brief/1", "note", name="a")
    pass_time(world, 60, crash)
    assert world.put_aside() == [("note", "failed")]
    READY.append(world.now)
    world.tell("brief/1", "note", name="b")
    pass_time(world, 1, crash)
    assert world.ask("brief/1", "read") == [1, "b"]


def test_the_next_of_a_series_is_set_by_the_record_that_takes_the_timer(world):
    world.tell("slow/1", "remind")
    pass_time(world, 30)
    taken = [r for r in world.journal if getattr(r, "cause_topic", "") == "timer" and r.handler == "book"]
    assert len(taken) == 2, "the second waits behind the first"
    assert [[o.id for o in r.outs if o.kind == OutKind.TIMER] for r in taken] == [["$remind/daily"]] * 2


def test_a_step_that_the_snapshots_have_before_the_store_is_gone_from_them_when_it_ends(world):
    world.tell("account/1", "book", name="a")
    pass_time(world, 10)
    pieces, never = world.pieces, lambda _: 1 << 60
    saved = {k: p for k, p in pieces.unsaved.take(100, 1 << 20, 1 << 60, never).items() if k[0] == Piece.STEP}
    assert saved
    pieces.unsaved.saved()
    READY.append(0)
    pass_time(world, 60)
    gone = pieces.unsaved.take(100, 1 << 20, 1 << 60, never)
    assert [gone.get(key, "kept") for key in saved] == [None] * len(saved)


def test_nothing_leaves_before_it_has_succeeded(world):
    world.tell("account/1", "book", name="a")
    pass_time(world, 100)
    assert [o for r in world.journal for o in getattr(r, "outs", ()) if o.kind != OutKind.TIMER] == []
