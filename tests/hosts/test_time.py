"""host.alarm, host.remind, host.timer and @cron in a turn: what they send, show and refuse."""

import json
from datetime import UTC, datetime

import pytest

from plexstream import actor, cron, handler, host, state
from plexstream.hosts.native import NativeHost
from plexstream.model.journal.journal import OutKind
from plexstream.sdk.errors import DeclarationError, OutsideHandler
from plexstream.sdk.host.time import Reminder

NOW = 1_800_000_000_000


@actor(name="a")
class A:
    seen: list = state(default_factory=list)

    @handler("do")
    def do(self, code: str) -> object:
        return eval(code, {"host": host, "datetime": datetime, "UTC": UTC})

    @handler("on")
    def on(self, n: int = 0) -> None: ...

    @handler("__alarm__")
    def alarm(self) -> None: ...

    @handler("look", read_only=True)
    def look(self, code: str) -> object:
        return eval(code, {"host": host})


@pytest.fixture
def do(tester):
    t = tester(A)

    def run(code, handler="do"):
        return t.call(handler, json.dumps({"code": code}).encode(), now=NOW)

    return run


def value(result):
    assert not result.code, result.detail
    return json.loads(result.value)


def test_the_alarm_is_one(do):
    assert value(do("host.alarm.get()")) is None
    assert value(do("[host.alarm.set(5), host.alarm.set_in(2.5), host.alarm.get()]"))[2] == NOW + 2500
    assert value(do("host.alarm.get()", "look")) == NOW + 2500
    assert value(do("[host.alarm.delete(), host.alarm.get()]"))[1] is None
    assert not do("host.alarm.delete()").outs  # there is none
    result = do("host.alarm.set(datetime(2030, 1, 1, tzinfo=UTC))")
    (out,) = result.outs
    assert (out.id, out.handler, out.due, out.note) == ("$alarm", "__alarm__", 1_893_456_000_000, "")


def test_the_one_that_fires_is_over(tester):
    t = tester(A)
    code = json.dumps({"code": "[host.alarm.get(), sorted(host.reminders())]"}).encode()
    setting = "[host.alarm.set(5), host.remind('x', 'do', at=5), host.remind('y', 'do', every=1)]"
    t.ok("do", json.dumps({"code": setting}).encode())

    def seen(firing):
        sender = t.instance.address
        return json.loads(t.host.invoke(t.instance, "do", code, 2, 9, sender, firing, False).value)

    assert seen("m") == [5, ["x", "y"]]
    assert seen("$alarm") == [None, ["x", "y"]]
    assert seen("$remind/x") == [5, ["y"]]
    assert seen("$remind/y") == [5, ["x", "y"]]


def test_reminders_are_known_by_name(do):
    value(do("host.remind('b', 'on', every=60, n=1)"))
    value(do("host.remind('a', 'on', {'n': 2}, cron='0 3 * * *', tz='Europe/Berlin', misfire='all')"))
    value(do("host.remind('c', 'on', at=NOW)".replace("NOW", str(NOW))))
    found = {name: Reminder(*r) for name, r in value(do("host.reminders()", "look")).items()}
    assert list(found) == ["a", "b", "c"]
    assert found["a"] == ("a", "on", found["a"].due, {"n": 2}, 0, "0 3 * * *", "Europe/Berlin", "all")
    assert found["b"] == ("b", "on", NOW + 60_000, {"n": 1}, 60, "", "UTC", "once")
    assert found["c"][2:5] == (NOW, {}, 0)
    again = do("[host.remind('b', 'on', every=1), host.forget('c'), sorted(host.reminders())]")
    assert value(again)[2] == ["a", "b"]
    assert value(do("host.reminders()['b'].due")) == NOW + 1000
    assert not do("host.forget('nobody')").outs


