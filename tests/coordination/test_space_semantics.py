"""What JavaSpaces' specification says of read, take, write, leases, notify and transactions, of one space."""

import pytest
from spaces import Space, content_of
from world import World

from plexstream import actor, handler, state


@actor
class Listener:
    heard: list = state(default_factory=list)

    @handler("on")
    def on(self, space: str, tuple: list, subscription: int, number: int):
        self.heard.append([space, tuple, subscription, number])

    @handler("all", read_only=True)
    def all(self) -> list:
        return self.heard


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def space(request):
    return Space(World(Listener, crash_every=request.param))


def heard(space):
    return [(tuple, number) for _, tuple, _, number in space.world.ask("listener/a", "all")]


# Write


def test_each_write_is_a_new_entry_though_it_is_the_same(space):
    assert space.write(["a"]) == {"id": 1, "due": 0}
    assert space.write(["a"]) == {"id": 2, "due": 0}
    assert space.ask("count")["count"] == 2


def test_a_write_changes_none_that_is_there(space):
    space.write(["a", 1])
    space.write(["a", 2])
    assert space.all(["a", None]) == [["a", 1], ["a", 2]]


def test_all_of_many_are_written_or_none(space):
    assert [one["id"] for one in space.write_many([["a"], ["b"]])] == [1, 2]
    assert space.write_many([["c"], []]) == "rejected"
    assert space.ask("count")["count"] == 2


# Read and take


def test_a_read_leaves_the_entry(space):
    space.write(["a", 1])
    for _ in range(2):
        assert space.read(["a", None])["tuple"] == ["a", 1]


def test_a_take_takes_it_out(space):
    space.write(["a", 1])
    assert space.take(["a", None]) == {"id": 1, "tuple": ["a", 1], "due": 0}
    assert space.take(["a", None]) is None
    assert space.read(["a", None]) is None


def test_of_several_the_oldest_is_found(space):
    space.write_many([["a", 3], ["a", 1], ["a", 2]])
    assert [space.take(["a", None])["tuple"][1] for _ in range(3)] == [3, 1, 2]


def test_where_only_a_range_narrows_the_least_is_found(space):
    space.write_many([["a", 3], ["a", 1], ["b", 2.0]])
    pattern = [None, {"range": [1, 4]}]
    assert [space.take(pattern)["tuple"][1] for _ in range(3)] == [1, 2.0, 3]


def test_a_pattern_of_another_length_matches_nothing(space):
    space.write(["a", 1])
    assert space.read(["a"]) is None
    assert space.read(["a", None, None]) is None


def test_a_read_waits_until_one_is_written(space):
    reader = space.start("read", ["a", None])
    space.write(["b", 1])
    assert space.waits(reader)
    space.write(["a", 1])
    assert space.of(reader) == ["a", 1]
    assert space.all(["a", None]) == [["a", 1]]


def test_a_take_waits_until_one_is_written(space):
    taker = space.start("take", ["a", None])
    space.write(["a", 1])
    assert space.of(taker) == ["a", 1]
    assert space.ask("count")["count"] == 0


def test_of_two_takes_one_has_it(space):
    takers = [space.start("take", ["a"]) for _ in range(2)]
    space.write(["a"])
    assert [space.waits(taker) for taker in takers] == [False, True]
    space.write(["a"])
    assert [space.of(taker) for taker in takers] == [["a"], ["a"]]


@pytest.mark.parametrize("handler", ["read", "take"])
def test_a_wait_of_so_long_ends_with_null(space, handler):
    waiter = space.start(handler, ["a"], wait=2)
    space.world.run(1999)
    assert space.waits(waiter)
    space.world.run(1)
    assert space.of(waiter) is None
    space.write(["a"])
    assert space.ask("count")["count"] == 1


# readIfExists and takeIfExists


@pytest.mark.parametrize("handler", ["read", "take"])
def test_if_there_is_none_it_does_not_wait(space, handler):
    assert space.ask(handler, ["a"]) is None
    space.write(["a"])
    assert space.ask(handler, ["a"])["tuple"] == ["a"]


def test_a_peek_says_whether_it_is_decided(space):
    assert space.peek(["a"]) == [None, True]
    space.write(["a"])
    found, decided = space.peek(["a"])
    assert (found["tuple"], decided) == (["a"], True)


# Leases


def test_an_entry_is_gone_when_its_lease_ends(space):
    assert space.write(["a"], ttl=2)["due"] == space.world.now + 2000
    space.world.run(1999)
    assert space.read(["a"])["due"] == space.world.now + 1
    space.world.run(1)
    assert space.read(["a"]) is None
    assert space.events()[-1] | {"tuple": 0} == {
        "number": 2, "op": "expire", "entry": 1, "tuple": 0, "due": space.world.now, "by": "", "for": ""
    }  # fmt: skip


