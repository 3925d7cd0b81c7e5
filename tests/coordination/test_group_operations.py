"""Process groups and registries as they are used: in handlers, by clients, over HTTP, by commands."""

import httpx
import pytest
from anybody import Anybody
from world import World

from plexstream import Rejected, actor, handler, host, state
from plexstream.model.errors import BadArguments
from plexstream.sdk.host.coordination.spread.registry import Registered


@actor(name="singer")
class Singer:
    """As programs for PlexSpaces are written."""

    heard: list = state(default_factory=list)

    @handler("join")
    def join(self, group: str):
        host.process_groups.join(group, host.get_actor_id())

    @handler("sing")
    def sing(self, group: str, line: str):
        host.process_groups.publish(group, {"line": line})

    @handler("members")
    def members(self, group: str):
        return host.process_groups.get_members(group)

    @handler("*")
    def any(self, line: str | None = None):
        self.heard.append(line)

    @handler("heard", read_only=True)
    def tell(self):
        return self.heard


@pytest.fixture(params=["plain", "awaited"])
def inside(request):
    """Does an operation in a handler of ``anybody/one``."""
    world = World(Anybody, Singer, crash_every=2)

    def do(path, name=None, /, **arguments):
        return world.ask("anybody/one", request.param, path=path, name=name, arguments=arguments)

    do.world = world
    return do


def test_a_choir_sings():
    world = World(Singer, crash_every=3)
    for one in ("a", "b"):
        world.ask(f"singer/{one}", "join", group="choir")
    world.ask("singer/a", "sing", group="choir", line="la")
    assert world.ask("singer/a", "heard") == []
    assert world.ask("singer/b", "heard") == ["la"]
    assert world.ask("singer/a", "members", group="choir") == ["singer/a", "singer/b"]


def test_a_handler_uses_a_group(inside):
    assert inside("groups.group.join", "choir") is True
    assert inside("process_groups.join", group="choir", topics="bass") is False
    assert inside("process_groups.join", group="choir", member="singer/b") is True
    assert inside("groups.group.members", "choir") == ["anybody/one", "singer/b"]
    assert inside("process_groups.members", group="choir", topic="bass") == ["anybody/one"]
    assert inside("process_groups.first", group="choir") == "anybody/one"
    assert inside("groups.group.topics", "choir") == {"bass": 1}
    assert inside("groups.group.is_member", "choir") is True
    assert inside("process_groups.publish", group="choir", payload={"line": "la"}) == 1  # not itself
    assert inside("process_groups.broadcast", group="choir", handler="x", payload={"line": "so"}) == 1
    assert inside.world.ask("singer/b", "heard") == ["la", "so"]
    assert inside("groups.group.leave", "choir", topics=["bass"]) is True
    assert inside("groups.group.count", "choir", topic="bass") == 0
    assert inside("process_groups.leave", group="choir") is True
    assert inside("process_groups.leave", group="choir") is False
    status = {"members": 1, "published": 2, "under_way": 0}
    assert inside("groups.group.status", "choir") == status


def test_more_members_than_a_page_has_come_in_one_list(inside, monkeypatch):
    from plexstream.sdk.host.coordination.spread import groups

    monkeypatch.setattr(groups, "MAX_PAGE", 2)
    members = [f"singer/{n}" for n in range(5)]
    for member in members:
        inside("groups.group.join", "choir", member=member)
    assert inside("groups.group.members", "choir", limit=100) == members
    assert inside("process_groups.get_members", group="choir") == members
    assert inside("groups.group.members", "choir", limit=3) == members[:3]
    assert inside("groups.group.members", "choir", after="singer/1", limit=2) == members[2:4]


def test_a_handler_uses_a_registry(inside):
    assert inside("registry.register", name="pay", labels={"zone": "eu"}, ttl=5) is True
    assert inside("registry.register", name="pay", address="singer/b") is True
    now = inside.world.now
    assert inside("registry.lookup", name="pay") == [
        {"name": "pay", "address": "anybody/one", "labels": {"zone": "eu"}, "ttl": 5.0, "since": now},
        {"name": "pay", "address": "singer/b", "labels": {}, "ttl": None, "since": now},
    ]
    assert [row["address"] for row in inside("registry.discover", labels={"zone": "eu"})] == ["anybody/one"]
    assert inside("registry.heartbeat", name="pay", ttl=9) == 9
    assert inside("registry.watch", name="p", handler="x", to="singer/c", prefix=True) is True
    assert inside("registry.watch", name="pay", handler="x") is True
    assert inside("registry.unwatch", name="pay", handler="x") is True
    assert inside("registry.unregister", name="pay") is True
    assert inside("registry.unregister", name="pay") is False
    assert inside("registry.heartbeat", name="pay") == "rejected"
    assert inside("registry.status") == {"entries": 1, "watches": 1, "under_way": 0}
    assert inside("registry.registry.lookup", "other", name="pay") == []


