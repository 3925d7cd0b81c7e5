"""A registry: names, addresses, labels, ends and watches, with real actors behind the addresses."""

import pytest
from anybody import Anybody
from hypothesis import given, settings
from hypothesis import strategies as st
from world import World

from plexstream import Retry, actor, handler, host, state
from plexstream.coordination.common import spread
from plexstream.coordination.groups import registry
from plexstream.model.messages.address import full

REGISTRY = "plex.registry/default"


@actor(name="till", retry=Retry(attempts=1))
class Till:
    @handler("register")
    def register(self, name: str):
        host.tell(REGISTRY, "register", name=name, address=host.self_id())

    @handler("fail")
    def fail(self):
        raise ValueError("out of paper")

    @handler("go")
    def go(self, reason: str = "normal"):
        host.exit(reason)

    @handler("begin")
    def begin(self, id: str):
        host.spawn("till", id)


@actor(name="eye")
class Eye:
    seen: list = state(default_factory=list)

    @handler("note")
    def note(self, what: str, name: str, address: str, labels: dict):
        self.seen.append([what, name, address, labels])

    @handler("seen", read_only=True)
    def tell(self):
        return self.seen

    @handler("go")
    def go(self):
        host.exit()


def new_world(crash_every=0):
    return World(Till, Eye, Anybody, crash_every=crash_every)


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return new_world(request.param)


def register(world, name, address, **more):
    return world.ask(REGISTRY, "register", name=name, address=address, **more)


def watch(world, to="eye/1", **what):
    return world.ask(REGISTRY, "watch", to=to, handler="note", **what)


def lookup(world, name, **more):
    return [entry["address"] for entry in world.ask(REGISTRY, "lookup", name=name, **more)["entries"]]


def discover(world, **what):
    page = world.ask(REGISTRY, "discover", **what)
    return [(entry["name"], entry["address"]) for entry in page["entries"]]


def seen(world, eye="eye/1"):
    return [row[:3] for row in world.ask(eye, "seen")]


def left_over(world):
    return world.pieces.collections.of_actor(full(REGISTRY))


def test_a_name_has_the_addresses_that_were_registered(world):
    assert register(world, "pay", "till/b", labels={"zone": "eu"}) is True
    assert register(world, "pay", "default/default/till/a", ttl=5) is True
    assert world.ask(REGISTRY, "lookup", name="pay")["entries"] == [
        {"name": "pay", "address": "till/a", "labels": {}, "ttl": 5.0, "since": world.now},
        {"name": "pay", "address": "till/b", "labels": {"zone": "eu"}, "ttl": None, "since": world.now},
    ]
    assert lookup(world, "pa") == lookup(world, "payment") == []
    assert lookup(world, "pay", limit=1) == ["till/a"]
    assert lookup(world, "pay", after="till/a") == ["till/b"]


def test_what_is_registered_again_has_the_new_labels_and_end(world):
    register(world, "pay", "till/a", labels={"zone": "eu", "v": "1"}, ttl=2)
    assert register(world, "pay", "till/a", labels={"zone": "us", "v": "1"}) is False
    world.run(10_000)
    assert lookup(world, "pay") == ["till/a"]
    assert discover(world, labels={"zone": "eu"}) == []
    assert discover(world, labels={"zone": "us"}) == discover(world, labels={"v": "1"}) == [("pay", "till/a")]
    assert world.ask(REGISTRY, "status") == {"entries": 1, "watches": 0, "under_way": 0}


def test_nothing_is_left_of_what_is_taken_back(world):
    register(world, "pay", "till/a", ttl=5, labels={"zone": "eu"})
    watch(world, prefix="p", ttl=5)
    watch(world, name="pay")
    assert world.ask(REGISTRY, "unregister", name="pay", address="till/a") is True
    assert world.ask(REGISTRY, "unregister", name="pay", address="till/a") is False
    for target in ({"prefix": "p"}, {"name": "pay"}):
        assert world.ask(REGISTRY, "unwatch", to="eye/1", handler="note", **target) is True
        assert world.ask(REGISTRY, "unwatch", to="eye/1", handler="note", **target) is False
    assert left_over(world) == []
    assert world.links("till/a") == world.links("eye/1") == []


