"""Shard groups as they are used: in handlers, by clients, over HTTP."""

import threading

import httpx
import pytest
from anybody import Anybody, Part, Started
from world import World

from plexstream import Client, Rejected
from plexstream.sdk.host.coordination.spread.shards.results import Failure, Gathered, Status

KEYS = [f"k{number:02}" for number in range(12)]


class Inside:
    """Does an operation in a handler."""

    def __init__(self, how):
        self.world = World(Anybody, Part, Started, crash_every=2)
        self._how = how
        self.error = None

    def start(self, path, actor="one", **arguments):
        path = f"shards.group.{path}"
        return self.world.start(f"anybody/{actor}", self._how, path=path, name="g", arguments=arguments)

    def __call__(self, path, **arguments):
        id = self.start(path, **arguments)
        self.error = self.world.errors.get(id)
        return self.world.replies[id]


@pytest.fixture(params=["plain", "awaited"])
def inside(request):
    return Inside(request.param)


def test_a_handler_uses_a_group(inside):
    assert inside("create", type="part", shards=3) is True
    assert inside("members") == ["part/g~0", "part/g~1", "part/g~2"]
    assert inside("status") == {
        "type": "part", "shards": 3, "placement": "hash", "bounds": [], "barriers": []
    }  # fmt: skip
    updated = inside("bulk_update", updates=dict.fromkeys(KEYS, 1), handler="update")
    assert sorted(key for keys in updated.values() for key in keys) == KEYS
    for shard, keys in updated.items():
        assert [inside("locate", key=key) for key in keys] == [int(shard)] * len(keys)
    rows = inside("map", handler="rows")
    assert [sorted(row) for row in rows] == [updated.get(str(shard), []) for shard in range(3)]
    assert inside("bulk_update", updates={}, handler="update") == {}
    assert inside("map", handler="number", arguments={"times": 2}) == [0, 2, 4]
    assert inside("broadcast", handler="hear", arguments={"value": 1}) == 3
    assert inside("map", handler="all_heard") == [[["plex.shards/g", 1]]] * 3
    assert inside("delete") is True
    assert inside("map", handler="number") == "rejected"


def test_a_bulk_update_is_one_message_for_each_shard(inside):
    inside("create", type="part", shards=3, placement="range", bounds=["k04", "k08"])
    inside("bulk_update", updates=dict.fromkeys(KEYS, 1), handler="add")
    assert len(inside.world.turns("add")) == 3
    assert [sorted(row) for row in inside("map", handler="rows")] == [KEYS[:4], KEYS[4:8], KEYS[8:]]
    # Crashes let no update take effect twice.
    assert all(row == dict.fromkeys(row, 1) for row in inside("map", handler="rows"))


def test_results_are_reduced(inside):
    inside("create", type="part", shards=4)
    inside("bulk_update", updates={"a": 1, "b": 2, "c": 3}, handler="update")
    for by, value in (("sum", 6), ("min", 0), ("max", 3)):
        assert inside("reduce", handler="number", by=by) == value
    assert inside("reduce", handler="rows", by="merge") == {"a": 1, "b": 2, "c": 3}
    assert inside("reduce", handler="rows", by="sum") == {"a": 1, "b": 2, "c": 3}
    assert inside("reduce", handler="all_heard") == []
    by = {"actor": "part/other~9", "handler": "total"}
    assert inside("reduce", handler="number", by=by) == ["total", 6]
    assert inside("reduce", handler="number") == "rejected"
    assert inside.error["detail"] == "concat: shard 0 answered 0: give lists"


def test_what_was_reduced_is_told_to_all(inside):
    inside("create", type="part", shards=3)
    assert inside("all_reduce", handler="number", to="hear", by="sum") == 3
    assert inside("map", handler="all_heard") == [[["anybody/one", 3]]] * 3


def test_members_are_started(inside):
    assert inside("create", type="started", shards=2, args={"start": 4}) is True
    assert inside("map", handler="made_of") == [[0, 2, 4], [1, 2, 4]]
    assert inside("map", handler="fail") == "failed"
    assert inside("map", handler="made_of") == "stopped"
    assert inside("start") is True
    assert inside("map", handler="made_of") == [[0, 2, 4], [1, 2, 4]]
    inside("delete")
    assert inside("create", type="started", shards=2, args={"refuses": 1}) == "rejected"
    assert inside.error["detail"] == "shards of 'g' have not started, so there is no group: 1: not today"
    assert inside.error["data"] == {"1": "not today"}


