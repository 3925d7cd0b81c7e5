"""What a turn sees and leaves, and what its handler may not do."""

import asyncio
import json

import pytest

from plexstream import (
    Reject,
    StateMap,
    actor,
    handler,
    host,
    init_handler,
    on_activate,
    on_deactivate,
    state,
    state_map,
)
from plexstream.model.errors import Failed


@actor(name="a")
class Reader:
    n: int = state(default=0)
    items: list = state(default_factory=list)
    map: StateMap[list] = state_map()

    @handler("set")
    def set(self):
        self.map["k"] = [1]

    @handler("noop")
    def noop(self):
        pass

    @handler("read", read_only=True)
    def read(self, what: str) -> object:
        if what == "plain":
            self.n = 1
        elif what == "inside":
            self.items.append(1)
        elif what == "entry":
            self.map["k"] = []
        elif what == "inside entry":
            self.map["k"].append(2)
        elif what == "emit":
            host.emit("x", 1)
        return self.map["k"]


@pytest.mark.parametrize("what", ["plain", "inside", "entry", "inside entry", "emit"])
def test_a_read_only_handler_must_not_write(tester, what):
    t = tester(Reader)
    t.ok("set")
    result = t.call("read", json.dumps({"what": what}).encode(), must_read=True)
    assert (result.code, result.read_only) == ("failed", True)
    assert "read_only" in result.detail
    assert t.ok("noop").patch == []
    assert t.ok("read", b'{"what":""}').value == b"[1]"
    assert t.call("noop", must_read=True).code == "not_read_only"


def test_values_are_as_they_will_be_read_back(tester):
    @actor(name="a")
    class Shapes:
        any: object = state(default=None)
        ratio: float = state(default=0.0)
        map: StateMap = state_map()

        @handler("set")
        def set(self):
            self.any = (1, 2)
            self.ratio = 1
            self.map["k"] = (1, 2)

        @handler("see", read_only=True)
        def see(self):
            return [type(v).__name__ for v in (self.any, self.ratio, self.map["k"])]

    t = tester(Shapes)
    t.ok("set")
    warm = t.ok("see").value
    t.load()
    assert t.ok("see").value == warm == b'["list","float","list"]'


def test_the_same_value_has_the_same_bytes_before_and_after_it_is_loaded(tester):
    @actor(name="a")
    class Sums:
        totals: list[float] = state(default_factory=list)
        shares: dict[str, float | None] = state(default_factory=dict)
        ratio: float = state(default=0.0)

        @handler("set")
        def set(self, n: int):
            self.totals = [n]
            self.shares = {"a": n, "b": None}
            self.ratio = n

    t = tester(Sums)
    patch = t.ok("set", b'{"n":1}').patch
    assert {c.field: c.value for c in patch} == {
        "totals": b"[1.0]", "shares": b'{"a":1.0,"b":null}', "ratio": b"1.0",
    }  # fmt: skip
    t.load()
    assert t.ok("set", b'{"n":1}').patch == []


def test_what_a_factory_made_is_durable(tester):
    made = iter(range(1, 100))

    @actor(name="a")
    class Made:
        token: int = state(default_factory=lambda: next(made))

        @handler("get")
        def get(self):
            return self.token

    t = tester(Made)
    value = t.ok("get").value
    t.load()
    assert t.ok("get").value == value


def test_a_large_field_can_be_replaced(tester):
    @actor(name="a")
    class Large:
        text: str = state(default="")

        @handler("set")
        def set(self, c: str):
            self.text = c * 600_000

    t = tester(Large)
    t.ok("set", b'{"c":"a"}')
    t.ok("set", b'{"c":"b"}')


def test_async_handlers(tester):
    @actor(name="a")
    class Async:
        n: int = state(default=0)

        @handler("now")
        async def now(self, n: int):
            self.n = n
            return n

        @handler("waits")
        async def waits(self):
            self.n = 9
            await asyncio.sleep(0)

        @handler("sleeps")
        async def sleeps(self):
            self.n = 9
            await asyncio.sleep(1)

    t = tester(Async)
    assert t.ok("now", b'{"n":3}').value == b"3"
    for name in ("waits", "sleeps"):
        result = t.call(name)
        assert result.code == "failed"
        assert "must not wait on asyncio" in result.detail
        assert t.instance.object.n == 3


