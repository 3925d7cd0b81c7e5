"""Operations as nobody means them: repeated, too large, too deep, with names and numbers that are none."""

import json

import httpx
import pytest
from anybody import Anybody
from world import World

from plexstream import Rejected
from plexstream.model.errors import BadArguments
from plexstream.sdk.host.coordination.operation import MAX_NAME, Call, Course

JSON = {"content-type": "application/json"}
FACE = "\U0001f600"


@pytest.fixture(params=["plain", "awaited"])
def inside(request):
    """Does an operation in a handler."""
    world = World(Anybody)

    def do(path, name=None, /, **arguments):
        return world.ask("anybody/one", request.param, path=path, name=name, arguments=arguments)

    return do


# Repeated with its key


def test_a_take_that_leaves_the_shard_open_is_the_same_whatever_came_in_between(outside, request):
    name = f"{request.node.name}*4"
    space = outside.client.ts.space(name)
    keyed = outside.client.keyed(request.node.name).ts.space(name)
    assert outside(keyed.take, [None, None]) is None
    outside(space.write, ["a", 1])
    assert outside(keyed.take, [None, None]) is None
    again = outside.client.keyed(f"{request.node.name}2").ts.space(name)
    assert outside(again.take, [None, None]) == ["a", 1]
    outside(space.write_many, [[letter, 1] for letter in "bcdefgh"])
    assert outside(again.take, [None, None]) == ["a", 1]
    assert outside(space.count) == 7


def test_keys_of_several_calls_are_nobody_elses_and_never_too_long(outside, request):
    entries = dict.fromkeys("abcdefghijkl", 1)
    store = f"{request.node.name}.{request.node.nodeid[-20:]}"
    kv = outside.client.keyed("k" * 256).kv.store(store)
    first = outside(kv.multi_put, entries)
    assert outside(kv.multi_put, entries) == first


def test_a_key_of_a_later_call_cannot_be_given_by_a_caller():
    course = Course(iter(()))
    calls = [Call("t", str(number), "h", {}) for number in range(20)]
    keys = course.keys("k", calls)
    assert len({*keys}) == 20
    assert keys[0] == "k"
    assert keys == course.keys("k", calls)
    assert not any(key.startswith("k.") for key in keys)
    assert max(map(len, course.keys("k" * 256, calls))) <= 256


# Too large


def test_large_values_come_some_at_a_time(outside, request):
    kv = outside.client.kv.store(request.node.name)
    values = {f"k{number}": f"{number}{FACE * 50_000}" for number in range(40)}
    for key, value in values.items():
        outside(kv.put, key, value)
    assert outside(kv.multi_get, [*values, "none"]) == values


def test_a_page_of_values_is_no_larger_than_an_answer(outside, request):
    kv = outside.client.kv.store(request.node.name)
    values = {f"a{n:02}": "\n" * 200_000 if n % 2 else "x" * 900_000 for n in range(40)}
    for key, value in values.items():
        outside(kv.put, key, value)
    seen = {}
    while page := outside(kv.items, after=max(seen, default="")):
        seen |= page
    assert seen == values


def test_tuples_of_wide_characters_are_as_large_as_their_bytes(outside, request):
    space = outside.client.ts.space(request.node.name)
    tuples = [[FACE * 100_000, number] for number in range(5)]
    for one in tuples:
        outside(space.write, one)
    assert outside(space.read_all, [None, None]) == tuples
    assert outside(space.take_all, [None, None]) == tuples


def test_large_tuples_for_many_who_wait_fit_into_their_turns():
    world = World(Anybody)
    waiting = [
        world.start("plex.space/a", "read", pattern=["x", None], wait=None) for _ in range(9)
    ]
    large = ["x", "y" * 490_000]
    world.ask("plex.space/a", "write_many", tuples=[large, large])
    world.run()
    assert all(world.replies[one] for one in waiting)
    waiting = [
        world.start("plex.space/a", "read", pattern=["z", None], wait=None) for _ in range(9)
    ]
    large = ["z", "y" * 490_000]
    take = {"op": "take", "pattern": ["x", None]}
    done = world.ask(
        "plex.space/a", "transaction", operations=[take, {"op": "write", "tuple": large},
                                                   {"op": "write", "tuple": large}]
    )  # fmt: skip
    assert len(done) == 3
    world.run()
    assert all(world.replies[one] for one in waiting)


def test_a_read_finds_what_one_look_does_not(inside):
    tuples = [[number, 1, 1, number] for number in range(1_500)]
    for name in ("big", "big*2"):
        for start in range(0, 1_500, 500):
            inside("ts.space.write_many", name, tuples=tuples[start : start + 500] * 2)
        assert inside("ts.space.read", name, pattern=[None, None, None, 1_499]) == tuples[1_499]
        assert inside("ts.space.read", name, pattern=[None, None, None, -1]) is None
        assert inside("ts.space.take", name, pattern=[None, None, None, 1_499]) == tuples[1_499]