def test_an_address_is_monitored_until_its_last_name_is_gone(world):
    register(world, "pay", "till/a")
    register(world, "print", "till/a")
    assert len(world.links("till/a")) == 1
    world.ask(REGISTRY, "unregister", name="pay", address="till/a")
    assert len(world.links("till/a")) == 1
    world.ask(REGISTRY, "unregister", name="print", address="till/a")
    assert world.links("till/a") == []


def test_what_gets_no_heartbeat_expires_on_time(world):
    watch(world, name="pay")
    register(world, "pay", "till/a", ttl=2, labels={"zone": "eu"})
    world.run(1500)
    assert world.ask(REGISTRY, "heartbeat", name="pay", address="till/a") == 2.0
    world.run(1999)
    assert lookup(world, "pay") == ["till/a"]
    world.run(1)
    assert lookup(world, "pay") == discover(world, labels={"zone": "eu"}) == []
    assert world.ask(REGISTRY, "heartbeat", name="pay", address="till/a") == "rejected"
    assert seen(world) == [["registered", "pay", "till/a"], ["expired", "pay", "till/a"]]
    world.ask(REGISTRY, "unwatch", to="eye/1", handler="note", name="pay")
    assert left_over(world) == []


def test_a_heartbeat_may_bring_another_ttl(world):
    register(world, "pay", "till/a", ttl=2)
    register(world, "print", "till/a")
    assert world.ask(REGISTRY, "heartbeat", name="print", address="till/a") is None
    assert world.ask(REGISTRY, "heartbeat", name="pay", address="till/a", ttl=60) == 60.0
    world.run(59_000)
    assert world.ask(REGISTRY, "heartbeat", name="pay", address="till/a") == 60.0
    world.run(59_000)
    assert lookup(world, "pay") == ["till/a"]


def test_what_has_expired_is_gone_also_where_the_alarm_is_late():
    world = new_world()
    watch(world, name="pay")
    register(world, "pay", "till/a", ttl=2)
    world.p.tick = lambda now: None  # no alarm comes
    world.run(2_000)
    assert lookup(world, "pay") == discover(world) == []
    assert world.ask(REGISTRY, "heartbeat", name="pay", address="till/a") == "rejected"
    assert world.ask(REGISTRY, "unregister", name="pay", address="till/a") is False
    assert register(world, "pay", "till/a", ttl=2) is True
    world.run(2_000)
    assert register(world, "pay", "till/a", ttl=2) is True
    assert [what for what, *_ in seen(world)] == ["registered", "expired"] * 2 + ["registered"]


def test_entries_are_found_by_all_their_labels(world):
    register(world, "pay/1", "till/a", labels={"zone": "eu", "kind": "card"})
    register(world, "pay/2", "till/b", labels={"zone": "eu", "kind": "cash"})
    register(world, "print", "till/a", labels={"zone": "us", "kind": "card"})
    assert discover(world, labels={"zone": "eu"}) == [("pay/1", "till/a"), ("pay/2", "till/b")]
    assert discover(world, labels={"kind": "card", "zone": "eu"}) == [("pay/1", "till/a")]
    assert discover(world, labels={"kind": "card"}, prefix="pr") == [("print", "till/a")]
    assert discover(world, labels={"kind": "card", "x": ""}) == []
    assert discover(world, prefix="pay/") == [("pay/1", "till/a"), ("pay/2", "till/b")]


@pytest.mark.parametrize("labels", [{}, {"odd": "no"}, {"all": "yes", "odd": "no"}])
def test_entries_come_in_pages(labels):
    world = new_world()
    for n in range(10):
        odd = "yes" if n % 2 else "no"
        register(world, f"n{n // 3}", f"till/{n}", labels={"all": "yes", "odd": odd})
    whole = discover(world, labels=labels, prefix="n")
    assert len(whole) == (5 if labels else 10)
    pages, after = [], None
    while True:
        page = world.ask(REGISTRY, "discover", labels=labels, prefix="n", after=after, limit=2)
        pages += [(entry["name"], entry["address"]) for entry in page["entries"]]
        after = page["next"]
        if after is None:
            break
    assert pages == whole
    assert discover(world, labels=labels, prefix="n2", after=["n0", "till/0"]) == [
        row for row in whole if row[0] == "n2"
    ]


