"""Tuple spaces as they are used: in handlers, by clients, over HTTP, and spread over shards."""

import json
import threading

import httpx
import pytest
from anybody import Anybody
from world import World

from plexstream import Rejected, match
from plexstream.sdk.host.coordination.kept.match import pattern

SHARDED = "jobs*4"


@pytest.fixture(params=["plain", "awaited"])
def inside(request):
    """Does an operation in a handler."""
    world = World(Anybody, crash_every=2)
    world.name = None

    def do(path, name=None, /, **arguments):
        what = {"path": path, "name": name, "arguments": arguments}
        return world.ask("anybody/one", request.param, **what)

    do.world = world
    return do


def test_types_are_written_out():
    assert pattern([int, None, ..., "*", match.between(1, 2), type(None)]) == [
        {"type": "int"}, None, None, "*", {"range": [1, 2]}, {"type": "null"}
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no field of a tuple is a set"):
        pattern([set])
    with pytest.raises(ValueError, match="a pattern is a list"):
        pattern("text")


def test_a_handler_uses_a_space(inside):
    assert inside("ts.write", tuple=["job", 1, "new"])["id"] == 1
    assert inside("ts.read", pattern=["job", None, "new"]) == ["job", 1, "new"]
    assert inside("ts.count") == 1
    assert inside("ts.swap", pattern=["job", 1, None], tuple=["job", 1, "done"]) == ["job", 1, "new"]
    assert inside("ts.take", pattern=["job", None, "new"]) is None
    assert inside("ts.take", pattern=["job", None, "done"], wait=5) == ["job", 1, "done"]
    assert inside("ts.take", pattern=["job", None, "done"], wait=0) is None
    absent, take = ({"op": what, "pattern": ["a"]} for what in ("absent", "take"))
    plan = [absent, {"op": "write", "tuple": ["a"]}, take]
    assert inside("ts.transaction", operations=plan)[2] == ["a"]
    assert inside("ts.transaction", operations=[{"op": "take", "pattern": ["none"]}]) == "rejected"


def test_a_take_that_waits_gets_what_is_written_later(inside):
    waiting = inside.world.start(
        "anybody/two", "awaited", path="ts.take", arguments={"pattern": ["x", None], "wait": 60}
    )
    assert waiting not in inside.world.replies
    inside("ts.write", tuple=["x", 1])
    inside.world.run()
    assert inside.world.replies[waiting] == ["x", 1]


def test_a_sharded_space_finds_what_each_shard_has(inside):
    for number in range(12):
        inside("ts.space.write", SHARDED, tuple=[f"k{number}", number])
    assert inside("ts.space.count", SHARDED) == 12
    assert inside("ts.space.read", SHARDED, pattern=["k3", None]) == ["k3", 3]
    rows = inside("ts.space.read_all", SHARDED, pattern=[None, None])
    assert sorted(row[1] for row in rows) == [*range(12)]
    taken = [inside("ts.space.take", SHARDED, pattern=[None, None]) for _ in range(13)]
    assert taken[12] is None
    assert sorted(row[1] for row in taken[:12]) == [*range(12)]


def test_who_waits_at_all_shards_gets_what_comes_to_any(inside):
    world = inside.world
    what = {"path": "ts.space.take", "name": SHARDED, "arguments": {"pattern": [None, 7], "wait": None}}
    waiting = [world.start(f"anybody/w{n}", "awaited", **what) for n in range(2)]
    inside("ts.space.write", SHARDED, tuple=["first", 7])
    world.run()
    assert sorted(world.replies.get(w) or [] for w in waiting) == [[], ["first", 7]]
    inside("ts.space.write", SHARDED, tuple=["second", 7])
    world.run()
    assert sorted(world.replies[w] for w in waiting) == [["first", 7], ["second", 7]]
    assert inside("ts.space.count", SHARDED) == 0


def test_who_waits_at_all_shards_hears_of_its_time_limit(inside):
    world = inside.world
    what = {"path": "ts.space.take", "name": SHARDED, "arguments": {"pattern": [None, 7], "wait": 2}}
    waiting = world.start("anybody/w", "awaited", **what)
    world.run(2_000)
    assert world.replies[waiting] is None
    inside("ts.space.write", SHARDED, tuple=["late", 7])
    assert inside("ts.space.count", SHARDED) == 1


def test_a_transaction_is_of_one_shard(inside):
    write = [{"op": "write", "tuple": [f"k{n}"]} for n in range(9)]
    assert inside("ts.space.transaction", SHARDED, operations=write) == "failed"
    one = [{"op": "write", "tuple": ["k", n]} for n in range(2)]
    inside("ts.space.transaction", SHARDED, operations=[*one, {"op": "take", "pattern": ["k", 0]}])
    assert inside("ts.space.read_all", SHARDED, pattern=[None, None]) == [["k", 1]]


def test_ids_of_a_sharded_space_tell_their_shard(inside):
    leases = [inside("ts.space.write", SHARDED, tuple=[f"k{n}"], ttl=5) for n in range(8)]
    assert len({lease["id"] for lease in leases}) == 8
    inside("ts.space.cancel", SHARDED, id=leases[3]["id"])
    inside("ts.space.renew", SHARDED, id=leases[4]["id"], ttl=60)
    inside.world.run(6_000)
    assert inside("ts.space.read_all", SHARDED, pattern=[None]) == [["k4"]]


def test_the_flat_forms_of_the_dialect(inside):
    assert inside("ts_write", tuple='["parcel","p1","new"]') == ""
    assert inside("ts_read", pattern='["parcel",null,"new"]') == '["parcel","p1","new"]'
    assert inside("ts_read_all", pattern=["parcel", "*", "*"]) == [["parcel", "p1", "new"]]
    assert inside("ts_take", pattern='["parcel","*","*"]') == '["parcel","p1","new"]'
    assert inside("ts_take", pattern='["parcel","*","*"]') == ""
    assert inside("ts_take", pattern=["parcel", "*", "*"]) is None
    assert inside("kv_put", key="a", value="1") == ""
    assert inside("kv_get", key="a") == "1"
    assert inside("kv_get", key="b") == ""
    assert inside("kv_list", prefix="") == '["a"]'
    assert inside("kv_delete", key="a") == ""
    assert inside("pg_join", group="g") == ""
    assert inside("pg_members", group="g") == '["anybody/one"]'
    assert inside("pg_broadcast", group="g", msg_type="here", payload='{"a":1}') == ""
    assert inside("pg_leave", group="g") == ""
    assert inside("pool_checkout", pool="p", timeout_ms=0) == ""
    inside("pools.pool.add", "p", members=["worker/1"])
    lent = json.loads(inside("pool_checkout", pool="p"))
    assert lent["actor_id"] == "worker/1"
    back = {"pool": "p", "actor_id": "worker/1", "checkout_id": lent["checkout_id"]}
    assert inside("pool_checkin", **back) == ""
    assert inside("pool_checkin", **back).startswith("ERROR:")
    assert json.loads(inside("pool_get_metrics", pool="p"))["idle"] == 1
    assert inside("pg_members", group="g") == "[]"


def test_a_client_uses_a_space(outside, request):
    ts = outside.client.ts.space(request.node.name)
    lease = outside(ts.write, ("job", 1), ttl=60)
    assert lease.due > 0
    assert outside(ts.renew, lease.id, 120).due > lease.due
    assert outside(ts.renew, lease, 180).due > lease.due
    with pytest.raises(ValueError, match="give its Lease"):
        outside(ts.renew, "1", 60)
    other = outside(ts.write, ["other"])
    assert outside(ts.cancel, other) is None
    [told] = outside(ts.notify, ["x"], "anybody/one", "told", ttl=60)
    assert outside(ts.renew_notify, told, 120).due > told.due
    assert outside(ts.cancel_notify, told) is None
    assert outside(ts.count) == 1
    assert outside(ts.take, ["job", match.between(1, 2)]) == ["job", 1]
    with pytest.raises(Rejected, match="oper"):
        outside(ts.read, [{"almost": 1}])
    with pytest.raises(ValueError, match="a tuple is a list"):
        outside(ts.write, "text")


def test_a_take_repeated_with_its_key_gets_the_same_tuple(outside, request):
    name = request.node.name
    for number in (1, 2):
        outside(outside.client.ts.space(name).write, ["job", number])
    for _ in range(3):
        take = outside.client.keyed(f"take {name}").ts.space(name).take
        assert outside(take, ["job", None]) == ["job", 1]
    assert outside(outside.client.ts.space(name).count) == 1


def test_a_client_waits_for_a_tuple(outside, request):
    ts = outside.client.ts.space(request.node.name)
    assert outside(ts.take, ["late"], wait=0.05) is None
    writer = threading.Timer(0.3, lambda: httpx.post(
        f"{outside.url}/v1/spaces/{httpx.URL(path=request.node.name).raw_path.decode()}/write",
        json={"tuple": ["late"]},
    ).raise_for_status())  # fmt: skip
    writer.start()
    assert outside(ts.take, ["late"], wait=60) == ["late"]
    writer.join()


def test_over_http(served):
    with httpx.Client(base_url=f"{served.url}/v1/spaces/over http") as http:
        assert http.post("/write", json={"tuple": ["a", 1.0]}).json()["id"] == 1
        assert http.get("/read", params={"pattern": '["a", 1]'}).json() is None
        assert http.get("/read", params={"pattern": '["a", 1.0]'}).json() == ["a", 1.0]
        assert http.get("/take", params={"pattern": '["a"]'}).status_code == 405
        assert http.post("/take", json={"pattern": ["a", {"type": "float"}], "wait": 1}).json() == ["a", 1.0]
        for body in ({"pattern": []}, {"pattern": [{"x": 1}]}, {"pattern": ["a"], "wait": -1}):
            assert http.post("/take", json=body).json()["code"] in ("rejected", "bad_arguments"), body


def test_a_take_at_all_shards_that_is_repeated_under_its_key_is_the_same_tuple(outside, request):
    ts = outside.client.ts.space(f"{request.node.name}*4")
    outside(ts.write_many, [[f"k{number}", number] for number in range(12)])
    for number in range(12):
        keyed = outside.client.keyed(f"{request.node.name} {number}").ts.space(ts.name)
        taken = [outside(keyed.take, [None, None], wait=number % 2) for _ in range(2)]
        assert taken[0] == taken[1]
        assert outside(ts.count) == 11 - number
    keyed = outside.client.keyed(f"{request.node.name} none").ts.space(ts.name)
    assert outside(keyed.take, [None, None]) is None
    outside(ts.write, ["k", 12])
    assert outside(keyed.take, [None, None]) is None
