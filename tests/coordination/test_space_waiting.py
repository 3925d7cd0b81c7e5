"""Who waits in a tuple space: in which order, by whom it is left, and how many."""

import pytest
from spaces import Space, content_of
from world import World

from plexstream import actor, handler, host, predicate, state
from plexstream.coordination.space import search
from plexstream.model.journal.journal import Turn
from plexstream.sdk.host.coordination.kept.tuples import predicates


@actor
class Listener:
    heard: int = state(default=0)

    @handler("on")
    def on(self, space: str, tuple: list, subscription: int, number: int):
        self.heard += 1

    @handler("all", read_only=True)
    def all(self) -> int:
        return self.heard


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def space(request):
    return Space(World(crash_every=request.param, reply_ttl=10_000_000))


def test_takes_are_served_in_order_of_arrival_by_whatever_they_are_found(space):
    patterns = [
        ["a", None],  # by its first field
        [None, 1],  # by its second
        [None, None],  # by none
        ["a", {"range": [0, 2]}],
        [{"in": ["a", "b"]}, {"type": "int"}],
        ["a", 1],
    ]
    takers = [space.start("take", pattern) for pattern in patterns]
    for number in range(len(takers)):
        space.write(["a", 1])
        assert [space.waits(taker) for taker in takers] == [n > number for n in range(len(takers))]
    assert space.status()["takes"] == 0


def test_one_who_wants_something_else_holds_up_nobody(space):
    other = space.start("take", ["a", {"range": [5, None]}])
    taker = space.start("take", ["a", None])
    space.write(["a", 1])
    assert space.waits(other)
    assert space.of(taker) == ["a", 1]


def test_every_read_that_waits_has_it_and_one_take(space):
    readers = [space.start("read", [None]), space.start("read", ["a"])]
    takers = [space.start("take", ["a"]), space.start("take", [None])]
    readers.append(space.start("read", [{"prefix": "a"}]))
    space.write(["a"])
    assert [space.of(reader) for reader in readers] == [["a"]] * 3
    assert [space.waits(taker) for taker in takers] == [False, True]


def test_what_a_swap_writes_goes_to_who_waits(space):
    taker = space.start("take", ["new"])
    space.write(["old"])
    space.ask("swap", ["old"], tuple=["new"])
    assert space.of(taker) == ["new"]
    assert space.ask("count")["count"] == 0


@pytest.mark.parametrize("handler", ["read", "take"])
def test_who_is_gone_eats_nothing(space, handler):
    for pattern in (["a", 1], [None, None], ["a", None]):
        space.gone(handler, pattern)
    space.write(["a", 1])
    assert space.all([None, None]) == [["a", 1]]
    assert [event["op"] for event in space.events()] == ["out"]
    assert space.status()["waiting"] == []


def test_it_goes_to_the_next_who_is_there(space):
    space.gone("take", ["a"])
    taker = space.start("take", ["a"])
    space.gone("take", ["a"])
    space.write(["a"])
    assert space.of(taker) == ["a"]
    space.write(["a"])
    assert space.all(["a"]) == [["a"]]


def test_one_whose_time_is_over_has_nothing_though_the_alarm_is_late(space):
    taker = space.start("take", ["a"], wait=1)
    space.world.now += 1000  # and nothing was done since
    space.world.tell(space.address, "write", tuple=["a"])
    space.world.run()
    assert space.of(taker) is None
    assert space.all(["a"]) == [["a"]]


def test_a_tell_does_not_wait(space):
    space.world.tell(space.address, "take", pattern=["a"], wait=None)
    space.world.run()
    assert space.status()["takes"] == 0
    space.write(["a"])
    assert space.all(["a"]) == [["a"]]


@pytest.mark.parametrize("wait", [-1, 1e12])
def test_a_wait_is_no_less_than_none(space, wait):
    assert space.ask("take", ["a"], wait=wait) == "rejected"
    assert space.why()[0].startswith("wait is ")


def test_who_waits_is_shown(space):
    space.start("take", ["a", {"range": [1, 2]}], wait=9)
    space.start("read", ["b"])
    space.ask("notify", ["c"], to="listener/a", handler="on", ttl=5)
    now = space.world.now
    status = space.status()
    assert status["waiting"] == [
        {"what": "take", "pattern": '["a",{"range":[1,2]}]', "since": now, "until": now + 9000, "by": ""},
        {"what": "read", "pattern": '["b"]', "since": now, "until": None, "by": ""},
    ]
    assert status["subscriptions"] == [
        {"id": 3, "to": "listener/a", "handler": "on", "told": 0, "pattern": '["c"]', "since": now,
         "until": now + 5000, "by": ""}
    ]  # fmt: skip
    assert (status["takes"], status["reads"], status["subscribed"]) == (1, 1, 1)


@actor
class Boss:
    @handler("start")
    def start(self, type: str, id: str):
        host.spawn(type, id)


