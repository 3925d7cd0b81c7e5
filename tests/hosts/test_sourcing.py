"""Event-sourced actors on the native host: the state is the fold of the events, always."""

import copy
import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexstream import (
    EventLog,
    EventSourced,
    Reject,
    StateList,
    StateMap,
    actor,
    event,
    handler,
    host,
    init_handler,
    state,
    state_list,
    state_map,
)
from plexstream.sdk.errors import DeclarationError, FoldError
from tests.hosts.conftest import Tester


@dataclass
class Deposited:
    amount: int
    tags: tuple[str, ...] = ()


@dataclass
class Withdrawn:
    amount: int
    reason: str


def account(log=EventLog(), factor=1):  # noqa: B008
    @actor(name="a", events=log)
    class Account(EventSourced):
        balance: int = state(default=0)
        tags: list[str] = state(default_factory=list)
        by_reason: StateMap[int] = state_map()
        moves: StateList[int] = state_list()
        lists: StateMap[list[int]] = state_map()

        @handler("deposit")
        def deposit(self, amount: int, tags: list[str] = []) -> int:  # noqa: B006
            if amount <= 0:
                raise Reject("an amount is positive")
            self.apply(Deposited(amount, tuple(tags)))
            return self.balance

        @handler("withdraw")
        async def withdraw(self, amount: int, reason: str = "") -> int:
            if amount > self.balance:
                raise Reject("not enough")
            self.apply(Withdrawn(amount, reason))
            return self.balance

        @handler("both")
        def both(self, amount: int) -> int:
            self.deposit(amount)
            self.apply(Withdrawn(amount, "fee"))
            if amount == 13:
                raise ValueError("unlucky")
            return self.balance

        @handler("history", read_only=True)
        def history(self, start: int = 0) -> list:
            return list(self.events(start))

        @handler("look")
        def look(self) -> int:
            self.apply(Deposited(len(self.lists["all"])))
            return len(self.tags) + len(self.lists["all"])

        @handler("cheat")
        def cheat(self, how: str) -> None:
            self.apply(Deposited(1))
            CHEATS[how](self)

        @event
        def deposited(self, e: Deposited) -> None:
            self.balance += factor * e.amount
            self.tags.extend(e.tags)
            self.moves.append(e.amount)
            self.lists.setdefault("all", []).append(e.amount)

        @event(name="taken")
        def withdrawn(self, e: Withdrawn) -> None:
            self.balance -= e.amount
            self.by_reason[e.reason] = self.by_reason.get(e.reason, 0) + e.amount

    return Account


CHEATS = {
    "plain": lambda a: setattr(a, "balance", 5),
    "inside": lambda a: a.tags.append("x"),
    "map": lambda a: a.by_reason.update(x=1),
    "list": lambda a: a.moves.append(1),
    "item": lambda a: a.moves.__setitem__(0, 7),
    "inside an entry": lambda a: a.lists["all"].append(1),
    "before an event": lambda a: (a.tags.append("x"), a.apply(Deposited(1))),
    "no event": lambda a: a.apply(Parcelled()),
    "wrong event": lambda a: a.apply(Deposited("1")),
    "nan": lambda a: a.apply(Deposited(float("nan"))),
}


@dataclass
class Parcelled:
    pass


def call(t, name, **arguments):
    return t.call(name, json.dumps(arguments).encode())


def fields(t):
    a = t.instance.object
    return a.balance, list(a.tags), dict(a.by_reason), list(a.moves)


def test_events_stand_in_the_journal_beside_what_they_fold_to(tester):
    t = tester(account())
    result = call(t, "deposit", amount=5, tags=["x"])
    assert result.value == b"5"
    patch = {(c.field, c.key): c.value for c in result.patch}
    assert json.loads(patch["@events", "0"]) == {
        "event": "Deposited", "version": 1, "data": {"amount": 5, "tags": ["x"]},
    }  # fmt: skip
    assert patch["balance", None] == b"5"
    assert call(t, "withdraw", amount=2, reason="tea").value == b"3"
    assert json.loads(t.disk.stored["@events", "1"])["event"] == "taken"
    assert "@fold" not in t.disk.fields
    t.load()
    assert fields(t) == (3, ["x"], {"tea": 2}, [5])
    assert json.loads(call(t, "history", start=1).value) == [{"amount": 2, "reason": "tea"}]


def test_a_refusal_and_a_failure_leave_no_event(tester):
    t = tester(account())
    call(t, "deposit", amount=5)
    assert call(t, "withdraw", amount=9).code == "rejected"
    assert call(t, "both", amount=13).code == "failed"
    assert fields(t) == (5, [], {}, [5])
    assert len(json.loads(call(t, "history").value)) == 1
    assert call(t, "both", amount=1).value == b"5"
    assert len(json.loads(call(t, "history").value)) == 3


