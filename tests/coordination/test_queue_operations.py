"""Queues as they are used: in handlers, by clients, over HTTP."""

import threading

import httpx
import pytest
from anybody import Anybody
from world import World

from plexstream import Client, Rejected
from plexstream.sdk.host.coordination.spread.queues import DeadLetter, Message


@pytest.fixture(params=["plain", "awaited"])
def inside(request):
    """Does an operation in a handler."""
    world = World(Anybody, crash_every=2)

    def do(path, name="jobs", /, **arguments):
        return world.ask("anybody/one", request.param, path=path, name=name, arguments=arguments)

    return do


def test_a_handler_uses_a_queue(inside):
    assert inside("queues.queue.configure", attempts=1)["attempts"] == 1
    assert inside("queues.queue.send", value={"order": 1}) == 1
    assert inside("queues.queue.send_many", values=[2, 3], wait=5) == [2, 3]
    first, second = inside("queues.queue.receive", limit=2, visibility=60)
    assert (first["value"], first["attempt"]) == ({"order": 1}, 1)
    assert inside("queues.queue.extend", receipt=first["receipt"], visibility=120) > first["due"]
    assert inside("queues.queue.ack", receipts=[first["receipt"]]) == 1
    assert inside("queues.queue.nack", receipts=second["receipt"]) == 1
    assert [letter["value"] for letter in inside("queues.queue.dead")] == [2]
    assert inside("queues.queue.redrive", ids=[2]) == 1
    assert inside("queues.queue.depth")["ready"] == 2
    assert inside("queues.queue.purge") == 2
    assert inside("queues.queue.receive") == []
    assert inside("queues.queue.send", "other", value=1) == 1


def test_what_a_handler_asks_for_wrongly_is_raised_there(inside):
    assert inside("queues.queue.ack", receipts=["1-1"]) == "rejected"
    assert inside("queues.queue.receive", wait=-1) == "failed"  # ValueError


def test_a_client_uses_a_queue(outside, request):
    queue = outside.client.queues.queue(request.node.name)
    outside(queue.configure, bound=2, attempts=1)
    assert outside(queue.send_many, ["a", "b"]) == [1, 2]
    with pytest.raises(Rejected, match="the queue has 2 messages, its bound: 2"):
        outside(queue.send, "c")
    with pytest.raises(ValueError, match="wait is 'soon'"):
        outside(queue.send, "c", wait="soon")
    messages = outside(queue.receive, 2)
    assert [type(message) for message in messages] == [Message, Message]
    assert outside(queue.ack, messages[0]) == 1
    with pytest.raises(Rejected, match="acknowledged"):
        outside(queue.ack, messages)
    assert outside(queue.nack, [messages[1].receipt]) == 1
    (letter,) = outside(queue.dead)
    assert (type(letter), letter.value, letter.attempts) == (DeadLetter, "b", 1)
    assert outside(queue.drop, [letter.id]) == 1
    assert outside(queue.receive, wait=0.01) == []


def test_a_message_with_a_key_is_sent_once(outside, request):
    queue = outside.client.keyed(f"k-{request.node.name}").queues.queue(request.node.name)
    assert [outside(queue.send, "a") for _ in range(3)] == [1, 1, 1]


def test_a_receiver_outside_waits_for_what_others_send(served):
    with Client(served.url) as client:
        queue = client.queues.queue("waited")
        found = []
        thread = threading.Thread(target=lambda: found.extend(queue.receive(wait=30)))
        thread.start()
        while not queue.depth()["receivers"]:
            pass
        queue.send("a")
        thread.join(30)
        assert [message.value for message in found] == ["a"]


def test_over_http(served):
    with httpx.Client(base_url=f"{served.url}/v1/queues/http") as http:
        assert http.post("/send", json={"value": {"a": 1}}).json() == 1
        (message,) = http.post("/receive", json={"wait": 5}).json()
        assert message["value"] == {"a": 1}
        assert http.get("/depth").json()["in_flight"] == 1
        assert http.get("/receive").status_code == 405
        assert http.post("/ack", json={"receipts": message["receipt"]}).json() == 1
        for path, body, status, said in (
            ("/ack", {"receipts": message["receipt"]}, 409, "acknowledged"),
            ("/ack", {"receipts": 7}, 422, ""),
            ("/ack", {"receipts": [7]}, 422, ""),
            ("/receive", {"wait": "soon"}, 422, "wait is"),
            ("/receive", {"wait": -1}, 422, "wait is"),
            ("/receive", {"limit": 0}, 409, "limit"),
            ("/redrive", {"ids": ["x"]}, 422, ""),
        ):
            answer = http.post(path, json=body)
            assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.json()