def test_what_each_has_come_to_is_gathered(inside):
    inside("create", type="part", shards=3)
    found = inside("scatter_gather", handler="number", policy="all")
    assert found == {"results": {"0": 0, "1": 1, "2": 2}, "failures": {}}
    each = [{"times": 1}, {"times": 2}, {"times": 3}]
    assert inside("scatter_gather", handler="number", arguments=each)["results"] == {"0": 0, "1": 2, "2": 6}
    found = inside("scatter_gather", handler="refuse", arguments={"shards": [1, -2]}, policy="any")
    assert found["results"] == {"0": 0}
    assert found["failures"]["1"] == {"code": "rejected", "detail": "shard 1 will not"}
    assert found["failures"]["2"]["code"] == "failed"


@pytest.mark.parametrize(
    ("policy", "failing", "right"),
    [
        ("all", [], True), ("all", [0], False),
        ("any", [0, 1, 2], True), ("any", [0, 1, 2, 3], False),
        ("quorum", [0], True), ("quorum", [0, 1], False),
        ("partial", [0, 1, 2, 3], True),
    ],
)  # fmt: skip
def test_a_policy_says_how_many_have_to_answer(inside, policy, failing, right):
    inside("create", type="part", shards=4)
    found = inside("scatter_gather", handler="refuse", arguments={"shards": failing}, policy=policy)
    if right:
        assert sorted(found["failures"]) == [str(shard) for shard in failing]
    else:
        assert found == "rejected"
        there = 4 - len(failing)
        assert f"{there} of 4 shards of 'g' answered, and policy {policy} wants" in inside.error["detail"]
        assert "shard 0: rejected: shard 0 will not" in inside.error["detail"]
        assert sorted(inside.error["data"]["failures"]) == [str(shard) for shard in failing]
        assert len(inside.error["data"]["results"]) == there


def test_who_is_late_has_failed(inside):
    inside("create", type="part", shards=3)
    asked = {"handler": "slow", "arguments": {"late": [1]}, "policy": "quorum", "deadline": 2.5}
    id = inside.start("scatter_gather", **asked)
    inside.world.run(2_000)
    assert id not in inside.world.replies
    inside.world.run(500)
    found = inside.world.replies[id]
    assert found["results"] == {"0": 0, "2": 2}
    assert found["failures"]["1"]["code"] == "timed_out"


def test_a_barrier_holds_handlers(inside):
    inside("create", type="part", shards=1)
    ids = [inside.start("barrier", f"b{number}", barrier="b", parties=3) for number in range(3)]
    assert [inside.world.replies[id] for id in ids] == [0, 1, 2]
    id = inside.start("barrier", barrier="b", parties=3, wait=5)
    assert id not in inside.world.replies
    inside.world.run(5_000)
    assert inside.world.replies[id] == "rejected"
    assert inside("reset_barrier", barrier="b") == 0


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("map", {"handler": "$stop"}),
        ("map", {"handler": ""}),
        ("map", {"handler": "number", "arguments": [1]}),
        ("bulk_update", {"updates": {"a": 1}, "handler": "$stop"}),
        ("reduce", {"handler": "$stop"}),
        ("reduce", {"handler": "number", "by": "average"}),
        ("reduce", {"handler": "number", "by": {"actor": "part/x"}}),
        ("reduce", {"handler": "number", "by": {"actor": "part", "handler": "total"}}),
        ("reduce", {"handler": "number", "by": {"actor": "part/x", "handler": "$stop"}}),
        ("all_reduce", {"handler": "number", "to": "$stop", "by": "sum"}),
        ("scatter_gather", {"handler": "$stop"}),
        ("scatter_gather", {"handler": "number", "policy": "most"}),
        ("scatter_gather", {"handler": "number", "deadline": 0}),
        ("scatter_gather", {"handler": "number", "deadline": "soon"}),
        ("broadcast", {"handler": "$stop"}),
    ],
)
def test_what_cannot_be_asked_is_not(inside, path, arguments):
    inside("create", type="part", shards=2)
    assert inside(path, **arguments) == "failed"  # ValueError
    assert "ValueError" in inside.error["detail"]
    assert [t.target for t in inside.world.mailbox if t.target.split("/")[2] == "part"] == []


# By clients


@pytest.fixture
def group(outside, request):
    found = outside.client.shards.group(request.node.name)
    assert outside(found.create, "part", 3) is True
    return found