def test_a_timer_in_memory_is_no_part_of_the_journal(do):
    (out,) = do("host.timer('t', 'on', every=0.5, n=3)").outs
    assert (out.kind, out.id, out.handler, out.payload, out.due) == (OutKind.TICK, "t", "on", b'{"n":3}', 500)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("host.remind('x', 'on')", "give one of every=SECONDS, at=TIME, cron=EXPRESSION"),
        ("host.remind('x', 'on', every=1, at=2)", "give one of"),
        ("host.remind('x', 'no', every=1)", "no handler 'no'; it has __alarm__, do, look, on"),
        ("host.remind('x', 'look', every=1)", "'look' is read_only"),
        ("host.remind('', 'on', every=1)", "'' is no name"),
        ("host.remind('a\\0b', 'on', every=1)", "is no name"),
        ("host.remind('x' * 129, 'on', every=1)", "1 to 128 printable"),
        ("host.remind(3, 'on', every=1)", "3 is no name"),
        ("host.remind('x', 'on', every=0)", "every is 0 s: from 0.1"),
        ("host.remind('x', 'on', every=-5)", "-5 is no number of seconds"),
        ("host.remind('x', 'on', every='5')", "'5' is no number of seconds"),
        ("host.remind('x', 'on', every=float('nan'))", "nan is no number of seconds"),
        ("host.remind('x', 'on', every=True)", "True is no number of seconds"),
        ("host.remind('x', 'on', at=datetime(2030, 1, 1))", "has no time zone"),
        ("host.remind('x', 'on', at=1.5)", "1.5 is no time"),
        ("host.remind('x', 'on', cron='0 25 * * *')", "the hour '25' is wrong"),
        ("host.remind('x', 'on', cron='')", "cron is ''"),
        ("host.remind('x', 'on', cron='* * * * *', tz=None)", "tz None is no time zone"),
        ("host.remind('x', 'on', cron='* * * * *', tz='Mars')", "'Mars' is no time zone"),
        ("host.remind('x', 'on', cron='* * * * *', misfire=1)", "misfire is 1: write one of"),
        ("host.remind('x', 'on', [1], every=1)", "arguments are a dict"),
        ("host.alarm.set(-1)", "-1 is no time"),
        ("host.timer('x', 'no', every=1)", "no handler 'no'"),
        ("host.timer('x', 'on', every=0.01)", "from 0.1"),
    ],
)
def test_refused(do, code, said):
    result = do(code)
    assert result.code == "failed"
    assert said in result.detail


def test_without_the_handler_of_the_alarm(tester):
    @actor(name="b")
    class B:
        @handler("set")
        def set(self) -> None:
            host.alarm.set_in(1)

    result = tester(B).call("set")
    assert 'add @handler("__alarm__")' in result.detail


def test_outside_a_handler():
    with pytest.raises(OutsideHandler, match=r"host.alarm.set_in was called outside"):
        host.alarm.set_in(1)


def declared(decorators):
    def method(self, n=0): ...

    for decorator in reversed(decorators):
        method = decorator(method)
    cls = actor(name="c")(type("C", (), {"method": method}))
    return NativeHost({"c": cls.__plexstream__}).type_info("c").crons


def test_cron_is_declared():
    (found,) = declared([cron("0 3 * * mon", tz="Europe/Berlin"), handler("h")])
    assert found.handler == "h"
    assert json.loads(found.schedule) == {"cron": "0 3 * * mon", "tz": "Europe/Berlin"}
    assert declared([handler("h"), cron("@daily", misfire="skip")])
    assert not declared([handler("h")])


@pytest.mark.parametrize(
    ("decorators", "said"),
    [
        (lambda: [cron("0 3 * * mno"), handler("h")], "C.method: @cron.* the day-of-week 'mno' is wrong"),
        (lambda: [cron("* * * * *", tz="Berlin"), handler("h")], "tz 'Berlin' is no time zone"),
        (lambda: [cron("* * * * *", misfire="x"), handler("h")], "misfire is 'x'"),
        (lambda: [cron("* * * * *")], "no handler: add @handler"),
        (lambda: [cron("* * * * *"), handler("h", read_only=True)], "read_only"),
        (lambda: [cron("* * * * *"), cron("* * * * *"), handler("h")], "has one already"),
    ],
)
def test_cron_declared_wrongly(decorators, said):
    with pytest.raises(DeclarationError, match=said):
        declared(decorators())
