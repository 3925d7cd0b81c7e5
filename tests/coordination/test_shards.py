"""Shard groups: the actor that knows what a group is, and starts its members."""

import pytest
from anybody import Part, Started
from world import World

GROUP = "plex.shards/g"


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return World(Part, Started, crash_every=request.param)


def create(world, group=GROUP, **named):
    return world.ask(group, "create", **{"type": "part", "shards": 3, **named})


def refused(world, what, /, **arguments):
    id = world.start(GROUP, what, **arguments)
    assert world.replies[id] == "rejected", world.errors.get(id)
    return world.errors[id]["detail"]


def made_of(world, shards, group="g"):
    return [world.ask(f"started/{group}~{shard}", "made_of") for shard in range(shards)]


def test_a_group_is_what_it_was_created_as(world):
    assert create(world) == {}
    made = {"type": "part", "shards": 3, "placement": "hash", "bounds": [], "args": None}
    assert world.ask(GROUP, "get") == made
    assert create(world) == {}
    assert world.ask(GROUP, "status") == [made, []]


@pytest.mark.parametrize(
    "other",
    [{"shards": 4}, {"type": "started"}, {"placement": "consistent"}, {"args": {}},
     {"placement": "range", "bounds": ["a", "b"]}],
)  # fmt: skip
def test_another_group_of_the_same_name_is_refused(world, other):
    create(world)
    said = refused(world, "create", **{"type": "part", "shards": 3, **other})
    assert "'g' is there" in said
    assert "3 shards of part by hash" in said
    assert world.ask(GROUP, "get")["shards"] == 3


def test_without_a_group_there_is_nothing_to_do(world):
    for handler, arguments in (
        ("get", {}), ("status", {}), ("start", {}), ("broadcast", {"handler": "hear", "arguments": {}}),
        ("barrier", {"name": "b", "parties": 1}), ("reset_barrier", {"name": "b"}),
    ):  # fmt: skip
        assert "there is no shard group 'g': create it" in refused(world, handler, **arguments)
    assert world.ask(GROUP, "delete") is False


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"shards": 0}, "shards is 0: give a whole number from 1 to 1000"),
        ({"shards": 1001}, "from 1 to 1000"),
        ({"type": ""}, "no actor type"),
        ({"type": "a/b"}, "no actor type"),
        ({"type": "."}, "no actor type"),
        ({"type": "a\n"}, "no actor type"),
        ({"type": "x" * 101}, "no actor type"),
        ({"type": "plex.kv"}, "the system's own"),
        ({"placement": "ring"}, "give one of hash, consistent, range"),
        ({"bounds": ["a", "b"]}, "leave them out"),
        ({"placement": "range"}, "0 bounds for 3 shards: give 2"),
        ({"placement": "range", "bounds": ["b", "a"]}, "each greater"),
        ({"placement": "range", "bounds": ["a", "a"]}, "each greater"),
        ({"placement": "range", "bounds": ["a", "b" * 100_000]}, "larger than 100000 bytes"),
        ({"args": {"a": "x" * 8_000}}, "more than 8000 bytes"),
    ],
)
def test_what_cannot_be_is_rejected(world, named, said):
    assert said in refused(world, "create", **{"type": "part", "shards": 3, **named})
    assert world.ask(GROUP, "get") == "rejected"


@pytest.mark.parametrize("named", [{"shards": "3"}, {"shards": True}, {"bounds": [1, 2]}, {"args": [1]}])
def test_what_is_of_another_type_is_refused(world, named):
    assert create(world, **named) == "bad_arguments"


def test_members_are_started_with_their_arguments(world):
    assert create(world, type="started", args={"start": 7}) == {}
    assert made_of(world, 3) == [[0, 3, 7], [1, 3, 7], [2, 3, 7]]
    assert create(world, type="started", args={"start": 7}) == {}


def test_members_are_of_the_tenant_of_their_group(world):
    assert create(world, "one/main/plex.shards/g", type="started", args={}) == {}
    assert world.ask("one/main/started/g~2", "made_of") == [2, 3, 0]
    assert world.life("started/g~2") is None


