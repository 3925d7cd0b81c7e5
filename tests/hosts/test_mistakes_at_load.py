"""What is wrong in a declaration is told when the file is loaded: the thing, and what to write."""

import pytest

from plexstream import DeclarationWarning
from plexstream.hosts.load import load_actors
from plexstream.model.errors import ConfigError

HEAD = """import sys
from dataclasses import dataclass
from typing import Annotated
from plexstream import *

"""
X = "    @handler\n    def x(self, a: int = 0): ...\n"
EVENT = "@dataclass\nclass E:\n    c: complex\n"
FSM = "@fsm_actor(states=['a', 'b'], initial='a')\nclass A:\n"


def of_class(body):
    return f"@actor\nclass A:\n    {body}\n{X}"


def of_options(options):
    return f"@actor({options})\nclass A:\n    n: int = state(default=0)\n{X}"


MISTAKES = {
    # What the class is.
    "@actor('a')\nclass A:\n" + X: "put on 'a': write name='a'",
    "@actor\ndef f(): ...\n": "put on the function f: it belongs on a class",
    "actor(5)\n": "put on 5: it belongs on a class",
    "@fsm_actor(states=['a'], initial='a')\ndef f(): ...\n": "put on the function f: it belongs on a class",
    "@event_actor\ndef f(): ...\n": "put on the function f: it belongs on a class",
    "@actor\n@actor\nclass A:\n" + X: "A is an actor type already: one decorator",
    "@workflow\n@actor\nclass A:\n" + X: "A is an actor type already: one decorator",
    "@actor\nclass A(dict):\n" + X: "A can be no actor type: .*derive it from plain classes",
    "@actor\nclass A(Exception):\n" + X: "A can be no actor type: .*derive it from plain classes",
    "import abc\n@actor\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def y(self): ...\n" + X:
        "A can be no actor type: .*abstract method",
    # Its fields.
    of_class("n: int = state(default='x')"): "a.n: its default cannot be stored: 'x' is no int",
    of_class("n: int = state(0, default_factory=int)"): "default_factory=.*beside default",
    of_class("n: list = state(default_factory=5)"): "default_factory=5.*give a function, as in list",
    of_class("n: list = state(default_factory=lambda: 1 / 0)"):
        "a.n: its default_factory raised ZeroDivision",
    of_class("n: list[int] = state_map()"): r"A.n: state_map\(\) with the hint list.*state_list\(\)",
    of_class("n: dict[str, int] | None = state_map()"): r"A.n: state_map\(\) with the hint dict.*None",
    of_class("n: int = state_map()"): r"A.n: state_map\(\) with the hint int.*state\(…\)",
    of_class("n: dict[str, int] = state_list()"): r"A.n: state_list\(\) with the hint dict.*state_map\(\)",
    of_class("n: dict[bool, int] = state_map()"): r"A.n: the keys of a state_map are str, int, .* not bool",
    of_class("n: dict[tuple[int, list], int] = state_map()"): r"A.n: .* not tuple\[int, list\]",
    of_class("n: dict[tuple[int, ...], int] = state_map()"): r"A.n: .* not tuple\[int, \.\.\.\]",
    of_class("n = state_map(bytes, int)"): r"A.n: the keys of a state_map are str, int, .* not bytes",
    of_class("n: dict[int, int] = state_map(int, str)"):
        r"A.n: state_map\(int, str\) with the hint dict\[int, int\]: let both say the same",
    of_class("n = state_map(int)"): r"state_map\(<class 'int'>\): give the types of keys and of values",
    of_class("n: dict = state_map(default={})"): r"state_map\(default=…\): it takes nothing",
    of_class("n: list = state_list(was='m')"):
        r"state_list\(was='m'\): only plain fields are renamed.*Declare 'm' beside it",
    of_class("n: dict = state_map(was='m')"): r"state_map\(was='m'\): .*let a handler move",
    of_class("n: list = state_list(size=5)"): r"state_list\(size=…\): .*keeps the name of its field",
    of_class("@cron('0 3 * * *', tz='localtime')\n    @handler\n    def y(self): ..."):
        "same on every machine",
    of_class("n: int = state"): r"A.n is the function state: write n = state\(\)",
    of_class("n: dict = state_map"): r"write n = state_map\(\)",
    of_class("x: int = state(default=0)"): "A.x is annotated like a field, and is the method x",
    of_class("n: int = state(default=0, was=5)"): r"state\(was=5\): give the name that the field had",
    of_class("n: int = state(was='m')\n    k: int = state(was='m')"): "A.k: was='m', and so was n",
    "class P:\n    n: int = state(default=0)\n@actor\nclass A(P):\n    n = 5\n" + X:
        r"A.n takes the place of a field of that name: write n = state\(…\)",
    # Its methods.
    of_class("@handler('p')\n    @handler('q')\n    def y(self): ..."):
        r"y has two decorators.*@handler\('a', 'b'\)",
    of_class("@on_activate\n    @handler\n    def y(self): ..."): "y has two decorators",
    of_class("@migrate\n    def up(self): ..."):
        r"A.up, a hook, is called with stored: write def up\(self, stored: dict\)",
    of_class("@init_handler\n    def up(self, a, b): ..."):
        r"A.up, a hook, is called with config: write def up\(self, config: dict\)",
    of_class("@on_activate\n    def up(self, a): ..."):
        r"A.up, a hook, is called with no arguments: write def up\(self\)",
    of_class("@on_deactivate\n    def up(self, a): ..."):
        r"A.up, a hook, is called with no arguments: write def up\(self\)",
    of_class("@on_crash\n    def up(self): ..."):
        r"A.up, a hook, is called with reason: write def up\(self, reason: str\)",
    of_class("@handler('__exit__')\n    def y(self): ..."):
        r"A.__exit__ is called with address, reason: .*def y\(",
    of_class("@handler('__down__')\n    def y(self, address): ..."):
        "A.__down__ is called with address, ref, reason",
    of_class("@handler('__stop__')\n    def y(self, a): ..."):
        r"A.__stop__ is called with reason: write def y\(self, r",
    of_class("@handler('__alarm__')\n    def y(self, a): ..."): "A.__alarm__ is called with no arguments",
    of_class("@cron('* * * * *')\n    @handler\n    def y(self, a): ..."):
        "A.y, by @cron, is called with no arguments",
    of_class("@cron\n    @handler\n    def y(self): ..."): r"@cron was given .*write @cron\('0 3 \* \* \*'\)",
    of_class("@handler\n    def y(amount: int): ..."): r"A.y takes no self: write def y\(self, amount, …\)",
    of_class("@handler\n    def y(self, a: int = 'x'): ..."):
        "a.y: the default of a is not what its hint says: 'x' is no int",
    of_class("@handler\n    def y(self, a: list[int] = ['x']): ..."):
        "a.y: the default of a .*Expected `int`",
    of_class("@handler(read_only='no')\n    def y(self): ..."):
        "handler: read_only='no': write read_only=True",
    of_class("@handler(shared=1)\n    def y(self): ..."): "handler: shared=1: write shared=True",
    # Its options.
    of_options("facets=[5]"): r"A: facets=\[5\]: give a list of names",
    of_options("facets='timer'"): "A: facets='timer': give a list of names",
    of_options("idle_timeout=float('inf')"): "A: idle_timeout=inf: give a number of seconds from 0",
    of_options("idle_timeout=1e300"): "A: idle_timeout=1e.300: give a number of seconds",
    of_options("state_ttl=True"): "A: state_ttl=True: give a number of seconds",
    of_options("max_active=0"): "A: max_active=0: give a whole number from 1",
    of_options("max_active=2.5"): "A: max_active=2.5: give a whole number",
    of_options("max_state=float('inf')"): "A: max_state=inf: give a whole number",
    of_options("snapshots=5"): r"A: snapshots=5 is none: write snapshots=Snapshots\(…\)",
    of_options("snapshots=Snapshots(turns=-1)"): "A: snapshots.turns=-1: give a whole number",
    of_options("snapshots=Snapshots(seconds='x')"): "A: snapshots.seconds='x': give a number of seconds",
    of_options("events=5"): r"A: events=5 is none: write events=EventLog\(…\)",
    # Subscriptions.
    "@subscribe('t', handler='x', into='z')\n" + of_class(""):
        "into='z'.*A.x has no such parameter; it has a",
    "@subscribe('', handler='x')\n" + of_class(""): "@subscribe.*no name of a topic: use letters",
    "@subscribe(5, handler='x')\n" + of_class(""): r"@subscribe\(5, …\): no name of a topic",
    "@subscribe('t', handler='x', key=5)\n" + of_class(""): "key=5: give the name of a field, or a function",
    # Machines.
    "@fsm_actor\nclass A:\n" + X: r"write @fsm_actor\(states=",
    "@fsm_actor(states=['a'])\nclass A:\n" + X: r"write @fsm_actor\(states=",
    "@fsm_actor(states='abc', initial='a')\nclass A:\n" + X: "states='abc': give a list",
    "@fsm_actor(states=['a', 1], initial='a')\nclass A:\n" + X: "states has 1: give names, as texts",
    "@fsm_actor(states=['a'], initial='a', transitions=['a'])\nclass A:\n" + X:
        "transitions=.*: give a dict, as in",
    "@fsm_actor(states=['a', 'b'], initial='a', transitions={'a': 'b'})\nclass A:\n" + X:
        r"transitions\['a'\]='b': give a list",
    FSM + "    @handler('y', states='a')\n    def y(self): ...\n":
        r"states='a': give a list, as in states=\['a'\]",
    FSM + "    @state_timeout('a', after='5')\n    def t(self): ...\n" + X: "A.t: after='5': give seconds",
    FSM + "    @state_enter\n    def t(self): ...\n" + X: "state_enter: states has .*: give names",
    FSM + "    fsm_state: str = state('a')\n" + X: "A.fsm_state is a field of its own.*leave fsm_state out",
    FSM + "    @state_timeout('b')\n    def t(self): ...\n" + X:
        r"'after': write state_timeout\(state, \*, after\)",
    FSM + "    @event_timeout('b', 5)\n    def t(self): ...\n" + X:
        r"write event_timeout\(state, \*, after\)",
    # What else is called with what it does not take.
    of_class("") + "Child('a', shutdown=5)\n":
        r"Child\(\) got .*'shutdown': did you mean shutdown_timeout_seconds\? write Child\(id, type=",
    of_class("") + "Child()\n": r"Child\(\) missing.*write Child\(id, type=",
    of_class("") + "Supervisor(Child('a', 'b'))\n": r"children = Child.*: give a list of Child\(…\)",
    of_class("") + "Supervisor([5])\n": r"children = \[5\]: give a list of Child\(…\)",
    of_class("") + "Supervisor(childs=[])\n": r"did you mean children\? write Supervisor\(children=…",
    of_options("retry=Retry(attempt=5)"): r"did you mean attempts\? write Retry\(attempts=…",
    of_options("snapshots=Snapshots(turn=5)"): r"did you mean turns\? write Snapshots\(turns=…",
    of_options("events=EventLog(folds=5)"): r"did you mean fold\? write EventLog\(fold=…",
    "@subscribe('t', handlers='x')\n" + of_class(""):
        r"did you mean handler\? write subscribe\(topic, \*, ha",
    of_class("@cron()\n    @handler\n    def y(self): ..."): r"write cron\(expression, \*, tz=…",
    of_class("@event(versions=2)\n    def e(self, e: int): ..."):
        "event has no option 'versions': did you mean version",
    of_class("n: int | complex = state()"): "a.n: .*unions.*: write one type, Any, or tagged classes",
    of_class("n: complex = state()"): "a.n: .*complex.*: use a dataclass, .*a type that JSON has",
    of_class("n: 'Nope' = state()"): "A: its type hints .*'Nope' is not defined: import what they name",
    of_class("n: list[int] = state(default_factory=lambda: ['x'])"): r"a.n: its default .*; it is \['x'\]",
    # What is read back elsewhere than in fields and arguments.
    "@event_actor(handlers=[5])\nclass A: ...\n": "handlers has 5, which is no class of event handlers",
    "class B:\n    @handler\n    def x(self): ...\n@event_actor(handlers=B)\nclass A: ...\n":
        "handlers=.*: give a list",
    "class B:\n    c: complex = state()\n@event_actor(handlers=[B])\nclass A: ...\n":
        "B.c: its type hint cannot be",
    "class B:\n    @handler\n    def x(self, n: complex): ...\n@event_actor(handlers=[B])\nclass A: ...\n":
        "B.x: its type hint cannot be stored",
    "class E: ...\n@actor\nclass A(EventSourced):\n    @event\n    def e(self, e: E): ...\n" + X:
        "A.e: its type hint cannot be stored: nothing is read back as",
    EVENT + "@actor\nclass A(EventSourced):\n    @event\n    def e(self, e: E): ...\n" + X:
        "A.e: its type hint cannot be stored",
    "@actor\nclass A(EventSourced):\n    @event\n    def e(self, e: 'Nope'): ...\n" + X:
        "A.e: its type hints .*'Nope'",
    # The file.
    "sys.exit(0)\n": r":6: importing it ended the process.*__name__ == '__main__'",
}  # fmt: skip

