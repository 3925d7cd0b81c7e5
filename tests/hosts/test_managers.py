"""Event managers on the native host: event handlers come, go, fail, and keep their state."""

import json

import pytest

from plexstream import Reject, event_actor, handler, host, init_handler, state, state_list
from plexstream.model.journal.journal import OutKind
from plexstream.sdk.errors import DeclarationError


class Counter:
    seen: int = state(default=0)
    items: list[str] = state(default_factory=list)
    anything: object = state(default=None)

    @handler("ordered")
    def ordered(self, item: str) -> None:
        self.seen += 1
        self.items.append(item)
        host.tell("log/1", "counted", n=self.seen)
        if item == "bad":
            raise ValueError("bad item")
        if item == "refused":
            raise Reject("not that")
        if item == "exit":
            raise SystemExit(3)
        if item == "wrong state":
            self.seen = "1"
        if item == "no json":
            self.anything = object()
        if item == "large":
            self.anything = "x" * 600_000


class Threshold:
    limit: int = state(default=3)
    left: int = state(default=0)

    @init_handler
    def begin(self, limit: int):
        self.limit = self.left = limit

    @handler("ordered", "shipped")
    def ordered(self, **rest):
        self.left -= 1
        if not self.left:
            host.emit("alarms", {"of": self.limit})


class Everything:
    names: list[dict] = state(default_factory=list)

    @handler("*")
    def any(self, **arguments):
        self.names.append(arguments)


def manager(*kinds):
    @event_actor(name="a", handlers=kinds)
    class Orders:
        total: int = state(default=0)

        @handler("order")
        def order(self, n: int = 1):
            self.total += n
            return self.total

    return Orders


ALL = (Counter, Threshold, Everything)


def call(t, name, **arguments):
    return t.call(name, json.dumps(arguments).encode())


def add(t, kind, **options):
    result = call(t, "add_handler", handler=kind, **options)
    assert result.code == "", result.detail
    return json.loads(result.value)


def notify(t, event, **arguments):
    result = call(t, "sync_notify", event=event, arguments=arguments)
    assert result.code == "", result.detail
    return json.loads(result.value), result


def handlers(t):
    return json.loads(t.ok("handlers", must_read=True).value)


def test_handlers_are_added_notified_and_removed(tester):
    t = tester(manager(*ALL))
    assert add(t, "counter") == "counter"
    assert add(t, "threshold", id="t/2", arguments={"limit": 2}) == "t/2"
    t.load()
    assert notify(t, "ordered", item="tea")[0]["handled"] == ["counter", "t/2"]
    assert t.call("notify", b'{"event": "shipped", "arguments": {"to": "x"}}').value == b"null"
    t.load()
    found = handlers(t)["handlers"]
    assert [(h["id"], h["handler"]) for h in found] == [("counter", "counter"), ("t/2", "threshold")]
    assert found[0]["state"] == {"seen": 1, "items": ["tea"], "anything": None}
    assert found[1]["state"] == {"limit": 2, "left": 0}
    assert json.loads(call(t, "remove_handler", id="t/2").value) == {"limit": 2, "left": 0}
    assert call(t, "remove_handler", id="t/2").code == "rejected"
    assert notify(t, "shipped")[0] == {"handled": [], "rejected": {}, "removed": {}}
    assert t.ok("order").value == b"1"


def test_they_are_notified_in_the_order_in_which_they_were_added(tester):
    t = tester(manager(*ALL))
    for id in ("z", "b", "m", "a"):
        add(t, "counter", id=id)
    call(t, "remove_handler", id="b")
    add(t, "counter", id="b")
    assert notify(t, "ordered", item="x")[0]["handled"] == ["z", "m", "a", "b"]


def test_a_handler_takes_every_event(tester):
    t = tester(manager(*ALL))
    add(t, "everything")
    notify(t, "one", a=1)
    notify(t, "two")
    assert handlers(t)["handlers"][0]["state"] == {"names": [{"a": 1}, {}]}


