"""Queues: each message to one receiver, on the real processor and host."""

import json

import pytest
from waiters import before_the_alarm
from world import World

from plexstream.coordination.channels.said import MAX_VALUE
from plexstream.model.messages.address import full
from plexstream.model.messages.message import ASK, Envelope, with_deadline

Q = "plex.queue/jobs"


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return World(crash_every=request.param, reply_ttl=10_000_000)


def send(world, *messages, **more):
    return world.ask(Q, "send", messages=list(messages), **more)


def receive(world, limit=1, **more):
    return world.ask(Q, "receive", limit=limit, **more)


def values(messages):
    return [message["value"] for message in messages]


def depth(world, *names):
    found = world.ask(Q, "depth")
    return [found[name] for name in names]


def detail(world, handler, **arguments):
    id = world.start(Q, handler, **arguments)
    assert world.replies[id] == "rejected"
    return world.errors[id]["detail"]


def gone(world, handler, **arguments):
    """Somebody who waits, and is no more there when the answer comes."""
    world._number += 1
    id = with_deadline(f"m{world._number}", world.now + 1)
    payload = json.dumps({"wait": None, **arguments}).encode()
    world.mailbox.append(Envelope(ASK, id, full(Q), handler, payload, reply_to="edge"))


def test_messages_come_in_the_order_in_which_they_were_sent(world):
    assert send(world, "a", "b") == [1, 2]
    assert send(world, {"c": None}) == [3]
    [first] = receive(world)
    assert first == {"id": 1, "receipt": "1-1", "value": "a", "attempt": 1, "due": world.now + 30_000}
    assert values(receive(world, 5)) == ["b", {"c": None}]
    assert receive(world) == []


def test_what_is_acknowledged_is_gone_and_nothing_of_it_is_left(world):
    send(world, "a", "b")
    receipts = [m["receipt"] for m in receive(world, 2)]
    assert world.ask(Q, "ack", receipts=receipts) == 2
    world.run(31_000)
    assert receive(world) == []
    assert depth(world, "ready", "in_flight", "dead") == [0, 0, 0]
    assert world.pieces.collections.of_actor("default/default/plex.queue/jobs") == []


def test_what_is_not_acknowledged_in_time_comes_again_at_its_old_place(world):
    send(world, "a", "b")
    assert values(receive(world, visibility=2)) == ["a"]
    world.run(1_999)
    assert depth(world, "ready", "in_flight") == [1, 1]
    world.run(1)
    again = receive(world, 2)
    assert [(m["value"], m["attempt"]) for m in again] == [("a", 2), ("b", 1)]


def test_a_receiver_that_waits_gets_what_is_sent_later(world):
    first = world.start(Q, "receive", wait=60)
    second = world.start(Q, "receive", wait=None)
    assert first not in world.replies
    send(world, 1, 2, 3)
    assert values(world.replies[first]) == [1]
    assert values(world.replies[second]) == [2]
    assert values(receive(world)) == [3]


def test_a_receiver_waits_as_long_as_it_says(world):
    waits = world.start(Q, "receive", wait=2)
    world.run(1_999)
    assert waits not in world.replies
    world.run(1)
    assert world.replies[waits] == []
    send(world, 1)
    assert depth(world, "ready", "receivers") == [1, 0]


def test_a_receiver_that_is_gone_gets_nothing_and_its_attempt_does_not_count(world):
    gone(world, "receive")
    there = world.start(Q, "receive", wait=None)
    world.run(1)
    send(world, "a")
    assert [(m["value"], m["attempt"]) for m in world.replies[there]] == [("a", 1)]
    gone(world, "receive")
    world.run()
    world.run(1)
    send(world, "b")
    assert depth(world, "ready", "in_flight", "receivers") == [1, 1, 0]
    assert [(m["value"], m["attempt"]) for m in receive(world)] == [("b", 1)]


def test_a_message_may_be_sent_for_later(world):
    send(world, "later", delay=5)
    send(world, "now")
    waits = world.start(Q, "receive", limit=2, wait=None)
    assert values(world.replies[waits]) == ["now"]
    assert depth(world, "delayed") == [1]
    waits = world.start(Q, "receive", wait=None)
    world.run(4_999)
    assert waits not in world.replies
    world.run(1)
    assert values(world.replies[waits]) == ["later"]


