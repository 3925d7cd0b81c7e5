"""Channels as they are used: in handlers, by clients, over HTTP."""

import httpx
import pytest
from anybody import Anybody
from world import World

from plexstream import Rejected
from plexstream.sdk.host.coordination.spread.channels import Fetched, Published


@pytest.fixture(params=["plain", "awaited"])
def inside(request):
    """Does an operation in a handler."""
    world = World(Anybody, crash_every=2)

    def do(path, name="news", /, **arguments):
        return world.ask("anybody/one", request.param, path=path, name=name, arguments=arguments)

    return do


def test_a_handler_uses_a_channel(inside):
    assert inside("channels.channel.configure", count=10)["count"] == 10
    assert inside("channels.channel.subscribe", subscriber="me", topic="t*") == 0
    assert inside("channels.channel.publish", value={"a": 1}, topic="t") == 1
    assert inside("channels.channel.publish_many", values=[1, 2]) == [2, 3]
    found = inside("channels.channel.fetch", subscriber="me", wait=5)
    assert ([message["value"] for message in found["messages"]], found["position"]) == ([{"a": 1}], 3)
    assert inside("channels.channel.commit", subscriber="me", position=3) == 0
    assert inside("channels.channel.status")["last"] == 3
    assert [row["name"] for row in inside("channels.channel.subscribers")] == ["me"]
    assert inside("channels.channel.unsubscribe", subscriber="me") is True
    assert inside("channels.channel.fetch", subscriber="me") == "rejected"


def test_a_handler_uses_both_by_the_words_of_ported_programs(inside):
    assert inside("channel.create", None, queue="jobs", attempts=2)["attempts"] == 2
    assert inside("channel.send_to_queue", None, queue="jobs", value="a") == 1
    [message] = inside("channel.receive", None, queue="jobs")
    assert inside("channel.nack", None, queue="jobs", receipts=message["receipt"]) == 1
    [message] = inside("channel.receive", None, queue="jobs", wait=1)
    assert inside("channel.ack", None, queue="jobs", receipts=[message["receipt"]]) == 1
    assert inside("channel.depth", None, queue="jobs")["ready"] == 0
    assert inside("channel.delete", None, queue="jobs") == 0
    arguments = {"channel": "news", "subscriber": "other", "to": "anybody/x", "handler": "y"}
    assert inside("channel.subscribe", None, **arguments) == 0
    assert inside("channel.publish", None, channel="news", value=1) == 1
    assert inside("channel.unsubscribe", None, channel="news", subscriber="other") is True


def test_a_client_uses_a_channel(outside, request):
    channel = outside.client.channels.channel(request.node.name)
    assert outside(channel.subscribe, "me", start="start") == 0
    assert outside(channel.publish, "a") == 1
    found = outside(channel.fetch, "me")
    assert type(found) is Fetched
    (message,) = found.messages
    assert (type(message), message.value, message.position) == (Published, "a", 1)
    assert outside(channel.commit, "me", found.position) == 0
    assert outside(channel.fetch, "me", wait=0.01).messages == []
    with pytest.raises(Rejected, match="is no subscriber"):
        outside(channel.fetch, "nobody")
    once = outside.client.keyed(f"k-{request.node.name}").channels.channel(request.node.name)
    assert [outside(once.publish, "b") for _ in range(2)] == [2, 2]


def test_over_http(served):
    with httpx.Client(base_url=f"{served.url}/v1/channels/http") as http:
        assert http.post("/subscribe", json={"subscriber": "me"}).json() == 0
        assert http.post("/publish", json={"value": 1}).json() == 1
        assert http.post("/fetch", json={"subscriber": "me"}).json()["messages"][0]["value"] == 1
        assert http.get("/status").json()["last"] == 1
        for path, body, status, said in (
            ("/fetch", {"subscriber": "me", "wait": "soon"}, 422, "wait is"),
            ("/subscribe", {"subscriber": "x", "start": "soon"}, 422, "start"),
            ("/subscribe", {"subscriber": "x", "to": "a/b"}, 409, "give both"),
            ("/commit", {"subscriber": "me", "position": 7}, 409, "newest message is 1"),
        ):
            answer = http.post(path, json=body)
            assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.json()