@pytest.mark.parametrize("how", ["$stop", "$kill"])
def test_those_who_wait_hear_of_the_end_of_its_life_and_the_next_one_knows_nothing(how):
    world = World(Boss, reply_ttl=10_000_000)
    space = Space(world)
    space.write(["kept"], ttl=2)
    takers = [space.start("take", ["a"], wait=wait) for wait in (None, 3)]
    world.tell(space.address, how, reason="r", ref="r1")
    world.run()
    assert [world.replies[taker] for taker in takers] == ["stopped", "stopped"]
    world.tell("boss/1", "start", type="plex.space", id="a")
    world.run()
    space.write(["a"])
    world.run(10_000)
    assert space.all([None]) == [["a"]]
    assert [event["number"] for event in space.events()] == [1, 1]


def test_a_predicate_that_fails_for_who_waits_is_their_error_and_nobody_elses(space, monkeypatch):
    monkeypatch.setattr(predicates, "_known", {})

    @predicate
    def is_long(value):
        return len(value) > 3

    bad = space.start("take", [{"where": "is_long"}])
    good = space.start("take", [{"type": "int"}])
    assert space.write([1])["id"] == 1
    assert space.world.replies[bad] == "rejected"
    assert "is_long" in space.world.errors[bad]["detail"]
    assert space.of(good) == [1]


def test_what_a_predicate_wants_that_is_not_deployed_any_more(space, monkeypatch):
    monkeypatch.setattr(predicates, "_known", {"gone": lambda value: True})
    waiter = space.start("take", ["a" * 3000, {"where": "gone"}])
    space.ask("notify", [None, {"where": "gone"}], to="listener/a", handler="on")
    predicates._known.clear()
    space.write(["a" * 3000, 1])
    assert space.world.replies[waiter] == "rejected"
    assert space.ask("count")["count"] == 1
    space.ask("cancel_notify", id=2)
    assert space.status()["subscribed"] == 0


def longest(world):
    return max(len(record.outs) for record in world.journal if type(record) is Turn)


@pytest.fixture
def small(monkeypatch):
    """A turn looks at ten."""
    monkeypatch.setattr(search.Budget.__init__, "__defaults__", (10,))


@pytest.mark.parametrize("crash_every", [0, 3])
def test_more_reads_than_one_turn_answers_all_have_it(small, crash_every):
    space = Space(World(Listener, crash_every=crash_every))
    readers = [space.start("read", [None]) for _ in range(35)]
    for _ in range(25):
        space.ask("notify", [None], to="listener/a", handler="on")
    space.world.tell(space.address, "write", tuple=["a"])
    space.world.tell(space.address, "take", pattern=["a"])  # before the rest of them are told
    late = space.world.tell(space.address, "read", pattern=["a"], wait=None, _kind=1)
    space.world.run()
    assert [space.of(reader) for reader in readers] == [["a"]] * 35
    assert space.world.ask("listener/a", "all") == 25
    assert space.waits(late)
    assert longest(space.world) <= 14
    space.write(["b"])
    assert content_of(space.events()) == {2: (["b"], 0)}


@pytest.mark.parametrize("crash_every", [0, 3])
@pytest.mark.parametrize("taken", [False, True])
def test_a_take_behind_more_than_one_turn_looks_at_gets_it(small, taken, crash_every):
    space = Space(World(crash_every=crash_every))
    others = [space.start("take", [{"range": [n + 5, None]}]) for n in range(35)]
    taker, reader = space.start("take", [None]), space.start("read", [{"type": "int"}])
    space.world.tell(space.address, "write", tuple=[1])
    if taken:
        first = space.world.tell(space.address, "take", pattern=[1], _kind=1)
    space.world.run()
    if taken:
        assert space.of(first) == [1]
        assert space.waits(taker)
    else:
        assert space.of(taker) == [1]
    assert space.of(reader) == [1]
    assert all(map(space.waits, others))
    assert [event["op"] for event in space.events()] == ["out", "in"]


def test_of_many_who_wait_a_write_looks_at_candidates():
    space = Space(World(reply_ttl=10_000_000))
    for number in range(10_000):
        space.world.tell(space.address, "take", pattern=["job", number], wait=None, _kind=1)
        if number % 500 == 0:
            space.world.run()
    space.ask("configure", index=[0, 1, 2])
    space.world.run()
    reads = []
    get = space.world.pieces.collections.entry
    space.world.pieces.collections.entry = lambda key: reads.append(key) or get(key)
    space.write(["other", 1])
    assert len(reads) < 10
    space.write(["job", 9_000])
    space.world.pieces.collections.entry = get
    assert space.status()["takes"] == 9_999
    assert space.ask("count")["count"] == 1


def test_those_who_wait_for_one_value_of_a_later_field_are_found_by_it():
    space = Space(World())
    space.ask("configure", index=[1])
    takers = [space.start("take", ["job", number]) for number in range(50)]
    space.write(["job", 33])
    assert [space.waits(taker) for taker in takers].count(False) == 1
    assert space.of(takers[33]) == ["job", 33]