def test_nack_lets_a_message_come_again_at_once_or_later(world):
    send(world, "a", "b")
    [a] = receive(world)
    assert world.ask(Q, "nack", receipts=[a["receipt"]]) == 1
    [a] = receive(world)
    assert (a["value"], a["attempt"]) == ("a", 2)
    world.ask(Q, "nack", receipts=[a["receipt"]], delay=3)
    assert values(receive(world, 2)) == ["b"]
    world.run(3_000)
    assert [(m["value"], m["attempt"]) for m in receive(world)] == [("a", 3)]


def test_a_receiver_may_hold_a_message_longer(world):
    send(world, "a")
    [a] = receive(world, visibility=2)
    world.run(1_000)
    assert world.ask(Q, "extend", receipt=a["receipt"], visibility=5) == world.now + 5_000
    world.run(4_999)
    assert depth(world, "in_flight") == [1]
    assert world.ask(Q, "ack", receipts=[a["receipt"]]) == 1


def test_after_all_attempts_it_is_a_dead_letter(world):
    world.ask(Q, "configure", attempts=2)
    send(world, "poison", "b")
    for _ in range(2):
        [m] = receive(world, visibility=1)
        assert m["value"] == "poison"
        world.run(1_000)
    assert values(receive(world)) == ["b"]
    assert depth(world, "ready", "in_flight", "dead") == [0, 1, 1]
    assert world.ask(Q, "dead") == [
        {"id": 1, "value": "poison", "attempts": 2, "sent": 1_000_000, "died": world.now}
    ]


def test_dead_letters_are_redriven_with_all_attempts_or_dropped(world):
    world.ask(Q, "configure", attempts=1)
    send(world, "a", "b", "c")
    held = receive(world, 2)
    world.ask(Q, "nack", receipts=[m["receipt"] for m in held])
    assert values(world.ask(Q, "dead")) == ["a", "b"]
    assert values(world.ask(Q, "dead", after=1, limit=1)) == ["b"]
    assert world.ask(Q, "drop", ids=[2]) == 1
    assert world.ask(Q, "redrive", ids=[1]) == 1
    assert world.ask(Q, "dead") == []
    again = receive(world, 3)
    assert [(m["value"], m["attempt"]) for m in again] == [("a", 1), ("c", 1)]
    assert again[0]["receipt"] != held[0]["receipt"]
    assert "dead letter 2" in detail(world, "redrive", ids=[2])


def test_a_message_is_acknowledged_once_and_in_time(world):
    send(world, "a", "b")
    [a] = receive(world, visibility=2)
    world.ask(Q, "ack", receipts=[a["receipt"]])
    assert "was acknowledged" in detail(world, "ack", receipts=[a["receipt"]])
    [b] = receive(world, visibility=2)
    world.run(2_000)
    assert "time of message 2 is over, it is there for all" in detail(world, "ack", receipts=[b["receipt"]])
    [again] = receive(world)
    assert "another receiver has it" in detail(world, "ack", receipts=[b["receipt"]])
    assert "named twice" in detail(world, "ack", receipts=[again["receipt"]] * 2)
    assert "never a message 9" in detail(world, "ack", receipts=["9-1"])
    assert world.ask(Q, "ack", receipts=[again["receipt"]]) == 1


def test_of_several_receipts_all_count_or_none(world):
    send(world, "a", "b")
    a, b = receive(world, 2)
    assert world.ask(Q, "ack", receipts=[a["receipt"], "7-1"]) == "rejected"
    assert world.ask(Q, "ack", receipts=[a["receipt"], b["receipt"]]) == 2


def test_a_full_queue_refuses_or_lets_wait_in_order_of_arrival(world):
    world.ask(Q, "configure", bound=2)
    send(world, 1, 2)
    assert "the queue has 2 messages, its bound: 2: wait" in detail(world, "send", messages=[3])
    assert "its bound: 2; 2 more do not fit: wait" in detail(world, "send", messages=[3, 4])
    assert "bound: 2: send fewer" in detail(world, "send", messages=[1, 2, 3], wait=5)
    two = world.start(Q, "send", messages=[3, 4], wait=None)
    one = world.start(Q, "send", messages=[5], wait=None)
    assert depth(world, "ready", "senders") == [2, 2]
    [m] = receive(world)
    world.ask(Q, "ack", receipts=[m["receipt"]])
    assert two not in world.replies
    assert one not in world.replies  # there is room, but it came later
    assert "2 wait before" in detail(world, "send", messages=[6])
    [m] = receive(world)
    world.ask(Q, "ack", receipts=[m["receipt"]])
    assert world.replies[two] == [3, 4]
    assert one not in world.replies
    world.ask(Q, "configure", bound=0)
    assert world.replies[one] == [5]
    assert values(receive(world, 9)) == [3, 4, 5]


