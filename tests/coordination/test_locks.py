"""Locks, on the real processor and host."""

import pytest
from tenures import machine
from waiters import Guest, before_the_alarm, in_order
from world import World

LOCK = "plex.lock/a"


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return World(Guest, crash_every=request.param)


def acquire(world, holder, lease=10, wait=0):
    return world.ask(LOCK, "acquire", holder=holder, lease=lease, wait=wait)


def queue(world, holder, lease=10, wait=None):
    return world.start(LOCK, "acquire", holder=holder, lease=lease, wait=wait)


def guest_wants(world, number, timeout):
    world.tell(
        f"guest/{number}", "want", to=LOCK, handler="acquire", arguments={"wait": None}, timeout=timeout
    )


def holder(world):
    return world.ask(LOCK, "status")["holder"]


def refusal(world, handler, **arguments):
    id = world.start(LOCK, handler, **arguments)
    assert world.replies[id] == "rejected"
    return world.errors[id]["detail"]


def test_one_holds_it(world):
    got = acquire(world, "ann")
    assert got == {"holder": "ann", "token": got["token"], "due": world.now + 10_000}
    assert acquire(world, "bob") is None
    assert holder(world) == "ann"
    assert world.ask(LOCK, "release", token=got["token"]) is None
    assert acquire(world, "bob")["holder"] == "bob"


def test_it_is_not_reentrant(world):
    acquire(world, "ann")
    assert acquire(world, "ann") is None


def test_who_waits_gets_it_in_order_of_arrival(world):
    token = acquire(world, "ann")["token"]
    ids = [queue(world, name) for name in ("bob", "cid", "dan")]
    tokens = [token]
    for id in ids:
        assert id not in world.replies
        world.run(500)
        world.ask(LOCK, "release", token=tokens[-1])
        assert world.replies[id]["due"] == world.now + 10_000  # its lease begins when it gets it
        tokens.append(world.replies[id]["token"])
    assert in_order(tokens)


def test_nobody_overtakes_who_waits(world):
    token = acquire(world, "ann")["token"]
    first = queue(world, "bob")
    assert acquire(world, "cid", wait=0) is None
    world.ask(LOCK, "release", token=token)
    assert world.replies[first]["holder"] == "bob"


def test_a_wait_ends_on_time(world):
    acquire(world, "ann")
    id = queue(world, "bob", wait=2)
    world.run(1999)
    assert id not in world.replies
    world.run(1)
    assert world.replies[id] is None
    assert world.ask(LOCK, "status")["waits"] == 0


def test_a_lease_ends_on_time_though_nobody_asks(world):
    first = acquire(world, "ann", lease=3)
    id = queue(world, "bob", lease=4)
    world.run(2999)
    assert id not in world.replies
    world.run(1)
    got = world.replies[id]
    assert got["token"] > first["token"]
    assert got["due"] == world.now + 4_000
    world.run(4000)
    assert holder(world) is None
    assert acquire(world, "cid")["token"] > got["token"]


def test_a_lease_is_over_by_its_time_though_the_alarm_is_late(world):
    token = acquire(world, "ann", lease=3)["token"]
    id = before_the_alarm(world, 3000, LOCK, "renew", token=token)
    assert world.replies[id] == "rejected"
    acquire(world, "bob", lease=3)
    id = before_the_alarm(world, 3000, LOCK, "acquire", holder="cid")
    assert world.replies[id]["holder"] == "cid"


def test_of_two_that_are_due_at_once_the_waiter_is_too_late(world):
    acquire(world, "ann", lease=3)
    bob, cid = queue(world, "bob", wait=3), queue(world, "cid", wait=3.001)
    world.run(3000)
    assert world.replies[bob] is None
    assert world.replies[cid]["holder"] == "cid"


def test_a_waiter_is_too_late_by_its_time_though_the_alarm_is_late(world):
    acquire(world, "ann", lease=3)
    bob, cid = queue(world, "bob", wait=3), queue(world, "cid")
    before_the_alarm(world, 3000, LOCK, "acquire", holder="dan")
    assert world.replies[bob] is None
    assert world.replies[cid]["holder"] == "cid"


def test_a_renewed_lease_ends_later_or_sooner(world):
    token = acquire(world, "ann", lease=3)["token"]
    world.run(2000)
    assert world.ask(LOCK, "renew", token=token, lease=3)["due"] == world.now + 3000
    world.run(2000)
    assert holder(world) == "ann"
    assert world.ask(LOCK, "renew", token=token, lease=0.5)["due"] == world.now + 500
    world.run(500)
    assert holder(world) is None


def test_who_does_not_hold_it_is_told_who_does(world):
    old = acquire(world, "ann")["token"]
    world.ask(LOCK, "release", token=old)
    said = refusal(world, "release", token=old)
    assert f"plex.lock/a: token {old} is over" in said
    assert "it was released 0 ms ago" in said
    assert "nobody holds the lock now: acquire it again" in said
    new = acquire(world, "bob", lease=2)["token"]
    assert "'bob' holds the lock now" in refusal(world, "release", token=old)
    assert "was never given" in refusal(world, "release", token=new + 1)
    world.run(3000)
    assert "its lease ended 1000 ms ago" in refusal(world, "renew", token=new, lease=5)
    assert "its lease ended 1000 ms ago" in refusal(world, "release", token=new)