SUSPECT = {
    of_class("n = 0\n    @handler\n    def y(self): self.n += 1"):
        r"A.n is a plain class attribute.*state\(default=0\)",
    of_class("n = 0\n    @handler\n    def y(self, m: int): self.n = m"): r"A.n is a plain class attribute",
    of_class("items = []"): r"A.items is a plain class attribute.*default_factory=lambda: \[\]",
    f"@actor\nclass A:\n{X}@actor\nclass A:\n{X}": "A takes the place of the one in line 7, which is lost",
    f"@actor\nclass A:\n{X}{X}": r"A.x takes the place of the one in line 9.*another name",
}  # fmt: skip
FINE = [
    of_class("n: dict = state_map()"),
    of_class("n: dict[str, list[int]] = state_map()"),
    of_class("m: StateMap[int] = state_map()\n    k = state_map()"),
    of_class("n: object = state_map()\n    m: Annotated[dict[str, int], 'x'] = state_map()"),
    of_class("n: StateList = state_list()\n    m: list[dict] = state_list()"),
    of_class("n: str | None = state()\n    m: int = state(default=None)"),
    of_class("@handler\n    def y(self, a: int = None, b: float = 1, c: list = []): ..."),
    of_class("@handler\n    def y(self: 'A', a=object()): ..."),
    "import enum\nclass S(str, enum.Enum):\n    a='a'\n    b='b'\n@fsm_actor(states=S, initial=S.a, "
    "transitions={S.a: [S.b]})\nclass A:\n    @state_timeout(S.a, after=1)\n    def t(self): ...\n"
    "    @state_enter(S.b)\n    def e(self): ...\n" + X,
    of_class("@init_handler()\n    def up(self): ..."),
    of_class("@init_handler\n    def up(self, config=None): ..."),
    of_class("@handler('__exit__')\n    def y(self, **rest): ..."),
    of_class("@handler('__down__')\n    def y(self, reason, address, ref, more=1): ..."),
    of_class("@cron('* * * * *')\n    @handler\n    def y(self, a=1): ..."),
    of_class("table = {'a': 1}\n    names = ()\n    kind = 'x'"),
    of_class("n = 5\n    @handler\n    def y(self, a=1): other = self; a.n = 3; return self.n"),
    of_class("key: object = lambda value: value"),
    of_class("@property\n    def p(self): ...\n    @p.setter\n    def p(self, v): ..."),
    of_options("idle_timeout=0, state_ttl=86400.5, max_active=1"),
    "@subscribe('t', handler='x', into='a')\n" + of_class(""),
    FSM + X,
]


