"""Keys and values: one shard of a store, on the real processor and host."""

import pytest
from world import World

KV = "plex.kv/default~0"


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return World(crash_every=request.param)


def value(world, *keys):
    return [row and row[0] for row in world.ask(KV, "get", keys=list(keys))]


def listed(world):
    rows, more = world.ask(KV, "list")
    assert not more
    return [key for (key,) in rows]


def test_what_is_put_is_got(world):
    assert world.ask(KV, "put", entries={"a": 1, "b": [None, "x"]}) == [1, 2]
    assert world.ask(KV, "get", keys=["b", "a", "c"]) == [[[None, "x"], 2, None], [1, 1, None], None]


def test_a_value_of_null_is_a_value(world):
    world.ask(KV, "put", entries={"a": None})
    assert world.ask(KV, "get", keys=["a"]) == [[None, 1, None]]


def test_a_key_with_an_end_is_gone_by_then(world):
    world.ask(KV, "put", entries={"a": 1}, ttl=2)
    world.run(1000)
    assert world.ask(KV, "get", keys=["a"]) == [[1, 1, 1.0]]
    world.run(1000)
    assert world.ask(KV, "get", keys=["a"]) == [None]
    assert listed(world) == []
    assert world.pieces.collections.of_actor("default/default/plex.kv/default~0") == []  # nor anything of it


def test_a_new_value_has_its_own_end(world):
    world.ask(KV, "put", entries={"a": 1, "b": 1}, ttl=2)
    world.ask(KV, "put", entries={"a": 2})
    world.ask(KV, "put", entries={"b": 2}, ttl=5)
    world.run(3000)
    assert value(world, "a", "b") == [2, 2]
    world.run(3000)
    assert value(world, "a", "b") == [2, None]


def test_it_is_set_only_if_it_has_the_version(world):
    assert world.ask(KV, "cas", key="a", value=1, version=0) == [True, 1]
    assert world.ask(KV, "cas", key="a", value=2, version=0) == [False, 1]
    assert world.ask(KV, "cas", key="a", value=2, version=1) == [True, 2]
    assert value(world, "a") == [2]


def test_no_version_comes_back(world):
    world.ask(KV, "cas", key="a", value=1, version=0)
    world.ask(KV, "delete", keys=["a"])
    world.ask(KV, "put", entries={"a": 1})
    assert world.ask(KV, "cas", key="a", value=2, version=1) == [False, 2]


def test_a_count_begins_with_its_end_and_later_ones_do_not_move_it(world):
    assert world.ask(KV, "increment", key="window", ttl=2) == 1
    world.run(1500)
    assert world.ask(KV, "increment", key="window", ttl=2) == 2
    world.run(500)
    assert value(world, "window") == [None]
    assert world.ask(KV, "increment", key="window", ttl=2) == 1


def test_an_end_is_renewed_and_taken_away_while_value_and_version_stay(world):
    world.ask(KV, "put", entries={"a": 1, "b": 1}, ttl=2)
    assert world.ask(KV, "renew", key="a", ttl=5) is True
    assert world.ask(KV, "renew", key="b", ttl=None) is True
    world.run(3000)
    assert world.ask(KV, "get", keys=["a", "b"]) == [[1, 1, 2.0], [1, 2, None]]
    world.run(2000)
    assert world.ask(KV, "get", keys=["a"]) == [None]
    assert world.ask(KV, "renew", key="a", ttl=5) is False
    assert value(world, "a", "b") == [None, 1]
    assert world.ask(KV, "cas", key="b", value=2, version=2) == [True, 3]


def test_it_is_incremented(world):
    assert world.ask(KV, "increment", key="n") == 1
    assert world.ask(KV, "increment", key="n", by=-3) == -2
    world.ask(KV, "put", entries={"t": "1", "f": 1.0, "b": True})
    for key in ("t", "f", "b"):
        assert world.ask(KV, "increment", key=key) == "rejected"


def test_keys_are_listed_in_pages(world):
    world.ask(KV, "put", entries={k: len(k) for k in ("b", "aa", "a", "ab", "é", "c")})
    assert listed(world) == ["a", "aa", "ab", "b", "c", "é"]
    assert world.ask(KV, "list", prefix="a", limit=2) == [[["a"], ["aa"]], True]
    assert world.ask(KV, "list", prefix="a", after="aa") == [[["ab"]], False]
    assert world.ask(KV, "list", prefix="a", after="aa", values=True) == [[["ab", 2, 4, None]], False]


def test_a_page_of_large_values_is_cut_short(world):
    for key in "abc":
        world.ask(KV, "put", entries={key: "x" * 200_000})
    rows, more = world.ask(KV, "list", values=True)
    assert ([row[0] for row in rows], more) == (["a", "b"], True)
    assert listed(world) == ["a", "b", "c"]


def test_delete_tells_how_many_there_were(world):
    world.ask(KV, "put", entries={"a": 1, "b": 1})
    assert world.ask(KV, "delete", keys=["a", "x"]) == 1
    assert listed(world) == ["b"]


@pytest.mark.parametrize(
    ("handler", "arguments"),
    [
        ("put", {"entries": {"": 1}}),
        ("put", {"entries": {"x" * 901: 1}}),
        ("put", {"entries": {"a": 1}, "ttl": 0}),
        ("put", {"entries": {"a": 1}, "ttl": -1}),
        ("put", {"entries": {"a": 1}, "ttl": 1e12}),
        ("list", {"limit": 0}),
        ("list", {"limit": 1001}),
    ],
)
def test_what_cannot_be_is_rejected(world, handler, arguments):
    assert world.ask(KV, handler, **arguments) == "rejected"
    assert listed(world) == []
