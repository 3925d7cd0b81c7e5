"""What the decorators describe, and what they refuse while the module is imported."""

import pytest

from plexstream import (
    Retry,
    Snapshots,
    actor,
    handler,
    host,
    init_handler,
    on_activate,
    on_deactivate,
    state,
    state_list,
    state_map,
    subscribe,
)  # fmt: skip
from plexstream.sdk.errors import DeclarationError, OutsideHandler


@subscribe("orders", handler="add", key="customer", into="order")
@actor(
    name="shop.cart",
    idle_timeout=5,
    max_active=7,
    state_ttl=9,
    retry=Retry(2),
    snapshots=Snapshots(3),
    max_state=11,
)
@subscribe("other", handler="add")
class Cart:
    total: int = state(default=0)
    tags: list[str] = state(default_factory=list)
    items: dict[str, int] = state_map()
    log: list[str] = state_list()

    @init_handler
    def start(self): ...

    @on_activate
    def up(self): ...

    @on_deactivate
    def down(self): ...

    @handler("add")
    def put(self, order: dict) -> int:
        self.items[order["id"]] = order["n"]
        self.log.append("put")
        self.total += order["n"]
        return self.total

    @handler(read_only=True)
    def see(self) -> int:
        return self.total


def test_what_is_described():
    spec = Cart.__plexstream__
    assert (spec.name, spec.idle_timeout, spec.max_active) == ("shop.cart", 5, 7)
    assert (spec.state_ttl, spec.max_state, spec.retry.attempts, spec.snapshots.turns) == (9, 11, 2, 3)
    assert {n: (f.kind, f.annotation) for n, f in spec.fields.items()} == {
        "total": ("plain", int), "tags": ("plain", list[str]),
        "items": ("map", dict[str, int]), "log": ("list", list[str]),
    }  # fmt: skip
    assert {n: h.read_only for n, h in spec.handlers.items()} == {"add": False, "see": True}
    assert (spec.init, spec.activate, spec.deactivate) == (Cart.start, Cart.up, Cart.down)
    assert [(s.topic, s.key, s.into) for s in spec.subscriptions] == [
        ("other", None, None), ("orders", "customer", "order"),
    ]  # fmt: skip


def test_an_actor_is_a_plain_object_in_a_unit_test():
    cart, other = Cart(), Cart()
    assert cart.put({"id": "a", "n": 2}) == 2
    assert (cart.items, cart.log, cart.see()) == ({"a": 2}, ["put"], 2)
    cart.tags.append("x")
    assert (other.items, other.tags, other.total) == ({}, [], 0)


def test_two_actors_share_a_plain_base_class():
    class Counted:
        n: int = state(default=1)

    @actor
    class First(Counted):
        pass

    @actor
    class Second(Counted):
        pass

    for cls in (First, Second):
        assert list(cls.__plexstream__.fields) == ["n"]
        assert cls().n == 1


def test_a_subclass_inherits_fields_and_handlers():
    @actor
    class Big(Cart):
        size: int = state(default=1)

    assert Big.__plexstream__.name == "big"
    assert {"total", "items", "size"} <= set(Big.__plexstream__.fields)
    assert "size" not in Cart.__plexstream__.fields
    assert {"add", "see"} <= set(Big.__plexstream__.handlers)
    assert Big().size == 1


@pytest.mark.parametrize("default", [[], {}, set(), object()])
def test_a_mutable_default_is_refused(default):
    with pytest.raises(DeclarationError, match="default_factory"):
        state(default=default)


NAMES = {f.__name__: f for f in (handler, init_handler, on_activate, on_deactivate, actor)}


def method(*decorators, body="...", define="def"):
    """A class whose methods have these decorators."""

    def build():
        methods = [f"    @{d}\n    {define} h{i}(self): {body}\n" for i, d in enumerate(decorators)]
        exec("@actor\nclass X:\n" + "".join(methods), dict(NAMES))

    return build


@pytest.mark.parametrize(("build", "why"), [
    (method("handler('a')", "handler('a')"), "declared twice"),
    (method("init_handler", "init_handler"), "second init"),
    (method("on_activate", "on_activate"), "second activate"),
    (method("handler('a b')"), "use letters"),
    (method("handler('')"), "use letters"),
    (method("handler('x' * 200)"), "use letters"),
    (method("handler('a')", body="yield 1"), "generator"),
    (method("on_activate", define="async def"), "async"),
    (method("init_handler", define="async def"), "async"),
    (lambda: actor(name="a/b")(type("X", (), {})), "use letters"),
    (lambda: actor(type("X", (), {"__init__": lambda self: None})), "__init__"),
    (lambda: actor(type("X", (), {"__slots__": ()})), "__slots__"),
    (lambda: subscribe("t", handler="nope")(actor(type("X", (), {}))), "no such handler"),
    (lambda: actor(subscribe("t", handler="nope")(type("X", (), {}))), "no such handler"),
])  # fmt: skip
def test_what_cannot_work_is_refused_at_import(build, why):
    with pytest.raises(DeclarationError, match=why):
        build()


@pytest.mark.parametrize(
    "options", [{"attempts": 0}, {"interval": -1}, {"factor": 0.5}, {"max_interval": -1}]
)
def test_retries_that_cannot_be(options):
    with pytest.raises(ValueError, match="at least 1"):
        Retry(**options)


def test_retry_delays_grow_to_their_limit():
    retry = Retry(attempts=9, interval=1, factor=3, max_interval=10)
    assert [retry.delay(n) for n in (1, 2, 3, 4)] == [1, 3, 9, 10]


@pytest.mark.parametrize("call", [
    lambda: host.tell("a/1", "h"), lambda: host.send("a/1", "h"), lambda: host.emit("x", 1),
    lambda: host.send_after(1, "h"), lambda: host.cancel("1.0"), host.self_id, host.sender, host.now,
    host.now_ms, host.random, host.uuid, lambda: host.log("x"),
])  # fmt: skip
def test_host_outside_a_handler(call):
    with pytest.raises(OutsideHandler, match="outside a handler"):
        call()