def test_looking_is_no_change(tester):
    t = tester(account())
    call(t, "deposit", amount=5)
    t.load()
    assert call(t, "look").value == b"2"


@pytest.mark.parametrize("how", CHEATS)
def test_nothing_but_folds_changes_the_state(tester, how):
    t = tester(account())
    call(t, "deposit", amount=5)
    before = fields(t)
    result = call(t, "cheat", how=how)
    assert result.code == "failed"
    assert {"no event": "no fold of Parcelled", "wrong event": "Expected `int`", "nan": "nan"}.get(
        how, "changed outside a fold"
    ) in result.detail
    assert fields(t) == before
    assert call(t, "deposit", amount=1).value == b"6"


def test_a_fold_sends_nothing(tester):
    @actor(name="a")
    class Loud(EventSourced):
        @handler("go")
        def go(self):
            self.apply(Parcelled())

        @event
        def parcelled(self, e: Parcelled):
            host.emit("x", 1)

    assert "sent something" in tester(Loud).call("go").detail


def test_an_init_handler_applies_events(tester):
    @actor(name="a", events=EventLog(fold=2))
    class Born(EventSourced):
        balance: int = state(default=0)

        @init_handler
        def begin(self):
            self.apply(Deposited(10))

        @handler("add")
        def add(self):
            self.apply(Deposited(1))

        @event
        def deposited(self, e: Deposited):
            self.balance += e.amount

    t = tester(Born)
    t.ok("add")
    assert t.instance.object.balance == 11
    assert t.disk.fields["@fold"] == b"2"


def reload(t, cls):
    """The code has changed, the state has not."""
    newer = Tester(cls)
    newer.disk, newer.seq = copy.deepcopy(t.disk), t.seq
    newer.load()
    return newer


def test_a_new_fold_makes_the_state_anew(tester):
    t = tester(account())
    for amount in (5, 7):
        call(t, "deposit", amount=amount, tags=["x"])
    call(t, "withdraw", amount=2, reason="tea")
    t = reload(t, account(EventLog(fold=2), factor=10))
    assert t.instance.object.balance == 10  # a read does not change it
    assert call(t, "deposit", amount=1).value == b"128"
    t.load()
    assert fields(t) == (128, ["x", "x"], {"tea": 2}, [5, 7, 1])
    t = reload(t, account())  # and back
    assert call(t, "deposit", amount=1).value == b"12"


def test_kept_events_are_bounded_where_it_is_asked_for(tester):
    t = tester(account(EventLog(keep=2)))
    for amount in (1, 2, 3):
        call(t, "deposit", amount=amount)
    assert [e["amount"] for e in json.loads(call(t, "history").value)] == [2, 3]
    assert sorted(key for field, key in t.disk.stored if field == "@events") == ["#", "1", "2"]
    t = reload(t, account(EventLog(fold=2)))
    result = call(t, "deposit", amount=1)
    assert (result.code, "first 1 events were not kept" in result.detail) == ("failed", True)
    assert call(reload(t, account()), "deposit", amount=1).value == b"7"


# Versions


@dataclass
class Moved:
    cents: int
    currency: str


def to_cents(old):
    return {"cents": old.pop("amount") * 100}


def with_currency(old):
    return {**old, "currency": "EUR"}


def mover(version, fold=1, upcasters=(to_cents, with_currency)):
    @dataclass
    class First:
        amount: int

    @dataclass
    class Second:
        cents: int

    hint = (First, Second, Moved)[version - 1]

    @actor(name="a", events=EventLog(fold=fold))
    class Mover(EventSourced):
        sums: dict[str, int] = state(default_factory=dict)

        @handler("move")
        def move(self, what: dict) -> None:
            self.apply(hint(**what))

        @handler("history", read_only=True)
        def history(self) -> list:
            return list(self.events())

        def moved(self, e):
            currency = getattr(e, "currency", "EUR")
            cents = getattr(e, "cents", 0) or getattr(e, "amount", 0) * 100
            self.sums[currency] = self.sums.get(currency, 0) + cents

        moved.__annotations__["e"] = hint
        moved = event(name="moved", version=version, upcasters=dict(enumerate(upcasters[: version - 1], 1)))(
            moved
        )

    return Mover