def test_what_is_refused_takes_nothing_from_the_holder(world):
    token = acquire(world, "ann")["token"]
    for handler in ("release", "renew"):
        refusal(world, handler, token=token - 1)
    assert holder(world) == "ann"
    assert world.ask(LOCK, "check", token=token) is True


def test_a_token_is_newest_until_the_next_is_given(world):
    assert world.ask(LOCK, "check", token=0) is False
    token = acquire(world, "ann", lease=1)["token"]
    world.run(2000)
    assert world.ask(LOCK, "check", token=token) is True  # over, but nobody has come behind it
    new = acquire(world, "bob")["token"]
    assert [world.ask(LOCK, "check", token=t) for t in (token, new, new + 1)] == [False, True, False]


def test_tokens_rise_also_where_the_lock_begins_anew(world):
    token = acquire(world, "ann")["token"]
    assert world.ask(LOCK, "release", token=token) is None
    world.run(40 * 86_400_000)
    assert world.ask(LOCK, "status")["newest"] == 0  # its state is not kept for ever
    assert acquire(world, "bob")["token"] > token


def test_the_longest_lease_is_kept(world):
    acquire(world, "ann", lease=30 * 86400)
    world.run(30 * 86_400_000 - 1)
    assert holder(world) == "ann"


def test_the_status_says_who_waits_since_when(world):
    token = acquire(world, "ann")["token"]
    began = world.now
    world.run(100)
    queue(world, "bob")
    queue(world, "cid", wait=60)
    assert world.ask(LOCK, "status", limit=1000) == {
        "holder": "ann", "token": token, "newest": token, "since": began, "due": began + 10_000, "waits": 2,
        "waiting": [
            {"holder": "bob", "since": began + 100, "due": None},
            {"holder": "cid", "since": began + 100, "due": began + 60_100},
        ],
    }  # fmt: skip
    assert len(world.ask(LOCK, "status", limit=1)["waiting"]) == 1


def test_an_actor_is_the_holder_by_its_address(world):
    world.ask("guest/1", "want", to=LOCK, handler="acquire", arguments={})
    assert holder(world) == "guest/1"


def test_who_has_gone_is_passed_over(world):
    token = acquire(world, "ann")["token"]
    for number in range(3):
        guest_wants(world, number, timeout=1)
        world.run()
    last = queue(world, "bob")
    world.run(1000)  # the guests wait no more
    world.ask(LOCK, "release", token=token)
    assert world.replies[last]["holder"] == "bob"
    assert world.ask(LOCK, "status")["waits"] == 0


def test_more_who_have_gone_than_one_turn_deals_with_are_passed_over():
    world = World(Guest)
    token = acquire(world, "ann")["token"]
    for number in range(2500):
        guest_wants(world, number, timeout=1)
    world.run()
    last = queue(world, "bob")
    world.run(1000)
    world.ask(LOCK, "release", token=token)
    assert acquire(world, "cid") is None  # nobody holds it yet, but others come first
    world.run(1)
    world.run(1)
    assert world.replies[last]["holder"] == "bob"
    assert world.ask(LOCK, "status")["waits"] == 0


@pytest.mark.parametrize(
    ("handler", "arguments"),
    [
        ("acquire", {"lease": 0}),
        ("acquire", {"lease": -1}),
        ("acquire", {"lease": 1e300}),
        ("acquire", {"lease": 30 * 86400 + 1}),
        ("acquire", {"wait": -0.001}),
        ("acquire", {"wait": 1e12}),
        ("acquire", {"holder": "x" * 901}),
        ("acquire", {"holder": "\u00e9" * 451}),
        ("renew", {"token": 0, "lease": 1}),
        ("release", {"token": -1}),
        ("release", {"token": 10**400}),
        ("status", {"limit": 0}),
        ("status", {"limit": 1001}),
    ],
)
def test_what_cannot_be_is_rejected(world, handler, arguments):
    assert world.ask(LOCK, handler, **arguments) == "rejected"
    assert world.ask(LOCK, "status", limit=1)["newest"] == 0


@pytest.mark.parametrize(
    ("handler", "arguments"),
    [
        ("acquire", {"lease": "1"}),
        ("acquire", {"lease": True}),
        ("acquire", {"wait": [1]}),
        ("acquire", {"holder": 7}),
        ("release", {"token": "1"}),
        ("release", {"token": 1.5}),
        ("release", {"token": True}),
        ("release", {}),
    ],
)
def test_arguments_of_another_type_are_refused(world, handler, arguments):
    assert world.ask(LOCK, handler, **arguments) == "bad_arguments"


def test_who_only_tells_does_not_wait(world):
    acquire(world, "ann", lease=1)
    world.tell(LOCK, "acquire", holder="bob", wait=None)
    world.run()
    world.run(1000)
    assert holder(world) is None


WORDS = {"by": "holder", "take": "acquire", "who": "holder", "number": "token", "end": "release"}
TestLikeAModel = machine(LOCK, WORDS)