def test_init_is_part_of_the_first_turn(tester):
    @actor(name="a")
    class Born:
        log: list[str] = state(default_factory=list)

        @init_handler
        def init(self):
            self.log.append("init")
            host.emit("born", host.self_id())

        @handler("add")
        def add(self, what: str):
            self.log.append(what)
            if what == "bad":
                raise ValueError(what)

        @handler("see", read_only=True)
        def see(self):
            return self.log

    t = tester(Born)
    assert t.ok("see").value == b"[]"
    assert t.call("add", b'{"what":"bad"}').code == "failed"
    first = t.ok("add", b'{"what":"x"}')
    assert [o.target for o in first.outs] == ["born"]
    assert t.ok("add", b'{"what":"y"}').outs == []
    assert t.ok("see").value == b'["init","x","y"]'


def test_hooks_must_not_change_state(tester, caplog):
    @actor(name="a")
    class Hooked:
        n: int = state(default=0)

        @on_activate
        def up(self):
            self.cache = {}
            self.n = Hooked.change

        @on_deactivate
        def down(self):
            raise SystemExit

    Hooked.change = 0
    t = tester(Hooked)
    assert t.instance.object.cache == {}
    t.host.deactivate(t.instance)
    assert "on_deactivate" in caplog.text
    Hooked.change = 1
    with pytest.raises(TypeError, match="on_activate hook changed n"):
        t.load()
    Hooked.change = "x"
    with pytest.raises(Failed, match="on_activate"):
        t.load()


def test_random_uuid_and_time_are_those_of_the_turn(tester):
    @actor(name="a")
    class Dice:
        @handler("roll")
        def roll(self):
            return [host.random(), host.uuid(), host.now(), host.self_id(), host.sender()]

    one, two = tester(Dice), tester(Dice)
    first = one.ok("roll", now=77, sender="default/default/b/2").value
    assert first == two.ok("roll", now=77, sender="default/default/b/2").value
    assert json.loads(first)[2:] == [77, "a/1", "b/2"]
    assert json.loads(one.ok("roll", now=77).value)[:2] != json.loads(first)[:2]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "x" * 201, "a\n", 5, None])
def test_emit_refuses_what_is_no_topic(tester, name):
    @actor(name="a")
    class Out:
        @handler("go")
        def go(self):
            host.emit(name, 1)

    result = tester(Out).call("go")
    assert result.code == "failed"
    assert "letters, digits" in result.detail


@pytest.mark.parametrize(("key", "good"), [
    (None, True), ("", True), ("k" * 1024, True), ("é" * 512, True),
    ("k" * 1025, False), ("é" * 513, False), ("\ud800", False), (5, False),
])  # fmt: skip
def test_keys_of_outputs(tester, key, good):
    @actor(name="a")
    class Out:
        @handler("go")
        def go(self):
            host.emit("x" * 200, 1, key=key)

    assert (tester(Out).call("go").code == "") is good


def test_what_an_error_carries(tester):
    @actor(name="a")
    class Refuses:
        @handler("go")
        def go(self, what: str):
            data = {"fine": {"a": 1}, "large": "x" * 2_000_000, "object": object(), "nan": float("nan")}
            raise Reject("no", data[what])

    t = tester(Refuses)
    assert t.call("go", b'{"what":"fine"}').data == {"a": 1}
    for what in ("large", "object", "nan"):
        result = t.call("go", json.dumps({"what": what}).encode())
        assert (result.code, result.data) == ("rejected", None)
        assert result.detail.startswith("no (its data")


@actor(name="a")
class Library:
    books: StateMap[str] = state_map()
    loans: int = state(default=0)

    @handler("add")
    def add(self, number: int):
        self.books[str(number)] = "x" * 50_000

    @handler("look", read_only=True)
    def look(self, number: int):
        return len(self.books[str(number)])

    @handler("lend")
    def lend(self, number: int):
        self.loans += len(self.books[str(number)])


@pytest.mark.parametrize("what", ["add", "look", "lend"])
def test_a_collection_keeps_little_in_memory_between_turns(tester, what):
    t = tester(Library)
    for number in range(40):
        t.ok("add", b'{"number":%d}' % number)
    if what != "add":
        t.load()
    kept = []
    for number in range(40):
        t.ok(what, b'{"number":%d}' % number)
        kept.append(sum(len(book) for book in t.instance.object.books._cells.values.values()))
    assert 50_000 <= max(kept) <= 300_000