def test_it_is_gone_though_the_alarm_is_late(space):
    space.write_many([["a"], ["b"]], ttl=2)
    space.world.now += 2000  # and nothing was done since
    named = {"take": {"pattern": ["a"]}, "count": {}}
    asked = [space.world.tell(space.address, what, _kind=1, **more) for what, more in named.items()]
    space.world.run()
    assert space.of(asked[0]) is None
    assert space.world.replies[asked[1]]["count"] == 0
    assert [event["op"] for event in space.events()] == ["out", "out", "expire", "expire"]


def test_a_lease_is_renewed(space):
    space.write(["a"], ttl=2)
    assert space.renew(1, ttl=5) == {"id": 1, "due": space.world.now + 5000}
    space.world.run(4999)
    assert space.read(["a"])
    assert space.renew(1, ttl=None) == {"id": 1, "due": 0}
    space.world.run(100_000)
    assert space.read(["a"])


def test_a_lease_is_cut_short(space):
    space.write(["a"])
    space.renew(1, ttl=1)
    space.world.run(1000)
    assert space.read(["a"]) is None


def test_a_lease_is_cancelled(space):
    space.write(["a"], ttl=2)
    assert space.cancel(1) is None
    assert space.read(["a"]) is None
    space.world.run(2000)
    assert [(event["op"], event["by"]) for event in space.events()] == [("out", ""), ("in", "")]


@pytest.mark.parametrize("handler", ["renew", "cancel"])
def test_a_lease_that_is_none_any_more_is_unknown(space, handler):
    space.write(["a"], ttl=1)
    space.write(["b"])
    space.take(["b"])
    space.world.run(1000)
    for id in (1, 2, 3, -1):
        assert space.ask(handler, id) == "rejected"
        assert f"no tuple with the id {id} is in this space" in space.why()[0]


# Notify


def test_a_subscriber_is_told_of_each_that_matches_and_is_written_afterwards(space):
    space.write(["a", 0])
    assert space.notify(["a", None], to="listener/a", handler="on") == {"id": 1, "due": 0}
    for value in (1, 2):
        space.write(["a", value])
        space.write(["b", value])
    assert heard(space) == [(["a", 1], 1), (["a", 2], 2)]
    assert space.world.ask("listener/a", "all")[0][::2] == [space.address, 1]


def test_a_subscriber_is_told_though_a_take_has_it_at_once(space):
    space.notify(["a"], to="listener/a", handler="on")
    taker = space.start("take", ["a"])
    space.write(["a"])
    assert space.of(taker) == ["a"]
    assert heard(space) == [(["a"], 1)]


def test_a_subscription_ends_with_its_lease(space):
    space.notify(["a"], to="listener/a", handler="on", ttl=2)
    space.world.run(1000)
    assert space.renew_notify(id=1, ttl=2)["due"] == space.world.now + 2000
    space.world.run(1000)
    space.write(["a"])
    space.world.run(1000)
    space.write(["a"])
    assert heard(space) == [(["a"], 1)]
    assert space.renew_notify(id=1, ttl=2) == space.cancel_notify(id=1) == "rejected"
    assert "no subscription 1" in space.why()[0]


def test_a_subscription_is_cancelled(space):
    space.notify([None], to="listener/a", handler="on")
    space.cancel_notify(id=1)
    space.write(["a"])
    assert heard(space) == []
    assert space.status()["subscribed"] == 0


@pytest.mark.parametrize(
    ("to", "handler"), [("", "on"), ("a b/c d e/f/g/h", "on"), ("listener/a", "$stop"), ("listener/a", ""),
                        ("listener/a", "__alarm__")],
)  # fmt: skip
def test_nobody_subscribes_who_cannot_be_told(space, to, handler):
    assert space.notify(["a"], to=to, handler=handler) == "rejected"
    assert "notify" in space.why()[0]
    space.write(["a"])


# Compare and swap


def test_one_is_swapped_for_another(space):
    space.write(["n", 1])
    assert space.ask("swap", ["n", 1], tuple=["n", 2], ttl=5)["tuple"] == ["n", 1]
    assert space.all(["n", None]) == [["n", 2]]
    assert space.read(["n", None])["due"] == space.world.now + 5000


def test_nothing_is_swapped_if_none_matches(space):
    space.write(["n", 1])
    assert space.ask("swap", ["n", 2], tuple=["n", 3]) is None
    assert space.all(["n", None]) == [["n", 1]]
    assert space.ask("swap", ["n", 1], tuple=[]) == "rejected"
    assert space.all(["n", None]) == [["n", 1]]