@pytest.mark.parametrize("item", ["bad", "exit", "wrong state", "no json", "large"])
def test_one_that_fails_is_removed_and_reported_and_the_others_go_on(tester, item):
    t = tester(manager(*ALL))
    add(t, "counter", id="one", report_to="boss/1")
    add(t, "threshold", arguments={"limit": 1})
    report, result = notify(t, "ordered", item=item)
    assert report["handled"] == ["threshold"]
    [(id, reason)] = report["removed"].items()
    assert id == "one"
    assert reason
    said = [(o.kind, o.target, o.handler) for o in result.outs]
    assert said == [
        (OutKind.TELL, "default/default/boss/1", "handler_removed"), (OutKind.EMIT, "alarms", ""),
    ]  # fmt: skip
    told = json.loads(result.outs[0].payload)
    assert (told["manager"], told["id"], told["event"], told["reason"]) == ("a/1", "one", "ordered", reason)
    t.load()
    found = handlers(t)
    assert [h["id"] for h in found["handlers"]] == ["threshold"]
    assert [(r["id"], r["reason"], r["time"]) for r in found["removed"]] == [("one", reason, 1000)]


def test_one_that_refuses_stays_as_it_was(tester):
    t = tester(manager(*ALL))
    add(t, "counter")
    before = handlers(t)
    report, result = notify(t, "ordered", item="refused")
    assert (report["rejected"], result.outs, result.patch) == ({"counter": "not that"}, [], [])
    report, result = notify(t, "ordered", item=5)  # who sends what does not fit removes nobody
    assert "Expected `str`" in report["rejected"]["counter"]
    assert "missing" in notify(t, "ordered")[0]["rejected"]["counter"]
    t.load()
    assert handlers(t) == before


def test_a_refusal_takes_back_what_was_changed_inside(tester):
    class Inside:
        anything: object = state(default=None)

        @handler("set")
        def set(self, to: object):
            self.anything = to

        @handler("change")
        def change(self):
            self.anything["x"].append(1)
            raise Reject("no")

    t = tester(manager(Inside))
    add(t, "inside")
    notify(t, "set", to={"x": []})
    report, result = notify(t, "change")
    assert (report["rejected"], result.patch) == ({"inside": "no"}, [])


def test_a_class_that_is_gone_comes_back(tester):
    t = tester(manager(*ALL))
    add(t, "counter")
    notify(t, "ordered", item="x")
    older = tester(manager(Threshold))
    older.disk, older.seq = t.disk, t.seq
    older.load()
    rejected = notify(older, "ordered")[0]["rejected"]
    assert "no class 'counter' of event handlers any more" in rejected["counter"]
    t.load()
    assert notify(t, "ordered", item="y")[0]["handled"] == ["counter"]
    assert handlers(t)["handlers"][0]["state"]["items"] == ["x", "y"]


@pytest.mark.parametrize(("arguments", "why"), [
    ({"handler": "nothing"}, "there are counter, threshold, everything"),
    ({"handler": "counter", "id": "there"}, "'there' already"),
    ({"handler": "counter", "arguments": {"sene": 1}}, "no state sene; there is seen, items, anything"),
    ({"handler": "counter", "arguments": {"seen": "1"}}, "Expected `int`"),
    ({"handler": "threshold"}, "missing required"),
    ({"handler": "threshold", "arguments": {"limit": 1, "more": 2}}, "there is no more"),
    ({"handler": "counter", "report_to": "nobody"}, "type/id"),
    ({"handler": "counter", "id": "x" * 2000}, "2000 bytes"),
    ({"handler": "counter", "id": 5}, "Expected `str`"),
])  # fmt: skip
def test_what_cannot_be_added(tester, arguments, why):
    t = tester(manager(*ALL))
    add(t, "counter", id="there", arguments={"seen": 4})
    result = call(t, "add_handler", **arguments)
    assert result.code
    assert why in result.detail
    t.load()
    [only] = handlers(t)["handlers"]
    assert only["state"]["seen"] == 4


def test_own_handlers_come_first(tester):
    @event_actor(name="a")
    class Own:
        @handler("notify")
        def notify(self, text: str):
            return text

    assert tester(Own).ok("notify", b'{"text": "x"}').value == b'"x"'


def broken(**members):
    return lambda: event_actor(handlers=[type("X", (), members)])


@pytest.mark.parametrize(("build", "why"), [
    (broken(x=state_list()), "kept as one value"),
    (broken(h=handler("a", read_only=True)(lambda self: 0)), "plain @handler methods"),
    (broken(h=handler("a", states=["s"])(lambda self: 0)), "plain @handler methods"),
    (broken(h=handler("a")(lambda self: 0), i=handler("a")(lambda self: 0)), "declared twice"),
])  # fmt: skip
def test_what_is_refused_at_import(build, why):
    with pytest.raises(DeclarationError, match=why):
        build()