def test_a_sender_waits_as_long_as_it_says_and_lets_others_pass_then(world):
    world.ask(Q, "configure", bound=2)
    send(world, 1)
    large = world.start(Q, "send", messages=[2, 3], wait=1)
    small = world.start(Q, "send", messages=[4], wait=10)
    world.run(1_000)
    assert "its bound: 2" in world.errors[large]["detail"]
    assert world.replies[small] == [2]
    assert values(receive(world, 9)) == [1, 4]


def test_a_sender_of_more_than_a_lower_bound_holds_up_nobody(world):
    world.ask(Q, "configure", bound=3)
    send(world, 1)
    large = world.start(Q, "send", messages=[2, 3, 4], wait=None)
    small = world.start(Q, "send", messages=[5], wait=None)
    world.ask(Q, "configure", bound=2)
    assert "its bound: 2" in world.errors[large]["detail"]
    assert world.replies[small] == [2]


def test_what_a_sender_wanted_that_is_gone_is_not_sent(world):
    world.ask(Q, "configure", bound=1)
    send(world, 1)
    gone(world, "send", messages=["nobody's"])
    there = world.start(Q, "send", messages=[2], wait=None)
    world.run(1)
    [m] = receive(world)
    world.ask(Q, "ack", receipts=[m["receipt"]])
    assert world.replies[there] == [2]
    assert values(receive(world, 9)) == [2]


def test_what_is_told_waits_too_and_is_a_dead_letter_at_last(world):
    world.ask(Q, "configure", bound=1)
    send(world, 1)
    world.tell(Q, "send", messages=[2], wait=None)
    world.tell(Q, "send", messages=[3], wait=1)
    world.run()
    assert depth(world, "senders") == [2]
    world.run(1_000)
    assert values(world.ask(Q, "dead")) == [3]
    [m] = receive(world)
    world.ask(Q, "ack", receipts=[m["receipt"]])
    assert values(receive(world)) == [2]


def test_nothing_is_received_by_a_tell(world):
    send(world, 1)
    world.tell(Q, "receive", wait=None)
    world.run()
    assert depth(world, "receivers") == [0]


def test_purge_takes_all_but_dead_letters_in_bounded_turns(world):
    world.ask(Q, "configure", attempts=1)
    send(world, "dead")
    world.ask(Q, "nack", receipts=[receive(world)[0]["receipt"]])
    for _ in range(3):
        send(world, *range(900))
    send(world, *range(100), delay=50)
    [held] = receive(world)
    waits = world.start(Q, "send", messages=["x"], wait=None)
    assert world.replies[waits] == [2802]
    before = len(world.turns())
    assert world.ask(Q, "purge") == 2801
    for _ in range(5):
        world.run(1)
    assert max(len(turn.patch) for turn in world.turns()[before:]) < 4_500
    assert depth(world, "ready", "delayed", "in_flight", "dead") == [0, 0, 0, 1]
    assert "purged" in detail(world, "ack", receipts=[held["receipt"]])
    world.run(60_000)
    assert receive(world) == []
    left = {field for field, *_ in world.pieces.collections.of_actor("default/default/plex.queue/jobs")}
    assert left == {"dead", "values"}
    world.ask(Q, "redrive", ids=[1])
    assert values(receive(world, 2)) == ["dead"]


def test_each_message_goes_to_an_output_topic_once(world):
    world.ask(Q, "configure", out="jobs.sent")
    send(world, "a", {"b": 1})
    receive(world)
    outs = [o for t in world.turns() for o in t.outs if o.target == "jobs.sent"]
    assert [o.payload for o in outs if o.target == "jobs.sent"] == [b'"a"', b'{"b":1}']


def test_more_than_a_thousand_who_are_gone_are_passed_in_bounded_turns():
    world = World()
    for _ in range(2_500):
        gone(world, "receive")
    world.run()
    there = world.start(Q, "receive", wait=None)
    world.run(1)
    before = len(world.turns())
    send(world, "a")
    for _ in range(3):
        world.run(1)
    assert values(world.replies[there]) == ["a"]
    assert max(len(turn.outs) for turn in world.turns()[before:]) < 1_100


def test_large_messages_go_in_several_answers_and_turns():
    world = World()
    large = "x" * 400_000
    for _ in range(3):
        send(world, large, large)
    assert len(receive(world, 10)) == 1
    assert len(receive(world, 10)) == 1
    waiting = [world.start(Q, "receive", limit=10, wait=None) for _ in range(6)]
    world.run(31_000)
    assert [len(world.replies[id]) for id in waiting[:4]] == [1] * 4
    send(world, "x" * (MAX_VALUE - 2))
    assert max(sum(len(out.payload) for out in turn.outs) for turn in world.turns()) < 1_000_000


