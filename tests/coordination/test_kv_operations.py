"""Stores of keys and values as they are used: in handlers, by clients, over HTTP."""

import httpx
import pytest
from anybody import Anybody
from world import World

from plexstream import Rejected
from plexstream.model.errors import BadArguments
from plexstream.sdk.host.coordination.kept.kv import Entry, Swapped

KEYS = [f"k{number:02}" for number in range(40)]


@pytest.fixture(params=["plain", "awaited"])
def inside(request):
    """Does an operation in a handler."""
    world = World(Anybody, crash_every=2)

    def do(path, name=None, /, **arguments):
        return world.ask("anybody/one", request.param, path=path, name=name, arguments=arguments)

    return do


def test_a_handler_uses_a_store(inside):
    assert inside("kv.get", key="a") is None
    assert inside("kv.put", key="a", value={"x": 1}) == 1
    assert inside("kv.get", key="a") == {"x": 1}
    assert inside("kv.entry", key="a") == {"value": {"x": 1}, "version": 1, "ttl": None}
    assert inside("kv.cas", key="a", value=2, version=1) == {"done": True, "version": 2}
    assert inside("kv.increment", key="a") == 3
    assert inside("kv.increment", key="fresh", ttl=5) == 1
    assert inside("kv.renew", key="fresh", ttl=None) is True
    assert inside("kv.get_ttl", key="fresh") is None
    assert inside("kv.delete", key="a") is True
    assert inside("kv.put_with_ttl", key="a", value=1, ttl=5) > 0
    assert inside("kv.get_ttl", key="a") == 5
    assert inside("kv.put_json", key="j", value=[1]) > 0
    assert inside("kv.get", key="j") == "[1]"
    assert inside("kv.get_json", key="j") == [1]


def test_keys_of_all_shards_come_in_order(inside):
    assert len(inside("kv.multi_put", entries=dict.fromkeys(KEYS, 1))) == 40
    assert inside("kv.list") == KEYS
    assert inside("kv.list", prefix="k1", limit=3) == ["k10", "k11", "k12"]
    assert inside("kv.list", after="k37") == ["k38", "k39"]
    assert inside("kv.items", prefix="k3", limit=2) == {"k30": 1, "k31": 1}
    assert inside("kv.multi_get", keys=["k07", "none", "k01"]) == {"k07": 1, "k01": 1}


def test_stores_know_nothing_of_each_other(inside):
    inside("kv.put", key="a", value=1)
    assert inside("kv.store.get", "other", key="a") is None


def test_a_refusal_is_raised_in_the_handler(inside):
    inside("kv.put", key="t", value="text")
    assert inside("kv.increment", key="t") == "rejected"
    assert inside("kv.get", key=1) == "failed"  # ValueError


def test_a_store_is_of_the_tenant_of_who_uses_it():
    world = World(Anybody)
    put = {"path": "kv.put", "arguments": {"key": "a", "value": 1}}
    get = {"path": "kv.get", "arguments": {"key": "a"}}
    world.ask("one/main/anybody/x", "plain", **put)
    assert world.ask("two/main/anybody/x", "plain", **get) is None
    assert world.ask("one/main/anybody/y", "plain", **get) == 1


def test_a_client_uses_a_store(outside, request):
    kv = outside.client.kv.store(request.node.name)
    assert outside(kv.put, "a", 1) == 1
    assert outside(kv.entry, "a") == Entry(1, 1, None)
    assert outside(kv.cas, "a", 2, version=0) == Swapped(False, 1)
    assert not outside(kv.cas, "a", 2, version=0)  # `if kv.cas(…):` is what people write
    assert outside(kv.cas, "once", 1)
    assert outside(kv.delete, "once")
    assert outside(kv.renew, "a", 60) is True
    assert outside(kv.entry, "a").version == 1
    outside(kv.multi_put, dict.fromkeys(KEYS, 0))
    assert outside(kv.list, limit=3) == ["a", "k00", "k01"]
    with pytest.raises(Rejected, match="above 0"):
        outside(kv.put, "a", 1, ttl=0)
    with pytest.raises(ValueError, match="a key is a text"):
        outside(kv.get, 7)
    with pytest.raises(BadArguments, match="JSON"):
        outside(kv.put, "a", object())


def test_an_operation_with_a_key_takes_effect_once(outside, request):
    store = request.node.name
    for _ in range(3):
        assert outside(outside.client.keyed(f"n-{store}").kv.store(store).increment, "n") == 1
        put = outside.client.keyed(f"m-{store}").kv.store(store).multi_put
        assert outside(put, {"k01": 1, "k02": 1, "k03": 1}) == {"k01": 1, "k02": 1, "k03": 1}


def test_over_http(served):
    with httpx.Client(base_url=f"{served.url}/v1/kv/a%2Fb") as http:
        assert http.post("/put", json={"key": "007", "value": 1}).json() == 1
        assert http.get("/get", params={"key": "007"}).json() == 1
        assert http.get("/entry", params={"key": "007"}).json() == {"value": 1, "version": 1, "ttl": None}
        assert http.get("/list", params={"limit": "5"}).json() == ["007"]
        assert http.get("/get", params={"key": "x", "default": "[1]"}).json() == [1]
        once = {"headers": {"idempotency-key": "k"}, "json": {"key": "n"}}
        assert [http.post("/increment", **once).json() for _ in range(2)] == [1, 1]
        assert http.get("/put", params={"key": "a", "value": "1"}).status_code == 405
        assert http.options("/put").status_code in (200, 204, 405)
        assert "registry" in httpx.get(f"{served.url}/v1/kvs/a/get").json()["detail"]
        for path, body, status, said in (
            ("/putt", {}, 404, "it has"),
            ("/put", {"key": "a"}, 422, "missing a required argument: 'value'"),
            ("/put", {"key": "a", "value": 1, "x": 1}, 422, "it takes key, value, ttl"),
            ("/put", {"key": 7, "value": 1}, 422, "a key is a text"),
            ("/put", {"key": "a", "value": 1, "ttl": "soon"}, 422, "ttl"),
            ("/put", {"key": "a", "value": 1, "ttl": 0}, 409, "above 0"),
            ("/put", [1], 400, "JSON object"),
        ):
            answer = http.post(path, json=body)
            assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.json()
            assert answer.headers["content-type"] == "application/problem+json"
        assert http.post("/increment", json={"key": "007"}, params={"timeout": "x"}).status_code == 400
    assert httpx.get(f"{served.url}/v1/kv/{'x' * 201}/get?key=a").status_code == 422