def test_a_page_looks_at_so_many_entries_and_goes_on_behind(monkeypatch):
    from plexstream.coordination.groups import entries

    monkeypatch.setattr(entries, "_LOOKED_AT", 3)
    world = new_world()
    for n in range(8):
        last = "yes" if n == 7 else "no"
        register(world, f"n{n}", "till/a", labels={"all": "yes", "last": last, "one": str(n)})
    page = world.ask(REGISTRY, "discover", labels={"last": "no"})
    assert (len(page["entries"]), page["next"]) == (3, ["n2", "till/a"])
    assert discover(world, labels={"all": "yes", "last": "yes"}) == [("n7", "till/a")]  # by the rarer label


def test_a_lookup_looks_at_so_many_entries_and_goes_on_behind(monkeypatch):
    from plexstream.coordination.groups import entries

    monkeypatch.setattr(entries, "_LOOKED_AT", 3)
    world = new_world()
    for n in range(8):
        register(world, "n", f"till/{n}", ttl=1 if n < 7 else None)
    register(world, "o", "till/0")
    world.p.tick = lambda now: None  # no alarm comes
    world.run(1_000)
    page = world.ask(REGISTRY, "lookup", name="n")
    assert (page["entries"], page["next"]) == ([], "till/2")
    ask = {"path": "registry.lookup", "arguments": {"name": "n"}}
    assert [one["address"] for one in world.ask("anybody/x", "awaited", **ask)] == ["till/7"]
    for n in range(5):
        register(world, "n", f"till/8{n}")
    ask["arguments"]["limit"] = 4
    assert len(world.ask("anybody/x", "plain", **ask)) == 4


def test_what_is_watched_is_told(world):
    assert watch(world, name="pay") is True
    assert watch(world, name="pay") is False
    watch(world, to="eye/2", prefix="p")
    watch(world, to="eye/3", prefix="")
    watch(world, to="eye/4", prefix="pay/")
    register(world, "pay", "till/a", labels={"zone": "eu"})
    register(world, "pay", "till/a", labels={"zone": "eu"}, ttl=9)  # nothing that is told
    register(world, "pay", "till/a", labels={"zone": "us"}, ttl=9)
    register(world, "x", "till/a")
    world.ask(REGISTRY, "unregister", name="pay", address="till/a")
    pay = [
        ["registered", "pay", "till/a", {"zone": "eu"}],
        ["registered", "pay", "till/a", {"zone": "us"}],
        ["unregistered", "pay", "till/a", {"zone": "us"}],
    ]
    assert world.ask("eye/1", "seen") == world.ask("eye/2", "seen") == pay
    assert world.ask("eye/3", "seen") == [*pay[:2], ["registered", "x", "till/a", {}], pay[2]]
    assert world.ask("eye/4", "seen") == []


def test_a_watch_ends_and_is_renewed(world):
    watch(world, name="pay", ttl=2)
    world.run(1_500)
    assert watch(world, name="pay", ttl=2) is False
    world.run(1_500)
    register(world, "pay", "till/a")
    world.run(500)
    register(world, "pay", "till/b")
    assert seen(world) == [["registered", "pay", "till/a"]]
    assert watch(world, name="pay") is True


def test_a_watch_that_has_ended_tells_nothing_also_where_the_alarm_is_late():
    world = new_world()
    watch(world, name="pay", ttl=2)
    world.p.tick = lambda now: None
    world.run(2_000)
    register(world, "pay", "till/a")
    assert seen(world) == []
    assert world.ask(REGISTRY, "unwatch", to="eye/1", handler="note", name="pay") is False


@pytest.mark.parametrize("reason", ["normal", "shutdown: late", "moved away"])
def test_what_stops_is_unregistered(world, reason):
    watch(world, prefix="p")
    for name in ("pay", "print"):
        world.tell("till/a", "register", name=name)
    register(world, "pay", "till/b")
    world.tell("till/a", "go", reason=reason)
    world.run()
    assert lookup(world, "pay") == ["till/b"]
    assert lookup(world, "print") == []
    assert seen(world)[3:] == [["stopped", "pay", "till/a"], ["stopped", "print", "till/a"]]


