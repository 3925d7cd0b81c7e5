"""Elections, on the real processor and host."""

import pytest
from tenures import machine
from waiters import Guest, before_the_alarm, in_order
from world import World

from plexstream.coordination.common import spread
from plexstream.model.messages.address import full
from plexstream.model.messages.message import ASK, Envelope, with_deadline

ELECTION = "plex.election/a"


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return World(Guest, crash_every=request.param)


def campaign(world, candidate, lease=10, wait=0):
    return world.ask(ELECTION, "campaign", candidate=candidate, lease=lease, wait=wait)


def leader(world):
    found = world.ask(ELECTION, "leader")
    return found and found["leader"]


def heard(world, guest="guest/1"):
    return [[name, term] for _, name, term in world.field(guest, "heard") or []]


def test_one_leads(world):
    got = campaign(world, "ann")
    assert got == {"leader": "ann", "term": got["term"], "due": world.now + 10_000}
    assert campaign(world, "bob") is None
    found = {**got, "since": world.now}
    assert world.ask(ELECTION, "leader") == found
    assert world.ask(ELECTION, "resign", term=got["term"]) is None
    assert leader(world) is None
    assert campaign(world, "bob")["term"] > got["term"]


def test_who_waits_leads_when_the_leader_resigns_or_is_late(world):
    first = campaign(world, "ann")
    bob = world.start(ELECTION, "campaign", candidate="bob", lease=1, wait=None)
    cid = world.start(ELECTION, "campaign", candidate="cid", wait=60)
    world.ask(ELECTION, "resign", term=first["term"])
    assert world.replies[bob]["leader"] == "bob"
    world.run(1000)
    assert in_order([first["term"], world.replies[bob]["term"], world.replies[cid]["term"]])


def test_a_leader_that_is_late_is_told_who_leads(world):
    term = campaign(world, "ann", lease=1)["term"]
    world.run(1000)
    campaign(world, "bob")
    for handler in ("resign", "renew"):
        id = world.start(ELECTION, handler, term=term)
        said = world.errors[id]["detail"]
        assert f"plex.election/a: term {term} is over: its lease ended 0 ms ago" in said
        assert "'bob' holds the lead now: campaign again" in said


def test_nobody_cannot_lead(world):
    assert campaign(world, "") == "rejected"
    got = world.ask("guest/1", "want", to=ELECTION, handler="campaign", arguments={})
    assert got["leader"] == "guest/1"


def test_a_watch_ends_with_another_leader(world):
    assert world.ask(ELECTION, "watch", known_term=0, wait=0) is None
    first = world.start(ELECTION, "watch")
    term = campaign(world, "ann")["term"]
    assert world.replies[first]["leader"] == "ann"
    assert world.ask(ELECTION, "watch", known_term=0)["term"] == term
    known = world.start(ELECTION, "watch", known_term=term)
    world.ask(ELECTION, "renew", term=term)
    world.ask(ELECTION, "resign", term=term)
    assert known not in world.replies  # nobody leads
    got = campaign(world, "bob")
    assert world.replies[known] == {**got, "since": world.now}


def test_a_watch_ends_on_time(world):
    term = campaign(world, "ann")["term"]
    id = world.start(ELECTION, "watch", known_term=term, wait=2)
    world.run(1999)
    assert id not in world.replies
    world.run(1)
    assert world.replies[id] is None
    assert world.ask(ELECTION, "watch", known_term=term, wait=0) is None


def test_a_watch_does_not_see_a_leader_whose_lease_is_over(world):
    campaign(world, "ann", lease=2)
    id = before_the_alarm(world, 2000, ELECTION, "watch")
    assert id not in world.replies
    campaign(world, "bob")
    assert world.replies[id]["leader"] == "bob"


def test_more_watch_than_one_turn_tells():
    world = World(Guest)
    ids = [world.tell(ELECTION, "watch", _kind=1) for _ in range(2500)]
    world.run()
    campaign(world, "ann")
    assert sum(id in world.replies for id in ids) == 1000
    late = world.start(ELECTION, "watch", known_term=world.ask(ELECTION, "leader")["term"])
    world.run(1)
    world.run(1)
    assert {world.replies[id]["leader"] for id in ids} == {"ann"}
    assert late not in world.replies


def test_who_watches_while_the_rest_is_told_hears_of_the_next():
    world = World(Guest)
    ids = [world.tell(ELECTION, "watch", _kind=1) for _ in range(1500)]
    world.run()
    term = campaign(world, "ann")["term"]
    world.ask(ELECTION, "resign", term=term)
    world.run(1)
    world.run(1)
    assert sum(id in world.replies for id in ids) == 1000  # the rest was not told in time
    campaign(world, "bob")
    assert [world.replies[id]["leader"] for id in ids] == ["ann"] * 1000 + ["bob"] * 500