def test_where_one_cannot_be_started_there_is_no_group_and_others_are_stopped(world):
    assert create(world, type="started", args={"refuses": 1}) == {"1": "not today"}
    assert world.ask(GROUP, "get") == "rejected"
    world.run(1_000)
    assert world.ask("started/g~0", "made_of") == "stopped"
    assert create(world, type="started", args={"start": 1}) == {}
    assert made_of(world, 3) == [[0, 3, 1], [1, 3, 1], [2, 3, 1]]


def test_members_that_live_already_are_not_started_as_others(world):
    world.ask("started/g~1", "made_of")
    failed = create(world, type="started", args={})
    assert list(failed) == ["1"]
    assert "lives already" in failed["1"]
    world.run(1_000)
    assert world.ask("started/g~1", "made_of") == [-1, -1, 0]  # and it goes on


def test_a_type_that_is_not_there_has_no_members(world):
    failed = create(world, type="nothing", args={})
    assert list(failed) == ["0", "1", "2"]


@pytest.mark.parametrize("crash", [0, 50])
def test_many_members_are_started(crash):
    world = World(Started, crash_every=crash)
    assert create(world, type="started", shards=250, args={}) == {}
    assert world.ask("started/g~249", "made_of") == [249, 250, 0]
    sizes = [len(step.outs) for step in world.steps("create")]
    assert max(sizes) <= 101


def test_members_that_have_ended_are_started_again(world):
    create(world, type="started", args={"start": 2})
    world.tell("started/g~1", "fail")
    world.run(1_000)
    assert world.ask("started/g~1", "made_of") == "stopped"
    assert create(world, type="started", args={"start": 2}) == {}  # which changes nothing
    assert world.ask("started/g~1", "made_of") == "stopped"
    assert world.ask(GROUP, "start") == {}
    assert made_of(world, 3) == [[0, 3, 2], [1, 3, 2], [2, 3, 2]]


def test_members_that_need_no_start_cannot_be_started(world):
    create(world)
    assert "nothing to start" in refused(world, "start")


def test_all_are_told_once_and_in_order(world):
    create(world, shards=5)
    for value in range(3):
        assert world.ask(GROUP, "broadcast", handler="hear", arguments={"value": value}) == 5
    for shard in range(5):
        assert world.ask(f"part/g~{shard}", "all_heard") == [["plex.shards/g", n] for n in range(3)]


@pytest.mark.parametrize("handler", ["", "$stop"])
def test_handlers_of_the_system_are_not_for_callers(world, handler):
    create(world)
    assert "no handler of a member" in refused(world, "broadcast", handler=handler, arguments={})


def test_a_deleted_group_is_gone_and_its_members_are_stopped(world):
    create(world, type="started", args={})
    assert world.ask(GROUP, "delete") is True
    assert world.ask(GROUP, "delete") is False
    assert world.ask(GROUP, "get") == "rejected"
    assert made_of(world, 3) == ["stopped"] * 3
    assert create(world, type="started", shards=2, args={"start": 5}) == {}
    assert made_of(world, 2) == [[0, 2, 5], [1, 2, 5]]


def test_members_that_were_not_started_keep_what_they_have(world):
    create(world)
    world.ask("part/g~0", "update", updates={"a": 1})
    world.ask(GROUP, "delete")
    assert world.ask("part/g~0", "rows") == {"a": 1}


@pytest.mark.parametrize(
    "changed", [{"shards": 0}, {"shards": -1}, {"shards": 100_000_000}, {"what": "drop"}, {"wait": -1}]
)
def test_who_waits_at_all_shards_of_a_space_says_at_which(changed):
    arguments = {"what": "read", "pattern": [1], "wait": 1, "shards": 2}
    world = World()
    assert world.ask("plex.spread/x", "wait", **{**arguments, **changed}) == "rejected"
    waits = world.start("plex.spread/x", "wait", **arguments)
    world.run(1_000)
    assert world.replies[waits] is None
