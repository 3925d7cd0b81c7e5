"""Searches of a tuple space: what the index finds is what a look at all finds, also in several turns."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import Model, Space, matches
from test_space_patterns import FIELDS, VALUES
from world import World

from plexstream.coordination.space import content, search
from plexstream.model.journal.journal import Turn

SMALL = 10


@pytest.fixture
def small(monkeypatch):
    """A turn looks at ten."""
    monkeypatch.setattr(search.Budget.__init__, "__defaults__", (SMALL,))


@pytest.fixture
def looked(monkeypatch):
    """How many tuples were looked at."""
    found = []
    get = content.Content.get
    monkeypatch.setattr(content.Content, "get", lambda self, *which: found.append(which) or get(self, *which))
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(VALUES, min_size=1, max_size=3), max_size=30),
    st.lists(st.lists(FIELDS | st.none(), min_size=1, max_size=3), min_size=1, max_size=8),
    st.sampled_from([[], [0], [1, 0], [0, 1, 2]]),
    st.sampled_from([1, 7, 1000]),
)
def test_the_index_finds_what_a_look_at_all_finds(tuples, patterns, index, units):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search.Budget.__init__, "__defaults__", (units,))
        space, model = Space(World()), Model()
        space.ask("configure", index=index)
        for tuple in tuples:
            space.write(tuple)
            model.write(tuple, None)
        for pattern in patterns:
            expected = [t for t in tuples if matches(pattern, t)]
            pages, after = [], None
            while True:
                page = space.ask("read_all", pattern, limit=3, after=after)
                pages += [entry["tuple"] for entry in page["entries"]]
                after = page["after"]
                if after is None:
                    break
            assert sorted(map(repr, pages)) == sorted(map(repr, expected))
            counted, after = 0, None
            while True:
                page = space.ask("count", pattern, after=after)
                counted, after = counted + page["count"], page["after"]
                if after is None:
                    break
            assert counted == len(expected)
            found = space.read(pattern)
            assert (found and found["tuple"]) in expected if expected else found is None


def fill(space, count, make):
    for start in range(0, count, 500):
        space.write_many([make(n) for n in range(start, min(count, start + 500))])


def test_two_values_are_found_by_leaps(looked):
    space = Space(World())
    fill(space, 5_000, lambda n: ["parcel", n, "delivered" if n != 4_321 else "new", None])
    looked.clear()
    assert space.read(["parcel", None, "new", None])["tuple"][1] == 4_321
    assert space.take([{"in": ["letter", "parcel"]}, None, "new", None])["tuple"][1] == 4_321
    assert space.take(["parcel", None, "new", None]) is None
    assert len(looked) == 2


def test_one_that_is_not_decided_by_one_turn_goes_on_in_the_next():
    space = Space(World(crash_every=2))
    fill(space, 2_500, lambda n: ["a", n, n, n])
    before = len(space.world.turns())
    assert space.take(["a", None, None, 2_400])["tuple"][3] == 2_400
    assert len(space.world.turns()) - before == 3
    assert space.take(["a", None, None, -1]) is None
    assert space.ask("peek", ["a", None, None, -1]) == [None, False]
    assert space.status()["searches"] == 0


def test_counting_by_the_index_looks_at_no_tuple(looked):
    space = Space(World())
    fill(space, 50, lambda n: ["a", n % 2, n])
    space.write(["a", 0, 99], ttl=1)
    looked.clear()
    assert space.ask("count", ["a", 0, None]) == {"count": 26, "after": None}
    assert space.ask("count", ["a", {"in": [0, 1]}, None])["count"] == 51
    assert looked == []
    space.world.now += 1000
    assert space.ask("count", ["a", 0, None])["count"] == 25


def test_a_long_value_is_compared_and_not_only_its_digest(looked):
    space = Space(World())
    long = "x" * 5_000
    space.write_many([[long], [long + "y"], [[long]], [[long, 1]]])
    assert space.all([long]) == [[long]]
    assert space.all([{"is": [long]}]) == [[[long]]]
    assert space.ask("count", [long])["count"] == 1
    assert space.all([{"prefix": long}]) == [[long], [long + "y"]]


def queued(space, *messages):
    """Several calls, one behind the other before any is done."""
    ids = [space.world.tell(space.address, what, _kind=1, **named) for what, named in messages]
    space.world.run()
    return ids


ALL = [("age", [{"type": "int"}, "x"]), ("value", [{"range": [0, None]}, "x"])]


@pytest.mark.parametrize(("how", "pattern"), ALL)
@pytest.mark.parametrize("crash_every", [0, 1])
def test_what_is_written_while_it_looks_is_found(small, how, pattern, crash_every):
    space = Space(World(crash_every=crash_every))
    space.ask("configure", index=[0])
    for n in range(35):
        space.write([n + 5, "y"])
    asked, *_ = queued(
        space, ("take", {"pattern": pattern}), ("write", {"tuple": [1, "x"]}), ("write", {"tuple": [1, "z"]})
    )
    assert space.of(asked) == [1, "x"]
    assert space.ask("count")["count"] == 36


@pytest.mark.parametrize(("how", "pattern"), ALL)
def test_what_is_taken_while_it_looks_is_not_found(small, how, pattern):
    space = Space(World())
    space.ask("configure", index=[0])
    for n in range(35):
        space.write([n, "x" if n == 34 else "y"])
    asked, other = queued(space, ("take", {"pattern": pattern}), ("take", {"pattern": [34, None]}))
    assert space.of(other) == [34, "x"]
    assert space.of(asked) is None


@pytest.mark.parametrize(("how", "pattern"), ALL)
def test_one_that_finds_nothing_in_the_end_waits_by_its_arrival(small, how, pattern):
    space = Space(World())
    space.ask("configure", index=[0])
    for n in range(35):
        space.write([n, "y"])
    first, second, short = queued(
        space, ("take", {"pattern": pattern, "wait": None}), ("take", {"pattern": [99, "x"], "wait": None}),
        ("read", {"pattern": pattern, "wait": 1}),
    )  # fmt: skip
    assert space.status()["takes"] == 2
    space.world.run(1000)
    assert space.of(short) is None
    space.write([99, "x"])
    assert space.of(first) == [99, "x"]
    assert space.waits(second)


def test_a_take_that_is_gone_before_it_has_found_leaves_it(small):
    space = Space(World(reply_ttl=10_000_000))
    space.ask("configure", index=[])
    for n in range(35):
        space.write([n])
    space.soon_gone("take", [34])
    space.world._step()  # it looks at the first ten
    space.world.run(1)
    assert space.ask("count")["count"] == 35
    assert space.status()["searches"] == 0


def test_a_swap_goes_on_too(small):
    space = Space(World(crash_every=1))
    space.ask("configure", index=[])
    for n in range(35):
        space.write([n])
    assert space.ask("swap", [34], tuple=["new"])["tuple"] == [34]
    assert space.ask("swap", [34], tuple=["new"]) is None
    assert space.ask("count")["count"] == 35


def test_a_transaction_that_would_look_at_too_many_is_rejected():
    space = Space(World())
    space.ask("configure", index=[])
    fill(space, 4_100, lambda n: [n])
    assert space.transaction([{"op": "take", "pattern": [4_050]}]) == "rejected"
    assert "indexed field" in space.why()[0]


def test_leases_that_have_ended_and_not_been_looked_at_are_passed(small):
    space = Space(World())
    for n in range(35):
        space.write(["a", n], ttl=1)
    space.write(["a", 99])
    space.world.now += 1000
    asked, counted = queued(space, ("take", {"pattern": ["a", None]}), ("count", {}))
    assert space.of(asked) == ["a", 99]
    assert space.world.replies[counted]["count"] == 0


def test_what_has_ended_is_gone_for_all_while_the_alarm_is_behind():
    space = Space(World())
    fill(space, 1_050, lambda n: ["a", n])
    for id in range(1, 1_051):
        space.world.tell(space.address, "renew", id=id, ttl=1)
    space.world.run()
    space.world.run(1000)  # one turn ends a thousand of them, the next has not come
    assert [event["op"] for event in space.events()].count("expire") == 1_000
    assert space.read(["a", None]) is None
    assert space.read([None, {"range": [0, None]}]) is None
    assert space.ask("read_all", ["a", None])["entries"] == []
    assert space.ask("count", ["a", None])["count"] == 0
    assert space.ask("count")["count"] == 0
    assert space.ask("renew", 1_050) == "rejected"
    space.world.run(1)
    assert [event["op"] for event in space.events()].count("expire") == 1_050


def test_the_index_knows_of_a_lease_that_was_renewed():
    space = Space(World())
    space.write(["a"], ttl=1)
    space.renew(1, ttl=None)
    space.world.run(2000)
    assert space.ask("count", ["a"])["count"] == 1


def test_pages_of_large_tuples_are_short():
    space = Space(World())
    for n in range(4):
        space.write([n, "x" * 200_000])
    first = space.ask("read_all", [None, None])
    assert [entry["tuple"][0] for entry in first["entries"]] == [0, 1]
    second = space.ask("read_all", [None, None], after=first["after"])
    assert [entry["tuple"][0] for entry in second["entries"]] == [2, 3]
    taken = space.ask("take_all", [{"range": [0, 9]}, None])
    assert [entry["tuple"][0] for entry in taken["entries"]] == [0, 1]
    assert space.ask("count")["count"] == 2


def test_many_leases_that_end_at_once_end_in_several_turns():
    space = Space(World())
    for n in range(8):
        space.write([n, "x" * 400_000], ttl=1)
    fill_many = [[n] for n in range(1_000)]
    space.write_many(fill_many, ttl=1)
    space.world.run(1000)
    space.world.run(10)
    space.world.run(10)
    space.world.run(10)
    space.world.run(10)
    assert [event["op"] for event in space.events()].count("expire") == 1_008
    turns = [r for r in space.world.journal if type(r) is Turn and r.handler == "__alarm__"]
    assert max(sum(len(out.payload) for out in turn.outs) for turn in turns) < 3_000_000


@pytest.mark.parametrize(
    "after",
    [
        [], ["age"], ["age", "1"], ["age", -1], ["age", True], ["age", 1 << 70], ["value", "s", 1], ["x", 1],
        [None], [["age"], 1], ["age", 1, 2], ["value", "sa", 1, 1],
    ],
)  # fmt: skip
def test_a_page_begins_behind_what_one_has_ended_with(after):
    space = Space(World())
    assert space.ask("read_all", ["a"], after=after) == "rejected"
    assert "after is" in space.why()[0]


def test_a_page_goes_on_behind_what_is_gone():
    space = Space(World())
    for n in range(6):
        space.write([n])
    page = space.ask("read_all", [{"range": [0, 9]}], limit=2)
    space.take([1])
    space.take([2])
    page = space.ask("read_all", [{"range": [0, 9]}], limit=2, after=page["after"])
    assert [entry["tuple"] for entry in page["entries"]] == [[3], [4]]


def test_an_index_is_of_an_empty_space():
    space = Space(World())
    for wrong in ([64], [-1], [0, 0], [*range(9)]):
        assert space.ask("configure", index=wrong) == "rejected"
    assert space.ask("configure", index=[63]) == [63]
    space.start("take", ["a"])
    assert space.ask("configure", index=[0]) == "rejected"
    assert "stays while" in space.why()[0]
    assert space.ask("configure", index=[63]) == [63]
    space.write(["a"])
    space.write(["b"])
    assert space.ask("configure", index=[0]) == "rejected"
    space.take(["b"])
    assert space.ask("configure", index=[0]) == [0]