def test_who_stops_watches_no_more(world):
    watch(world, name="pay", ttl=60)
    watch(world, prefix="p")
    world.tell("eye/1", "go")
    world.run()
    assert world.ask(REGISTRY, "status")["watches"] == 0
    assert left_over(world) == []


def test_what_fails_and_goes_on_stays(world):
    register(world, "pay", "till/a")
    for _ in range(2):
        world.tell("till/a", "fail")
        world.run()
    assert lookup(world, "pay") == ["till/a"]
    world.tell("till/a", "go")
    world.run()
    assert lookup(world, "pay") == []


def test_what_its_failure_ends_is_unregistered(world):
    world.tell("till/boss", "begin", id="a")
    world.run()
    register(world, "pay", "till/a")
    world.tell("till/a", "fail")
    world.run()
    assert lookup(world, "pay") == []


def test_much_of_one_actor_is_forgotten_over_turns(world, monkeypatch):
    monkeypatch.setattr(registry, "AT_ONCE", 2)
    watch(world, prefix="")
    for n in range(5):
        register(world, f"n{n}", "till/a", labels={"zone": "eu"})
    world.tell("till/a", "go")
    world.run()
    assert discover(world) == []
    assert seen(world)[5:] == [["stopped", f"n{n}", "till/a"] for n in range(5)]


def test_what_is_registered_anew_while_the_old_is_being_forgotten_stays(world, monkeypatch):
    monkeypatch.setattr(registry, "AT_ONCE", 2)
    for n in range(4):
        register(world, f"n{n}", "till/a")
    (ref,) = [key for field, key in world.links(REGISTRY) if field == "$watching"]
    world.tell(REGISTRY, "__down__", address="till/a", ref=f"till/a#{ref}", reason="normal")
    world.tell(REGISTRY, "register", name="n3", address="till/a")
    world.tell(REGISTRY, "register", name="n4", address="till/a")
    world.run()
    assert discover(world) == [("n3", "till/a"), ("n4", "till/a")]
    world.tell("till/a", "go")
    world.run()
    assert discover(world) == []


def test_much_that_expires_at_once_is_forgotten_over_turns(world, monkeypatch):
    monkeypatch.setattr(registry, "AT_ONCE", 2)
    watch(world, prefix="")
    for n in range(5):
        register(world, f"n{n}", "till/a", labels={"zone": "eu"}, ttl=2)
    world.run(2_000)
    for _ in range(5):
        world.run(1)
    assert seen(world)[5:] == [["expired", f"n{n}", "till/a"] for n in range(5)]
    world.ask(REGISTRY, "unwatch", to="eye/1", handler="note", prefix="")
    assert left_over(world) == []


def test_many_who_watch_are_told_over_turns_and_in_order(world, monkeypatch):
    monkeypatch.setattr(spread, "AT_ONCE", 2)
    eyes = [f"eye/{n}" for n in range(4)]
    for eye in eyes:
        watch(world, to=eye, name="pay")
        watch(world, to=eye, prefix="p")
    world.tell(REGISTRY, "register", name="pay", address="till/a")
    world.tell(REGISTRY, "unregister", name="pay", address="till/a")
    world.tell(REGISTRY, "watch", to="eye/9", handler="note", name="pay")
    world.run()
    told = [seen(world, eye) for eye in eyes]
    for rows in told:  # by each of its watches
        assert sorted(what for what, *_ in rows) == ["registered"] * 2 + ["unregistered"] * 2
        assert rows.index(["registered", "pay", "till/a"]) < rows.index(["unregistered", "pay", "till/a"])
    assert seen(world, "eye/9") == []
    assert world.ask(REGISTRY, "status")["under_way"] == 0


PAY = {"name": "pay", "address": "till/a"}


