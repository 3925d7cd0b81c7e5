"""What the decorators of behaviours describe, and what they refuse while the module is imported."""

import pytest

from plexstream import (
    EventSourced,
    actor,
    event,
    event_actor,
    event_timeout,
    fsm_actor,
    gen_server_actor,
    handler,
    state,
    state_enter,
    state_timeout,
)
from plexstream.sdk.errors import DeclarationError


@gen_server_actor(facets=["durability", {"type": "virtual_actor", "config": {"idle_timeout": 5}}])
class Server:
    n: int = state(default=0)

    @handler("add", "plus", invocation="call")
    def add(self, amount: int = 1) -> int:
        self.n += amount
        return self.n

    @handler("reset", "cast")
    def reset(self) -> int:
        self.n = 0
        return 7

    @handler("call")
    def total(self) -> int:
        return self.n

    @handler("*", "cast")
    async def other(self, **arguments: object) -> int:
        return 5


def test_what_is_described():
    spec = Server.__plexstream__
    assert {n: h.invocation for n, h in spec.handlers.items()} == {
        "add": "call", "plus": "call", "reset": "cast", "total": "call", "*": "cast",
    }  # fmt: skip
    assert (spec.behaviour, spec.facets, spec.idle_timeout) == (
        "gen_server", ("durability", "virtual_actor"), 5,
    )  # fmt: skip
    assert Server().add(amount=2) == 2
    assert Server().reset() == 7  # as a plain object


def test_behaviours_have_their_names():
    @event
    def fold(self, e: int): ...

    machine = fsm_actor(states=["x"], initial="x")(type("X", (), {}))
    found = [actor(type("A", (), {})), machine, event_actor(type("E", (), {}))]
    found.append(actor(type("S", (EventSourced,), {"f": fold})))
    assert [c.__plexstream__.behaviour for c in found] == ["actor", "gen_fsm", "gen_event", "event_sourced"]


def test_an_explicit_option_beats_the_config_of_a_facet():
    facet = {"type": "virtual_actor", "priority": 1, "config": {"idle_timeout": 5, "max_active": 6}}
    spec = actor(idle_timeout=9, facets=[facet])(type("X", (), {})).__plexstream__
    assert (spec.idle_timeout, spec.max_active) == (9, 6)


def facets(*facets):
    return lambda: actor(facets=facets)(type("X", (), {}))


def fsm(states=("x", "y"), initial="x", transitions=None, **members):
    return lambda: fsm_actor(states=states, initial=initial, transitions=transitions)(type("X", (), members))


def h(name="a", function=None, **options):
    return handler(name, **options)(function or (lambda self: 0))


class Sourced(EventSourced):
    @event
    def fold(self, e: int): ...


@pytest.mark.parametrize(("build", "why"), [
    (lambda: handler("a", invocation="shout"), "write 'call' or 'cast'"),
    (lambda: handler("a", "cast", read_only=True), "would do nothing"),
    (lambda: handler(len), "belongs on a method"),
    (lambda: handler("a", "$b"), "use letters"),
    (lambda: actor(type("X", (), {"a": h("a"), "b": h("b", states=["x"])})), "declare X with @fsm_actor"),
    (lambda: actor(type("X", (), {"a": state_timeout("x", after=1)(lambda self: 0)})), "declare X with @fsm"),
    (facets("durabillity"), "no facet 'durabillity'; there are virtual_actor, durability"),
    (facets("registry"), "no facet 'registry'"),
    (facets({"config": {}}), "no facet None"),
    (facets({"type": ["x"]}), "no facet"),
    (facets({"type": "timer", "colour": 1}), "has no key 'colour'"),
    (facets({"type": "timer", "config": {"x": 1}}), "no setting 'x'; it has none"),
    (lambda: gen_server_actor(type("X", (Sourced,), {})), "declared with @actor"),
    (lambda: event_actor(type("X", (Sourced,), {})), "cannot be an event manager"),
    (lambda: fsm_actor(states=["x"], initial="x")(type("X", (Sourced,), {})), "cannot be an FSM"),
    (fsm(initial="z"), "uses the states z, which are not declared; declared are x, y"),
    (fsm(transitions={"x": ["z"], "q": []}), "uses the states q, z"),
    (fsm(states=["x", "x"]), "given twice"),
    (fsm(states=[]), "declared are none"),
    (fsm(fsm_state="y"), "begins as 'y', but initial is 'x'"),
    (fsm(a=h(states=["z"])), "no state 'z'"),
    (fsm(a=h(postpone_in=["z"])), "no state 'z'"),
    (fsm(a=h(), b=h()), "declared twice: give them states"),
    (fsm(a=h(states=["x"]), b=h(states=["x", "y"])), "declared twice for 'x'"),
    (fsm(a=h(states=["x"]), b=h(function=lambda self, n: 0, states=["y"])), "other parameters"),
    (fsm(a=h(states=["x"]), b=h(states=["y"], read_only=True)), "read_only or a cast in another state"),
    (fsm(a=h(states=["x"], postpone_in=["x", "y"])), "both handled and postponed in x"),
    (fsm(a=h(read_only=True, postpone_in=["x"])), "cannot be postponed"),
    (fsm(a=h("*", postpone_in=["x"])), "cannot be postponed"),
    (fsm(a=state_timeout("z", after=1)(lambda self: 0)), "no state 'z'"),
    (fsm(a=state_timeout("x", after=-1)(lambda self: 0)), "give seconds, from 0 to"),
    (fsm(a=state_timeout("x", after=float("nan"))(lambda self: 0)), "give seconds"),
    (fsm(a=state_timeout("x", after=1)(lambda self, n: 0)), "takes no arguments"),
    (fsm(a=state_timeout("x", after=1)(lambda self: 0), b=state_timeout("x", after=2)(lambda self: 0)),
     "second state timeout"),
    (fsm(a=state_timeout("x", after=1e9)(lambda self: 0)), "give seconds, from 0 to"),
    (fsm(a=event_timeout("x", after=1)(lambda self, n: 0)), "event timeout takes no arguments"),
    (fsm(a=event_timeout("x", after=1)(lambda self: 0), b=event_timeout("x", after=2)(lambda self: 0)),
     "second event timeout"),
    (fsm(a=state_enter()(lambda self: 0)), "name the states"),
    (fsm(a=state_enter("z")(lambda self: 0)), "no state 'z'"),
    (fsm(a=state_enter("x")(lambda self, a, b: 0)), "the state before"),
    (fsm(a=state_enter("x")(lambda self: 0), b=state_enter("x", "y")(lambda self: 0)), "second method"),
    (lambda: actor(type("X", (), {"a": state_enter("x")(lambda self: 0)})), "declare X with @fsm"),
    (fsm(a=event(lambda self, e: 0)), "folds events"),
])  # fmt: skip
def test_what_cannot_work_is_refused_at_import(build, why):
    with pytest.raises(DeclarationError, match=why):
        build()