def test_old_events_are_upcast_step_by_step(tester):
    t = tester(mover(1))
    call(t, "move", what={"amount": 3})
    t = reload(t, mover(2))
    call(t, "move", what={"cents": 50})
    t = reload(t, mover(3))
    call(t, "move", what={"cents": 1, "currency": "SEK"})
    kept = [json.loads(t.disk.stored["@events", str(n)]) for n in range(3)]
    assert [(e["version"], e["data"]) for e in kept] == [
        (1, {"amount": 3}), (2, {"cents": 50}), (3, {"cents": 1, "currency": "SEK"}),
    ]  # fmt: skip
    newest = [{"cents": c, "currency": m} for c, m in ((300, "EUR"), (50, "EUR"), (1, "SEK"))]
    assert json.loads(t.ok("history").value) == newest
    t = reload(t, mover(3, fold=2))
    call(t, "move", what={"cents": 0, "currency": "SEK"})
    assert t.instance.object.sums == {"EUR": 350, "SEK": 1}


def test_what_cannot_be_read_any_more_is_told(tester):
    t = tester(mover(2))
    call(t, "move", what={"cents": 50})
    wrong = (to_cents, lambda old: {"cents": "no"})
    for cls, arguments, why in (
        (mover(1, fold=2), {"what": {"amount": 1}}, "version 2, newer than this code"),
        (mover(3, fold=2, upcasters=wrong), {"what": {"cents": 1, "currency": "x"}}, "raise the version"),
        (account(EventLog(fold=2)), {"amount": 1}, "an event 'moved', and no fold"),
    ):
        result = call(reload(t, cls), "move" if "what" in arguments else "deposit", **arguments)
        assert result.code == "failed"
        assert why in result.detail


def version(n, upcasters):
    return lambda: event(version=n, upcasters=upcasters)


@pytest.mark.parametrize(("build", "why"), [
    (version(2, {}), "an upcaster for each of the versions 1 to 1"),
    (version(3, {2: to_cents}), "has them for \\[2\\]"),
    (version(1, {1: to_cents}), "has them for \\[1\\]"),
    (lambda: event(name="a b"), "use letters"),
    (lambda: actor(type("X", (EventSourced,), {})), "has no fold"),
    (lambda: actor(type("X", (), {"f": event(lambda self, e: 0)})), "derive X from EventSourced"),
    (lambda: actor(type("X", (EventSourced,), {"f": event(lambda self, e: 0)})), "says its class"),
])  # fmt: skip
def test_what_is_refused_at_import(build, why):
    with pytest.raises(DeclarationError, match=why):
        build()


@pytest.mark.parametrize("wrong", [{"fold": 0}, {"keep": -1}, {"fold": 2, "keep": 5}])
def test_bounds_of_an_event_log(wrong):
    with pytest.raises(ValueError, match="EventLog"):
        EventLog(**wrong)


def test_an_event_sourced_actor_in_a_unit_test():
    a = account()()
    assert a.deposit(5) == 5
    assert list(a.events()) == [Deposited(5)]
    with pytest.raises(FoldError, match=r"Account\.balance is changed outside a fold"):
        a.balance = 3


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("deposit"), st.integers(1, 9)),
        st.tuples(st.just("withdraw"), st.integers(1, 9)),
        st.tuples(st.just("both"), st.sampled_from([1, 13])),
        st.just(("crash", 0)),
    ),
    max_size=25,
)


@given(MOVES, st.data())
def test_the_fold_of_the_events_is_the_state(moves, data):
    """Of all of them, and from any turn's state on of those that came after it."""
    t = Tester(account())
    turns = [(0, {}, {})]  # events so far, fields and entries after each turn
    for name, amount in moves:
        if name == "crash":
            t.load()
        elif not call(t, name, amount=amount).code:
            count = len(t.instance.object.__dict__["@events"])
            turns.append((count, dict(t.disk.fields), dict(t.disk.stored)))
    assert not call(t, "both", amount=1).code
    again = reload(t, account(EventLog(fold=2)))
    again.disk.fields["balance"] = b"4711"  # it is made anew, whatever it was
    assert not call(again, "both", amount=1).code
    turns_end = len(t.instance.object.__dict__["@events"])
    call(t, "both", amount=1)
    assert fields(again) == fields(t)
    # As of an earlier turn, as `state get --at` finds it, with the rest of the events.
    count, plain, entries = data.draw(st.sampled_from(turns))
    then = Tester(account())
    then.disk.fields.update(plain)
    then.disk.stored.update(entries)
    then.seq = 1
    then.load()
    for entry in [json.loads(t.disk.stored["@events", str(n)]) for n in range(count, turns_end)]:
        what = entry["data"]
        name = "deposit" if entry["event"] == "Deposited" else "withdraw"
        assert not call(then, name, **what).code
    call(then, "both", amount=1)
    assert fields(then) == fields(t)