def load(tmp_path, code, **options):
    file = tmp_path / "app.py"
    file.write_text(HEAD + code)
    return load_actors(file, **options)


@pytest.mark.filterwarnings("ignore::plexstream.DeclarationWarning")
@pytest.mark.parametrize("code", MISTAKES)
def test_it_is_told(tmp_path, code):
    with pytest.raises(ConfigError, match=MISTAKES[code]):
        load(tmp_path, code)


@pytest.mark.parametrize("code", SUSPECT)
def test_what_is_most_often_a_mistake_is_warned_of(tmp_path, code):
    with pytest.warns(DeclarationWarning, match=SUSPECT[code]) as told:
        load(tmp_path, code)
    assert told[0].filename == str(tmp_path / "app.py")
    with pytest.raises(ConfigError, match=SUSPECT[code]):
        load(tmp_path, code, strict=True)


@pytest.mark.parametrize("code", FINE)
def test_what_is_right_is_taken(tmp_path, code):
    assert load(tmp_path, code, strict=True).types


def test_what_is_annotated_holds_entries_of_its_kind(tmp_path, tester):
    annotated = "n: Annotated[dict[str, int], 'x'] = state_map()"
    put = "@handler\n    def put(self, v=1):\n        self.n['k'] = v"
    t = tester(load(tmp_path, of_class(f"{annotated}\n    {put}")).types["a"].cls)
    t.ok("put")
    assert "got an entry that cannot be stored" in t.call("put", b'{"v": {"a": 1}}').detail