# What is given back


def test_the_lease_of_a_transactions_tuple_is_one_of_its_space(inside):
    write = {"op": "write", "tuple": ["a", 1], "ttl": 10}
    for name in ("one", "x*4"):
        lease, tuple, none = inside(
            "ts.space.transaction", name,
            operations=[write, {"op": "read", "pattern": ["a", 1]}, {"op": "absent", "pattern": ["a", 2]}],
        )  # fmt: skip
        assert (tuple, none) == (["a", 1], None)
        assert inside("ts.space.renew", name, id=lease["id"], ttl=60)["due"] > lease["due"]


# What is none


def test_no_key_is_too_long_for_its_end(inside):
    assert inside("kv.put", key="\0" * 450, value=1, ttl=5) == 1
    assert inside("kv.put", key="\0" * 451, value=1, ttl=5) == "rejected"
    assert inside("kv.put", key=FACE * 225, value=1, ttl=5) in (1, 2)


def test_a_number_of_any_size_is_refused_where_it_is_none(inside):
    write = {"op": "write", "tuple": [1], "ttl": 10**400}
    assert inside("ts.transaction", operations=[write]) == "rejected"


def nested(depth):
    return json.loads("[" * depth + "]" * depth)


def test_values_too_deep_to_be_kept_are_refused(outside, request):
    kv = outside.client.kv.store(request.node.name)
    outside(kv.put, "a", nested(100))
    assert outside(kv.get, "a") == nested(100)
    with pytest.raises(Rejected, match="more than 100 deep"):
        outside(kv.put, "a", nested(101))
    with pytest.raises(Rejected, match="more than 100 deep"):
        outside(kv.cas, "b", {"x": nested(150)})


def test_text_that_is_no_json_is_refused_by_who_wants_json(outside):
    kv = outside.client.kv.store("text")
    outside(kv.put, "a", "no json")
    with pytest.raises(Rejected, match="is no JSON: use get"):
        outside(kv.get_json, "a")


@pytest.mark.parametrize("name", ["jobs", "jobs*4"])
@pytest.mark.parametrize("wait", [-1, "5", True, float("nan")])
def test_a_wait_that_is_none_is_refused(outside, name, wait):
    with pytest.raises(ValueError, match="give seconds from 0 on"):
        outside(outside.client.ts.space(name).take, [None, None], wait=wait)


@pytest.mark.parametrize("name", ["jobs", "jobs*4"])
def test_nobody_waits_for_more_than_ten_years(outside, name):
    with pytest.raises(Rejected, match="at most 315360000"):
        outside(outside.client.ts.space(name).take, [None, "none"], wait=1e12)


@pytest.mark.parametrize("limit", [0, -3, "a", 1.5, True])
def test_a_limit_that_is_none_is_refused(outside, limit):
    with pytest.raises(ValueError, match="give a whole number"):
        outside(outside.client.ts.read_all, [None], limit=limit)


def test_keys_and_entries_that_are_none_are_refused(outside):
    with pytest.raises(ValueError, match="a list of texts"):
        outside(outside.client.kv.multi_get, "abc")
    with pytest.raises(ValueError, match="a dict of values"):
        outside(outside.client.kv.multi_put, [1, 2])


@pytest.mark.parametrize("name", ["", "x" * (MAX_NAME + 1), "~" * 134, "\u200b" * 60, "\ud800", 7, None])
def test_names_that_are_none_are_refused(outside, name):
    with pytest.raises(ValueError, match="is no name of a store"):
        outside.client.kv.store(name)


@pytest.mark.parametrize("name", ["~" * 100, "a/b%~0", "..", "x*8*8", "é" * 100, "\0"])
def test_names_of_any_characters_are_names(outside, name):
    kv = outside.client.kv.store(name)
    outside(kv.put, "name", name)
    assert outside(kv.get, "name") == name


@pytest.mark.parametrize("said", [{"what": "write"}, {"shards": 10**9}, {"shards": 0}, {"wait": -1}])
def test_what_looks_at_all_shards_is_told_nothing_else(outside, said):
    told = {"what": "take", "pattern": [None], "wait": 0, "shards": 4, **said}
    with pytest.raises((Rejected, BadArguments)):
        outside(outside.client.ask, "plex.spread/jobs*4", "wait", **{"arguments": told})


@pytest.mark.parametrize("value", ["1e999", "1" * 5_000, "[" * 5_000 + "]" * 5_000, "NaN"])
def test_what_no_json_says_is_no_fault_of_the_server(served, value):
    for path, argument in (("kv/x/put", "value"), ("spaces/x/write", "tuple")):
        body = f'{{"key": "a", "{argument}": [{value}]}}'
        answer = httpx.post(f"{served.url}/v1/{path}", content=body, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_json")
