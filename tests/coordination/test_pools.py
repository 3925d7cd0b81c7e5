"""Pools, on the real processor and host."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from waiters import Guest, before_the_alarm
from world import World

POOL = "plex.pool/a"
MEMBERS = ["worker/1", "worker/2", "worker/3"]


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return World(Guest, crash_every=request.param)


def checkout(world, wait=0, lease=10, **named):
    return world.ask(POOL, "checkout", wait=wait, lease=lease, **named)


def queue(world, wait=None, lease=10, **named):
    return world.start(POOL, "checkout", wait=wait, lease=lease, **named)


def metrics(world, *names):
    found = world.ask(POOL, "metrics")
    return [found[name] for name in names]


def test_each_member_is_lent_to_one(world):
    assert world.ask(POOL, "add", members=["b", "a"]) == 2
    first = checkout(world)
    assert first == {"checkout": first["checkout"], "member": "b", "due": world.now + 10_000}
    assert checkout(world)["member"] == "a"
    assert checkout(world) is None
    assert world.ask(POOL, "checkin", checkout=first["checkout"]) is None
    assert checkout(world)["member"] == "b"


def test_who_was_used_least_recently_is_lent_first(world):
    world.ask(POOL, "add", members=MEMBERS)
    one, two = checkout(world), checkout(world)
    for got in (two, one):
        world.ask(POOL, "checkin", checkout=got["checkout"])
    assert [checkout(world)["member"] for _ in range(3)] == ["worker/3", "worker/2", "worker/1"]


def test_who_waits_gets_one_in_order_of_arrival(world):
    ids = [queue(world, holder=name) for name in ("ann", "bob", "cid")]
    world.ask(POOL, "add", members=["a", "b"])
    assert [world.replies[id]["member"] for id in ids[:2]] == ["a", "b"]
    assert ids[2] not in world.replies
    world.run(500)
    world.ask(POOL, "checkin", checkout=world.replies[ids[1]]["checkout"])
    assert world.replies[ids[2]]["member"] == "b"
    assert world.replies[ids[2]]["due"] == world.now + 10_000


def test_a_wait_ends_on_time(world):
    id = queue(world, wait=2)
    world.run(1999)
    assert id not in world.replies
    world.run(1)
    assert world.replies[id] is None
    assert checkout(world) is None
    assert metrics(world, "waiting", "timeouts", "checkouts") == [0, 2, 0]


def test_a_lease_that_ends_gives_the_member_back(world):
    world.ask(POOL, "add", members=["a"])
    got = checkout(world, lease=3)
    id = queue(world)
    world.run(2999)
    assert id not in world.replies
    world.run(1)
    assert world.replies[id]["member"] == "a"
    assert world.ask(POOL, "checkin", checkout=got["checkout"]) == "rejected"
    assert metrics(world, "lost", "busy", "checkouts") == [1, 1, 2]


def test_a_lease_is_over_by_its_time_though_the_alarm_is_late(world):
    world.ask(POOL, "add", members=["a"])
    got = checkout(world, lease=3)
    id = before_the_alarm(world, 3000, POOL, "checkin", checkout=got["checkout"])
    assert "ended 0 ms ago" in world.errors[id]["detail"]
    checkout(world, lease=3)
    id = before_the_alarm(world, 3000, POOL, "checkout")
    assert world.replies[id]["member"] == "a"


def test_a_renewed_lease_ends_later(world):
    world.ask(POOL, "add", members=["a"])
    number = checkout(world, lease=3)["checkout"]
    world.run(2000)
    assert world.ask(POOL, "renew", checkout=number, lease=3)["due"] == world.now + 3000
    world.run(2000)
    assert metrics(world, "lost") == [0]
    world.run(1000)
    assert metrics(world, "lost") == [1]
    assert world.ask(POOL, "renew", checkout=number, lease=3) == "rejected"


def test_an_unhealthy_member_is_set_aside_until_it_is_mended_or_added(world):
    world.ask(POOL, "add", members=["a"])
    world.ask(POOL, "checkin", checkout=checkout(world)["checkout"], healthy=False)
    assert checkout(world) is None
    assert metrics(world, "size", "idle", "busy", "unhealthy") == [1, 0, 0, 1]
    id = queue(world)
    assert world.ask(POOL, "mend", member="a") is True
    assert world.ask(POOL, "mend", member="a") is False
    assert world.ask(POOL, "mend", member="nobody") is False
    world.ask(POOL, "checkin", checkout=world.replies[id]["checkout"], healthy=False)
    assert world.ask(POOL, "add", members=["a", "a"]) == 1
    assert checkout(world)["member"] == "a"


def test_a_member_that_is_removed_is_lent_no_more(world):
    world.ask(POOL, "add", members=["a", "b"])
    number = checkout(world)["checkout"]
    assert [world.ask(POOL, "remove", member=name) for name in ("a", "a", "b", "c")] == [
        True, False, True, False,
    ]  # fmt: skip
    assert world.ask(POOL, "list") == [["a", "leaving"]]
    world.ask(POOL, "checkin", checkout=number)
    assert checkout(world) is None
    assert metrics(world, "size", "idle", "busy", "unhealthy") == [0, 0, 0, 0]


def test_a_member_that_leaves_and_is_added_stays(world):
    world.ask(POOL, "add", members=["a"])
    number = checkout(world)["checkout"]
    world.ask(POOL, "remove", member="a")
    assert world.ask(POOL, "add", members=["a"]) == 1
    world.ask(POOL, "checkin", checkout=number)
    assert checkout(world)["member"] == "a"


def test_a_checkout_is_checked_in_once(world):
    world.ask(POOL, "add", members=["a"])
    number = checkout(world)["checkout"]
    world.ask(POOL, "checkin", checkout=number)
    for wrong in (number, number + 1, 0, -1, 10**400):
        id = world.start(POOL, "checkin", checkout=wrong)
        assert f"plex.pool/a: there is no checkout {wrong}"[:60] in world.errors[id]["detail"]
    assert metrics(world, "idle") == [1]


def test_numbers_of_checkouts_do_not_come_again(world):
    world.ask(POOL, "add", members=["a"])
    numbers = []
    for _ in range(3):
        numbers.append(checkout(world)["checkout"])
        world.ask(POOL, "checkin", checkout=numbers[-1])
    assert sorted(set(numbers)) == numbers


def test_who_has_gone_is_passed_over(world):
    wants = {"to": POOL, "handler": "checkout", "arguments": {"wait": None}, "timeout": 1}
    for number in range(3):
        world.start(f"guest/{number}", "want", **wants)
    last = queue(world)
    world.run(1000)
    world.ask(POOL, "add", members=["a"])
    assert world.replies[last]["member"] == "a"
    assert metrics(world, "waiting", "checkouts", "timeouts") == [0, 1, 0]


def test_more_who_have_gone_than_one_turn_deals_with_are_passed_over():
    world = World(Guest)
    wants = {"to": POOL, "handler": "checkout", "arguments": {"wait": None}, "timeout": 1}
    for number in range(2500):
        world.tell(f"guest/{number}", "want", **wants)
    world.run()
    ids = [queue(world), queue(world)]
    world.run(1000)
    world.ask(POOL, "add", members=["a", "b"])
    assert checkout(world) is None  # others come first
    world.run(1)
    world.run(1)
    assert [world.replies[id]["member"] for id in ids] == ["a", "b"]


def test_more_leases_end_than_one_turn_deals_with():
    world = World()
    for start in range(0, 2500, 500):
        world.ask(POOL, "add", members=[f"m{n}" for n in range(start, start + 500)])
    for _ in range(2500):
        world.tell(POOL, "checkout", _kind=1, lease=5)
    world.run()
    assert metrics(world, "busy") == [2500]
    world.run(5000)
    world.run(1)
    world.run(1)
    assert metrics(world, "busy", "idle", "lost") == [0, 2500, 2500]


def test_the_status_says_for_whom_and_since_when(world):
    world.ask(POOL, "add", members=["a"])
    number, began = checkout(world, holder="ann")["checkout"], world.now
    queue(world, holder="bob", wait=5)
    assert world.ask(POOL, "status") == {
        "lent": [
            {"checkout": number, "member": "a", "holder": "ann", "since": began, "due": began + 10_000}
        ],
        "waiting": [{"holder": "bob", "since": began, "due": began + 5000}],
    }


def test_members_are_listed_in_pages(world):
    world.ask(POOL, "add", members=MEMBERS)
    assert world.ask(POOL, "list", limit=2) == [["worker/1", "idle"], ["worker/2", "idle"]]
    assert world.ask(POOL, "list", after="worker/2", limit=2) == [["worker/3", "idle"]]


@pytest.mark.parametrize(
    ("handler", "arguments"),
    [
        ("add", {"members": []}),
        ("add", {"members": [""]}),
        ("add", {"members": ["a", "x" * 513]}),
        ("add", {"members": ["a\n"]}),
        ("add", {"members": ["a"] * 1001}),
        ("checkout", {"wait": -1}),
        ("checkout", {"lease": 0}),
        ("checkout", {"holder": "x" * 513}),
        ("renew", {"checkout": 1}),
        ("list", {"limit": 0}),
        ("status", {"limit": 1001}),
    ],
)
def test_what_cannot_be_is_rejected(world, handler, arguments):
    assert world.ask(POOL, handler, **arguments) == "rejected"
    assert metrics(world, "size", "waiting") == [0, 0]


class Pools(RuleBasedStateMachine):
    """Against a model: members in order of use, and a line."""

    def __init__(self):
        super().__init__()
        self.idle = []
        self.unhealthy = []
        self.lent = {}  # number -> [member, due, whether it stays]
        self.line = []  # [id, lease in ms, until when]
        self.numbers = []
        self.expected = {}
        self.lost = 0
        self.ticks = 0
        self.places = {}  # by name: when it was used, when it came

    @initialize(crash_every=st.sampled_from([0, 1, 2, 3]))
    def begin(self, crash_every):
        self.world = World(Guest, crash_every=crash_every)

    def known(self, name):
        return name in self.idle or name in self.unhealthy or name in [row[0] for row in self.lent.values()]

    @rule(name=st.sampled_from(MEMBERS))
    def add(self, name):
        new = not self.known(name) or name in self.unhealthy
        out = [row for row in self.lent.values() if row[0] == name and not row[2]]
        assert self.world.ask(POOL, "add", members=[name]) == (new or bool(out))
        for row in out:
            row[2] = True
        if new:
            self.come(name)

    def come(self, name):
        """One that is idle: at the place of its latest use, in front of all if there is none."""
        if name in self.unhealthy:
            self.unhealthy.remove(name)
        else:
            self.ticks += 1
            self.places[name] = (0, self.ticks)
        self.idle = sorted([*self.idle, name], key=self.places.get)
        self.serve()

    def used(self, name):
        self.ticks += 1
        self.places[name] = (self.ticks, 0)

    @rule(name=st.sampled_from(MEMBERS))
    def remove(self, name):
        out = [row for row in self.lent.values() if row[0] == name and row[2]]
        there = name in self.idle or name in self.unhealthy or bool(out)
        assert self.world.ask(POOL, "remove", member=name) is there
        for names in (self.idle, self.unhealthy):
            if name in names:
                names.remove(name)
        for row in out:
            row[2] = False

    @rule(lease=st.sampled_from([1, 2, 5]), wait=st.sampled_from([0, 1, 3, None]))
    def checkout(self, lease, wait):
        id = self.world.start(POOL, "checkout", wait=wait, lease=lease)
        self.asked(id, lease, wait)

    @rule(lease=st.sampled_from([1, 2, 5]))
    def checkout_by_a_guest(self, lease):
        arguments = {"wait": None, "lease": lease}
        guest = f"guest/{len(self.expected) + len(self.line)}.{self.world.now}.{len(self.world.mailbox)}"
        id = self.world.start(guest, "want_or_leave", to=POOL, handler="checkout", arguments=arguments)
        self.asked(id, lease, None, guest)

    def asked(self, id, lease, wait, guest=""):
        if self.idle:
            self.give(id, lease)
        elif wait == 0:
            self.expected[id] = None
        else:
            until = None if wait is None else self.world.now + wait * 1000
            self.line.append([id, lease, until, guest])

    def give(self, id, lease):
        got = self.world.replies[id]
        due = self.world.now + lease * 1000
        assert (got["member"], got["due"]) == (self.idle.pop(0), due)
        assert not self.numbers or got["checkout"] > self.numbers[-1]
        self.numbers.append(got["checkout"])
        self.lent[got["checkout"]] = [got["member"], due, True]
        self.expected[id] = got

    def serve(self):
        while self.idle and self.line:
            self.give(*self.line.pop(0)[:2])

    @precondition(lambda self: any(row[3] for row in self.line))
    @rule(data=st.data())
    def leave(self, data):
        waiter = data.draw(st.sampled_from([row for row in self.line if row[3]]))
        self.world.tell(waiter[3], "leave")
        self.world.run()
        self.line.remove(waiter)
        self.expected[waiter[0]] = "left"

    @precondition(lambda self: self.lent)
    @rule(data=st.data(), healthy=st.booleans())
    def checkin(self, data, healthy):
        number = data.draw(st.sampled_from(sorted(self.lent)))
        assert self.world.ask(POOL, "checkin", checkout=number, healthy=healthy) is None
        self.back(number, healthy)
        self.serve()

    def back(self, number, healthy):
        name, _, stays = self.lent.pop(number)
        if stays:
            self.used(name)
            if healthy:
                self.idle.append(name)
            else:
                self.unhealthy.append(name)

    @precondition(lambda self: self.numbers)
    @rule(data=st.data())
    def check_in_what_is_not_out(self, data):
        number = data.draw(st.sampled_from(self.numbers))
        if number not in self.lent:
            assert self.world.ask(POOL, "checkin", checkout=number) == "rejected"

    @rule(ms=st.sampled_from([0, 1, 999, 1000, 2500]))
    def pass_time(self, ms):
        self.world.run(ms)
        now = self.world.now
        for row in [row for row in self.line if row[2] is not None and row[2] <= now]:
            self.line.remove(row)
            self.expected[row[0]] = None
        due = sorted((row[1], f"c{number}") for number, row in self.lent.items() if row[1] <= now)
        for _, number in due:
            self.back(int(number[1:]), True)
            self.lost += 1
        self.serve()

    @rule()
    def lose_everything(self):
        self.world.restart()
        self.world.run()

    @invariant()
    def who_waits_has_no_answer_and_all_others_theirs(self):
        for id, *_ in self.line:
            assert id not in self.world.replies
        for id, expected in self.expected.items():
            assert self.world.replies[id] == expected

    @invariant()
    def nobody_is_lost_and_nobody_is_twice(self):
        if not hasattr(self, "world"):
            return
        found = self.world.ask(POOL, "metrics")
        assert found["idle"] == len(self.idle)
        assert found["busy"] == len(self.lent)
        assert found["unhealthy"] == len(self.unhealthy)
        assert found["lost"] == self.lost
        assert found["timeouts"] == list(self.expected.values()).count(None)
        assert found["checkouts"] == len(self.numbers)
        lent = [row[0] for row in self.lent.values()]
        assert len(set(lent)) == len(lent)


TestLikeAModel = Pools.TestCase
TestLikeAModel.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