# Transactions


def test_all_operations_are_done(space):
    space.write(["from", 5])
    assert space.transaction([
        {"op": "take", "pattern": ["from", 5]},
        {"op": "write", "tuple": ["to", 5], "ttl": 3},
        {"op": "read", "pattern": ["to", None]},
        {"op": "swap", "pattern": ["to", 5], "tuple": ["to", 6]},
        {"op": "absent", "pattern": ["from", None]},
    ]) == [
        {"id": 1, "tuple": ["from", 5], "due": 0},
        {"id": 2, "due": space.world.now + 3000},
        {"id": 2, "tuple": ["to", 5], "due": space.world.now + 3000},
        {"id": 2, "tuple": ["to", 5], "due": space.world.now + 3000},
        None,
    ]  # fmt: skip
    assert space.all([None, None]) == [["to", 6]]


@pytest.mark.parametrize(
    "last",
    [
        {"op": "take", "pattern": ["c"]},
        {"op": "read", "pattern": ["a"]},
        {"op": "absent", "pattern": ["b"]},
        {"op": "swap", "pattern": ["c"], "tuple": ["d"]},
        {"op": "write", "tuple": []},
        {"op": "write", "tuple": ["x"], "ttl": 0},
        {"op": "write", "tuple": ["x"], "ttl": "1"},
        {"op": "write", "tuple": "x"},
        {"op": "take"},
        {"op": "take", "pattern": ["b"], "wait": 1},
        {"op": "give", "pattern": ["b"]},
        {"pattern": ["b"]},
        {"op": ["take"]},
    ],
)
def test_none_is_done_if_one_cannot_be(space, last):
    space.write(["a"])
    waiter = space.start("read", ["b"])
    events = space.events()
    first = [{"op": "take", "pattern": ["a"]}, {"op": "write", "tuple": ["b"]}]
    assert space.transaction([*first, last]) == "rejected"
    text, data = space.why()
    assert text.startswith("operation 2: ")
    assert data == {"index": 2}
    assert space.all([None]) == [["a"]]
    assert space.waits(waiter)
    assert space.events() == events


def test_what_a_transaction_has_written_is_seen_once_it_is_done(space):
    kept, gone = space.start("take", ["kept"]), space.start("take", ["gone"])
    space.notify([None], to="listener/a", handler="on")
    space.transaction([
        {"op": "write", "tuple": ["gone"]},
        {"op": "write", "tuple": ["kept"]},
        {"op": "take", "pattern": ["gone"]},
    ])  # fmt: skip
    assert space.of(kept) == ["kept"]
    assert space.waits(gone)
    assert heard(space) == [(["kept"], 1)]


@pytest.mark.parametrize("operations", [[], [{"op": "write", "tuple": ["a"]}] * 1001])
def test_a_transaction_has_some_operations(space, operations):
    assert space.transaction(operations) == "rejected"
    assert "1 to 1000" in space.why()[0]


# Events


def test_an_event_says_by_whom_and_for_whom(space):
    space.write(["a"])
    space.ask("swap", ["a"], tuple=["b"])
    taker = space.start("take", ["c"])
    space.write(["c"])
    space.renew(2, ttl=1)
    assert space.of(taker) == ["c"]
    assert [(e["op"], e["entry"], e["tuple"], e["by"], e["for"]) for e in space.events()] == [
        ("out", 1, ["a"], "", ""), ("in", 1, ["a"], "", ""), ("out", 2, ["b"], "", ""),
        ("out", 3, ["c"], "", ""), ("in", 3, ["c"], "", ""), ("renew", 2, ["b"], "", ""),
    ]  # fmt: skip
    assert content_of(space.events()) == {2: (["b"], space.world.now + 1000)}


@actor
class Asker:
    @handler("do")
    async def do(self, handler: str, arguments: dict):
        from plexstream import host

        return await host.ask("plex.space/a", handler, arguments)


def test_an_event_names_actors():
    world = World(Asker)
    space = Space(world)
    world.tell("asker/t", "do", handler="take", arguments={"pattern": ["a"], "wait": None})
    world.run()
    world.ask("asker/w", "do", handler="write", arguments={"tuple": ["a"]})
    world.ask("asker/w", "do", handler="write", arguments={"tuple": ["b"]})
    world.ask("asker/c", "do", handler="cancel", arguments={"id": 2})
    assert [(e["op"], e["entry"], e["by"], e["for"]) for e in space.events()] == [
        ("out", 1, "asker/w", ""), ("in", 1, "asker/t", "asker/t"), ("out", 2, "asker/w", ""),
        ("in", 2, "asker/c", ""),
    ]  # fmt: skip