@pytest.mark.parametrize(
    ("handler", "arguments", "code"),
    [
        ("register", {**PAY, "name": ""}, "rejected"),
        ("register", {**PAY, "name": "x" * 257}, "rejected"),
        ("register", {**PAY, "name": "a\nb"}, "rejected"),
        ("register", {**PAY, "address": "till"}, "rejected"),
        ("register", {**PAY, "address": "http://x/y"}, "rejected"),
        ("register", {**PAY, "ttl": 0}, "rejected"),
        ("register", {**PAY, "ttl": -1}, "rejected"),
        ("register", {**PAY, "ttl": 1e300}, "rejected"),
        ("register", {**PAY, "ttl": "1"}, "bad_arguments"),
        ("register", {**PAY, "labels": {"zone": 1}}, "bad_arguments"),
        ("register", {**PAY, "labels": {"": "eu"}}, "rejected"),
        ("register", {**PAY, "labels": {"x" * 61: "eu"}}, "rejected"),
        ("register", {**PAY, "labels": {"zone": "x" * 121}}, "rejected"),
        ("register", {**PAY, "labels": {"zone": "\0"}}, "rejected"),
        ("register", {**PAY, "labels": {str(n): "" for n in range(17)}}, "rejected"),
        ("unregister", {**PAY, "address": ""}, "rejected"),
        ("heartbeat", PAY, "rejected"),
        ("lookup", {"name": "pay", "limit": 0}, "rejected"),
        ("discover", {"limit": 201}, "rejected"),
        ("discover", {"after": ["x"]}, "rejected"),
        ("watch", {"to": "eye/1", "handler": "note"}, "rejected"),
        ("watch", {"to": "eye/1", "handler": "note", "name": "a", "prefix": "a"}, "rejected"),
        ("watch", {"to": "eye/1", "handler": "note", "name": ""}, "rejected"),
        ("watch", {"to": "eye", "handler": "note", "name": "pay"}, "rejected"),
        ("watch", {"to": "eye/1", "handler": "$stop", "name": "pay"}, "rejected"),
        ("watch", {"to": "eye/1", "handler": "", "name": "pay"}, "rejected"),
        ("watch", {"to": "eye/1", "handler": "x" * 101, "name": "pay"}, "rejected"),
        ("watch", {"to": "eye/1", "handler": "note", "name": "pay", "ttl": 0}, "rejected"),
        ("unwatch", {"to": "eye/1", "handler": "note"}, "rejected"),
        ("_spread", {}, "rejected"),
        ("_sweep", {"address": "till/a", "upto": 9, "after": ""}, "rejected"),
    ],
)
def test_what_cannot_be_is_refused(world, handler, arguments, code):
    assert world.ask(REGISTRY, handler, **arguments) == code
    assert world.ask(REGISTRY, "status") == {"entries": 0, "watches": 0, "under_way": 0}
    assert left_over(world) == []


def test_the_longest_of_all_has_room():
    world = new_world()
    name, address, handler = "é" * 128, f"eye/{'é' * 246}", "é" * 50
    labels = {"é" * 30: "é" * 60}
    assert register(world, name, address, labels=labels, ttl=2) is True
    for target in ({"name": name}, {"prefix": name}):
        assert world.ask(REGISTRY, "watch", to=address, handler=handler, ttl=2, **target) is True
    assert discover(world, labels=labels) == [(name, address)]
    world.run(2_000)
    assert left_over(world) == []


def test_the_largest_that_expire_at_once_fit_into_one_turn():
    world = new_world()
    name, address = "x" * 250, f"till/{'y' * 480}"
    watch(world, prefix="")
    for n in range(registry.AT_ONCE):
        labels = {f"{'k' * 58}{m:02}": "v" * 120 for m in range(16)}
        assert register(world, f"{name}{n}", f"{address}{n}", labels=labels, ttl=2) is True
    world.run(2_000)
    assert world.ask(REGISTRY, "status") == {"entries": 0, "watches": 1, "under_way": 0}
    assert [what for what, *_ in seen(world)].count("expired") == registry.AT_ONCE