def test_what_is_discovered_comes_in_one_list(inside, monkeypatch):
    from plexstream.sdk.host.coordination.spread import registry

    monkeypatch.setattr(registry, "MAX_PAGE", 2)
    for n in range(5):
        inside("registry.register", name=f"n{n}", labels={"all": "yes"})
    found = [row["name"] for row in inside("registry.discover", labels={"all": "yes"}, limit=4)]
    assert found == ["n0", "n1", "n2", "n3"]
    behind = inside("registry.discover", after=["n2", "anybody/one"], limit=9)
    assert [row["name"] for row in behind] == ["n3", "n4"]


def test_a_client_uses_a_group(outside, request):
    group = outside.client.groups.group(request.node.name)
    assert outside(group.join, "anybody/a", topics=["x"]) is True
    assert outside(group.join, "anybody/b") is True
    assert outside(group.members) == ["anybody/a", "anybody/b"]
    assert outside(group.members, "x") == ["anybody/a"]
    assert outside(group.publish, {"path": "x"}, "here", sender="anybody/a") == 1
    assert outside(outside.client.groups.first, request.node.name) == "anybody/a"
    with pytest.raises(Rejected, match="member is missing"):
        outside(group.join)
    with pytest.raises(Rejected, match="system"):
        outside(group.publish, {}, "$stop")
    with pytest.raises(BadArguments, match="member"):
        outside(group.join, 7)
    with pytest.raises(Rejected, match="limit"):
        outside(group.members, limit=0)
    with pytest.raises(ValueError, match="no name of a group"):
        outside.client.groups.group("")


def test_a_client_uses_a_registry(outside, request):
    registry = outside.client.registry.registry(request.node.name)
    assert outside(registry.register, "pay", "anybody/a", labels={"zone": "eu"}) is True
    (found,) = outside(registry.lookup, "pay")
    assert found == Registered("pay", "anybody/a", {"zone": "eu"}, None, found.since)
    assert outside(registry.discover, {"zone": "eu"}) == [found]
    assert outside(registry.discover, {"zone": "us"}) == []
    with pytest.raises(Rejected, match="register it again"):
        outside(registry.heartbeat, "pay", "anybody/b")
    with pytest.raises(Rejected, match="address is missing"):
        outside(registry.register, "pay")
    with pytest.raises(Rejected, match="above 0"):
        outside(registry.register, "pay", "anybody/a", ttl=0)


def test_what_is_published_with_a_key_is_published_once(outside, request):
    name = request.node.name
    outside(outside.client.groups.group(name).join, "anybody/a")
    for _ in range(3):
        publish = outside.client.keyed(f"k-{name}").groups.group(name).publish
        assert outside(publish, {}, "here") == 1
    assert outside(outside.client.groups.group(name).status)["published"] == 1


def test_over_http(served):
    with httpx.Client(base_url=f"{served.url}/v1") as http:
        group, registry = "/groups/over%2Fhttp", "/registry/http"
        assert http.post(f"{group}/join", json={"member": "anybody/a", "topics": ["x"]}).json() is True
        assert http.get(f"{group}/members", params={"topic": "x"}).json() == ["anybody/a"]
        assert http.post(f"{group}/publish", json={"handler": "here", "payload": {}}).json() == 1
        assert http.get(f"{group}/publish").status_code == 405
        assert http.post(f"{group}/join", json={"member": "x"}).status_code == 409
        assert http.post(f"{group}/join", json={"member": 7}).status_code == 422
        assert http.post(f"{group}/join", json={"topics": 7}).status_code == 422
        assert http.post(f"{group}/publish", json={"payload": 7}).status_code == 422
        body = {"name": "pay", "address": "anybody/a", "labels": {"zone": "eu"}}
        assert http.post(f"{registry}/register", json=body).json() is True
        (found,) = http.get(f"{registry}/discover", params={"labels": '{"zone": "eu"}'}).json()
        assert http.get(f"{registry}/lookup", params={"name": "pay"}).json() == [found]
        assert (found["address"], found["labels"]) == ("anybody/a", {"zone": "eu"})
        assert http.post(f"{registry}/register", json={**body, "labels": 7}).status_code == 422
        assert http.post(f"{registry}/register", json={**body, "labels": {"a": 7}}).status_code == 422
        assert http.get(f"{registry}/discover", params={"after": "x"}).status_code in (409, 422)