def test_an_observer_is_told_of_every_change(world):
    assert world.ask(ELECTION, "observe", to="guest/1", handler="hear") == {"due": None, "current": None}
    one = campaign(world, "ann")["term"]
    world.start(ELECTION, "campaign", candidate="bob", lease=1, wait=None)
    world.ask(ELECTION, "renew", term=one)
    world.ask(ELECTION, "resign", term=one)
    two = world.ask(ELECTION, "leader")["term"]
    world.run(1000)
    assert heard(world) == [["ann", one], ["bob", two], [None, two]]
    assert world.field("guest/1", "heard")[0][0] == "plex.election/a"


def test_an_observer_hears_that_nobody_leads_though_the_last_who_waits_is_late():
    world = World(Guest)
    world.ask(ELECTION, "observe", handler="hear", to="guest/1")
    term = campaign(world, "ann", lease=100)["term"]
    gone = with_deadline("gone", world.now + 500)
    for number in range(1000):  # as many as one turn deals with
        world.mailbox.append(
            Envelope(ASK, f"{number}{gone}", full(ELECTION), "campaign", b'{"candidate":"x","wait":null}',
                     reply_to="edge")
        )  # fmt: skip
    last = world.start(ELECTION, "campaign", candidate="bob", wait=1)
    world.run(999)
    world.tell(ELECTION, "resign", term=term)
    world.p.receive([(world.p.position, world.mailbox[world.p.position])], world.now)
    world.run(1)  # the next turn
    assert world.replies[last] is None
    assert heard(world) == [["ann", term], [None, term]]


def test_an_observer_is_an_actor_that_asks(world):
    term = campaign(world, "ann")["term"]
    said = world.ask("guest/1", "want", to=ELECTION, handler="observe", arguments={"handler": "hear"})
    assert said["current"]["term"] == term
    world.ask(ELECTION, "resign", term=term)
    assert heard(world) == [[None, term]]


def test_an_observer_is_told_no_more_once_its_time_is_up(world):
    due = world.ask(ELECTION, "observe", to="guest/1", handler="hear", ttl=3)["due"]
    assert due == world.now + 3000
    world.ask(ELECTION, "observe", to="guest/2", handler="hear", ttl=3)
    world.run(1000)
    world.ask(ELECTION, "observe", to="guest/2", handler="hear", ttl=3)  # its end is another now
    before_the_alarm(world, 2000, ELECTION, "campaign", candidate="ann")
    assert heard(world) == []
    assert [name for name, _ in heard(world, "guest/2")] == ["ann"]
    assert world.ask(ELECTION, "unobserve", to="guest/1", handler="hear") is False


def test_both_ways_to_write_an_address_are_one_observer(world):
    world.ask(ELECTION, "observe", to="guest/1", handler="hear")
    world.ask(ELECTION, "observe", to="default/default/guest/1", handler="hear")
    term = campaign(world, "ann")["term"]
    assert heard(world) == [["ann", term]]
    assert world.ask(ELECTION, "unobserve", to="default/default/guest/1", handler="hear") is True
    assert world.ask(ELECTION, "unobserve", to="guest/1", handler="hear") is False
    world.ask(ELECTION, "resign", term=term)
    assert heard(world) == [["ann", term]]


def test_observers_whom_one_turn_cannot_tell_hear_all_changes_in_order(world, monkeypatch):
    monkeypatch.setattr(spread, "AT_ONCE", 2)
    for number in range(7):
        world.ask(ELECTION, "observe", to=f"guest/{number}", handler="hear")
    world.tell(ELECTION, "campaign", candidate="ann", lease=1)
    world.run()
    world.run(1000)
    campaign(world, "bob")
    for number in range(7):
        assert [name for name, _ in heard(world, f"guest/{number}")] == ["ann", None, "bob"]


@pytest.mark.parametrize(
    ("handler", "arguments"),
    [
        ("campaign", {"candidate": "a", "lease": 0}),
        ("campaign", {"candidate": "a", "wait": -1}),
        ("campaign", {"candidate": "x" * 901}),
        ("renew", {"term": 1}),
        ("resign", {"term": 10**400}),
        ("watch", {"wait": -1}),
        ("observe", {"handler": "hear"}),
        ("observe", {"handler": "", "to": "guest/1"}),
        ("observe", {"handler": "$end", "to": "guest/1"}),
        ("observe", {"handler": "x" * 201, "to": "guest/1"}),
        ("observe", {"handler": "hear", "to": "nowhere"}),
        ("observe", {"handler": "hear", "to": "guest/" + "x" * 600}),
        ("observe", {"handler": "hear", "to": "guest/1", "ttl": 0}),
        ("unobserve", {"handler": "hear", "to": "/"}),
        ("status", {"limit": 0}),
        ("_spread", {}),
    ],
)
def test_what_cannot_be_is_rejected(world, handler, arguments):
    assert world.ask(ELECTION, handler, **arguments) == "rejected"
    assert world.ask(ELECTION, "status", limit=1)["newest"] == 0


WORDS = {"by": "candidate", "take": "campaign", "who": "leader", "number": "term", "end": "resign"}
TestLikeAModel = machine(ELECTION, WORDS)