NAMES, TILLS = st.sampled_from(["a", "ab", "b"]), st.sampled_from(["till/1", "till/2"])
LABELS = st.sampled_from([None, {}, {"x": "1"}, {"x": "1", "y": "2"}, {"x": "2"}])
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("register"), NAMES, TILLS, LABELS, st.sampled_from([None, 1, 2])),
        st.tuples(st.just("unregister"), NAMES, TILLS),
        st.tuples(st.just("heartbeat"), NAMES, TILLS),
        st.tuples(st.just("stop"), TILLS),
        st.tuples(st.just("pass"), st.sampled_from([400, 1000, 1600])),
        st.tuples(st.just("watch"), st.sampled_from(["name", "prefix"]), NAMES),
    ),
    max_size=25,
)


class Model:
    def __init__(self, now):
        self.entries = {}  # labels, ttl and end in ms, by name and address
        self.watches = set()
        self.seen = []
        self.stopped = set()
        self.now = now

    def news(self, what, key):
        labels = self.entries[key][0]
        watching = [w for w in self.watches if w == ("name", key[0])]
        watching += [w for w in self.watches if w[0] == "prefix" and key[0].startswith(w[1])]
        self.seen += [[what, *key, labels]] * len(watching)

    def drop(self, what, key):
        self.news(what, key)
        del self.entries[key]

    def register(self, name, address, labels, ttl):
        before = self.entries.get((name, address))
        labels = labels or {}
        self.entries[name, address] = (labels, ttl, self.now + 1000 * ttl if ttl else None)
        if before is None or before[0] != labels:
            self.news("registered", (name, address))
        if address in self.stopped:
            self.stop(address)  # nobody is there
        return before is None

    def unregister(self, name, address):
        there = (name, address) in self.entries
        if there:
            self.drop("unregistered", (name, address))
        return there

    def heartbeat(self, name, address):
        entry = self.entries.get((name, address))
        if entry is None:
            return "rejected"
        labels, ttl, _ = entry
        self.entries[name, address] = (labels, ttl, self.now + 1000 * ttl if ttl else None)
        return ttl

    def stop(self, address):
        self.stopped.add(address)
        for key in sorted(self.entries):
            if key[1] == address:
                self.drop("stopped", key)

    def pass_(self, ms):
        self.now += ms
        ends = [(entry[2], key[1], key[0]) for key, entry in self.entries.items() if entry[2]]
        for when, address, name in sorted(ends):
            if when <= self.now:
                self.drop("expired", (name, address))


@settings(max_examples=80, deadline=None)
@given(OPERATIONS, st.sampled_from([0, 0, 1, 3]), st.integers(1, 3), st.sampled_from([1, 2, 64]))
def test_it_does_what_its_model_does(operations, crash_every, told_at_once, forgotten_at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spread, "AT_ONCE", told_at_once)
        patch.setattr(registry, "AT_ONCE", forgotten_at_once)
        world = new_world(crash_every)
        model = Model(world.now)
        for what, *of in operations:
            if what == "register":
                name, address, labels, ttl = of
                made = register(world, name, address, labels=labels, ttl=ttl)
                assert made == model.register(*of)
            elif what == "stop":
                world.tell(of[0], "go")
                world.run()
                model.stop(of[0])
            elif what == "pass":
                world.run(of[0])
                model.pass_(of[0])
                for _ in range(len(model.entries) + 8):  # the rest is due 1 ms later
                    world.run(1)
                    model.pass_(1)
            elif what == "watch":
                watch(world, **{of[0]: of[1]})
                model.watches.add(tuple(of))
            else:
                arguments = {"name": of[0], "address": of[1]}
                assert world.ask(REGISTRY, what, **arguments) == getattr(model, what)(*of)
        for labels in ({}, {"x": "1"}, {"x": "1", "y": "2"}):
            found = [key for key, entry in model.entries.items() if labels.items() <= entry[0].items()]
            assert discover(world, labels=labels) == sorted(found)
        assert world.ask("eye/1", "seen") == model.seen
        held = {key[1] for key in model.entries} | ({"eye/1"} if model.watches else set())
        assert len([field for field, _ in world.links(REGISTRY) if field == "$watching"]) == len(held)
        sizes = {"entries": len(model.entries), "watches": len(model.watches), "under_way": 0}
        assert world.ask(REGISTRY, "status") == sizes