@pytest.mark.parametrize(
    ("handler", "arguments"),
    [
        ("send", {"messages": []}),
        ("send", {"messages": [1] * 1_001}),
        ("send", {"messages": ["x" * (MAX_VALUE + 1)]}),
        ("send", {"messages": [1], "delay": -1}),
        ("send", {"messages": [1], "delay": 1e12}),
        ("send", {"messages": [1], "wait": -1}),
        ("receive", {"limit": 0}),
        ("receive", {"limit": 1_001}),
        ("receive", {"wait": -1}),
        ("receive", {"visibility": 0}),
        ("receive", {"visibility": 1e12}),
        ("ack", {"receipts": []}),
        ("ack", {"receipts": ["1"]}),
        ("ack", {"receipts": ["0-1"]}),
        ("ack", {"receipts": ["1-1 "]}),
        ("ack", {"receipts": ["9" * 5_000 + "-1"]}),
        ("nack", {"receipts": ["1-1"], "delay": -1}),
        ("extend", {"receipt": "1-1", "visibility": 0}),
        ("configure", {"bound": -1}),
        ("configure", {"attempts": 0}),
        ("configure", {"visibility": 0}),
        ("configure", {"out": "a b"}),
        ("dead", {"limit": 0}),
        ("dead", {"after": -1}),
        ("redrive", {"ids": []}),
        ("redrive", {"ids": [1]}),
        ("drop", {"ids": [-1]}),
    ],
)
def test_what_cannot_be_is_rejected(world, handler, arguments):
    assert world.ask(Q, handler, **arguments) == "rejected"
    assert depth(world, "ready", "delayed", "in_flight", "dead") == [0, 0, 0, 0]


@pytest.mark.parametrize("crash", [0, 1])
def test_large_messages_that_find_no_place_are_dead_letters_by_several_turns(crash):
    world = World(crash_every=crash, reply_ttl=10_000_000)
    world.ask(Q, "configure", bound=1)
    send(world, "first")
    for number in range(6):
        world.tell(Q, "send", messages=[f"{number}{'x' * 880_000}"], wait=1)
        world.run()
    for _ in range(20):
        world.run(1_000)
    assert depth(world, "senders", "dead") == [0, 6]
    assert world.put_aside() == []
    found = [world.ask(Q, "dead", after=after)[0]["value"][0] for after in range(1, 7)]
    assert found == ["0", "1", "2", "3", "4", "5"]
    assert values(receive(world)) == ["first"]


def test_what_is_overdue_does_not_make_the_turn_of_a_caller_too_large():
    world = World()
    world.ask(Q, "configure", bound=2, attempts=1, out="sent")
    send(world, 1, 2)
    receive(world, 2, visibility=1)
    for _ in range(3):
        world.start(Q, "send", messages=["x" * 880_000], wait=None)
    waiting = [world.start(Q, "receive", wait=None) for _ in range(3)]
    late = before_the_alarm(world, 2_000, Q, "send", messages=["y" * 880_000], wait=None)
    for _ in range(5):
        world.run(1)
    assert all(len(world.replies[id]) == 1 for id in waiting[:2])
    assert late not in world.errors
    assert world.put_aside() == []
    sizes = [
        sum(len(out.payload) for out in turn.outs) + sum(len(one.value or b"") for one in turn.patch)
        for turn in world.turns()
    ]
    assert max(sizes) < 3_000_000


@pytest.mark.parametrize("crash", [0, 1, 2])
def test_messages_that_come_in_can_be_received_whatever_the_largest_message_is(crash):
    world = World(crash_every=crash, reply_ttl=10_000_000, max_message=20_000)
    send(world, *["x"] * 700)
    assert detail(world, "send", messages=["x" * 19_000]).startswith("message 1 of 1 has 19002 bytes: at")
    send(world, "x" * 17_000)
    for _ in range(2):
        waits = world.start(Q, "receive", limit=1_000, wait=None)
        assert 0 < len(world.replies[waits]) < 200
    while got := receive(world, 1_000):
        last = got[-1]["value"]
    assert len(last) == 17_000


def test_a_call_sends_no_more_than_a_turn_can_send_on():
    world = World(max_message=4 << 20)
    assert "send fewer at once" in detail(world, "send", messages=["x" * 600_000] * 2)