def test_a_client_uses_a_group(outside, group):
    assert outside(group.members) == [f"part/{group.name}~{shard}" for shard in range(3)]
    updated = outside(group.bulk_update, dict.fromkeys(KEYS, 1), "update")
    assert all(outside(group.locate, key) == shard for shard, keys in updated.items() for key in keys)
    assert outside(group.map, "number", {"times": 2}) == [0, 2, 4]
    assert outside(group.reduce, "rows", by="merge") == dict.fromkeys(KEYS, 1)
    assert outside(group.all_reduce, "number", "hear", by="max") == 2
    assert outside(group.broadcast, "hear", {"value": 7}) == 3
    assert outside(group.scatter_gather, "refuse", {"shards": [1]}, "quorum") == Gathered(
        {0: 0, 2: 2}, {1: Failure("rejected", "shard 1 will not")}
    )
    assert outside(group.status) == Status("part", 3, "hash", [], [])
    with pytest.raises(Rejected, match=r"0 of 3 shards .* answered, and policy all wants 3") as refused:
        outside(group.scatter_gather, "refuse", {"shards": [0, 1, 2]})
    assert sorted(refused.value.data["failures"]) == ["0", "1", "2"]
    with pytest.raises(Rejected, match="2 arguments for 3 shards"):
        outside(group.scatter_gather, "number", [{}, {}])
    with pytest.raises(Rejected, match="min: shard 0 answered"):
        outside(group.reduce, "rows", by="min")
    with pytest.raises(ValueError, match="give one of concat"):
        outside(group.reduce, "rows", by="mean")


def test_a_client_does_not_wait_for_who_is_late(outside, group):
    found = outside(group.scatter_gather, "slow", {"late": [0, 2]}, "partial", 0.3)
    assert found.results == {1: 1}
    assert {shard: why.code for shard, why in found.failures.items()} == {0: "timed_out", 2: "timed_out"}


def test_an_operation_with_a_key_takes_effect_once(outside, group):
    keyed = outside.client.keyed(f"key of {group.name}").shards.group(group.name)
    for _ in range(3):
        outside(keyed.bulk_update, dict.fromkeys(KEYS, 1), "add")
    assert outside(group.reduce, "rows", by="merge") == dict.fromkeys(KEYS, 1)


def test_a_barrier_holds_clients(served):
    with Client(served.url) as client:
        group = client.shards.group("held")
        group.create("part", 1)
        found, threads = [], []
        for _ in range(3):
            threads.append(threading.Thread(target=lambda: found.append(group.barrier("b", 3, 60))))
            threads[-1].start()
        for thread in threads:
            thread.join(60)
        assert sorted(found) == [0, 1, 2]
        with pytest.raises(Rejected, match="broken"):
            group.barrier("b", 3, 0.2)


# Over HTTP


def test_over_http(served):
    with httpx.Client(base_url=f"{served.url}/v1/shards/http") as http:

        def post(path, **body):
            return http.post(f"/{path}", json=body)

        assert post("map", handler="number").status_code == 409
        made = {"type": "part", "shards": 2, "placement": "range", "bounds": ["m"]}
        assert post("create", **made).json() is True
        updated = post("bulk_update", updates={"a": 1, "z": 2}, handler="update").json()
        assert updated == {"0": ["a"], "1": ["z"]}
        assert http.get("/locate", params={"key": "007"}).json() == 0
        assert http.get("/members").json() == ["part/http~0", "part/http~1"]
        assert post("reduce", handler="rows", by="merge").json() == {"a": 1, "z": 2}
        by = {"actor": "part/http~0", "handler": "total"}
        assert post("reduce", handler="number", by=by).json() == ["total", 1]
        assert post("barrier", barrier="b", parties=1).json() == 0
        for path, body, status, said in (
            ("create", {"type": "part", "shards": 3}, 409, "is another: 2 shards of part by range at ['m']"),
            ("create", {"type": "part", "shards": "3"}, 422, "shards"),
            ("map", {"handler": "$stop"}, 422, "no handler of the members"),
            ("map", {"handler": "none"}, 404, "none"),
            ("map", {}, 422, "missing a required argument: 'handler'"),
            ("bulk_update", {"updates": [1], "handler": "update"}, 422, "updates is [1]: give an object"),
            ("map", {"handler": "number", "arguments": [1]}, 422, "arguments is [1]: give an object"),
            ("scatter_gather", {"handler": "number", "arguments": [1, 2]}, 422, "arguments is 1"),
            ("scatter_gather", {"handler": "number", "arguments": [{}]}, 409, "1 arguments for 2 shards"),
            ("locate", {"key": 7}, 422, "a key is a text"),
            ("reduce", {"handler": "number", "by": "mean"}, 422, "give one of concat, sum"),
            ("reduce", {"handler": "number"}, 409, "shard 0 answered 0: give lists"),
            ("scatter_gather", {"handler": "number", "deadline": -1}, 422, "above 0"),
            ("scatter_gather", {"handler": "refuse", "arguments": {"shards": [1]}}, 409, "1 of 2 shards"),
            ("barrier", {"barrier": "b", "parties": 0}, 409, "parties is 0"),
        ):
            answer = post(path, **body)
            assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.json()
        asked = {"handler": "slow", "arguments": {"late": [1]}, "policy": "any", "deadline": 0.3}
        late = post("scatter_gather", **asked).json()
        assert late["results"] == {"0": 0}
        assert late["failures"]["1"]["code"] == "timed_out"
        assert post("delete").json() is True
