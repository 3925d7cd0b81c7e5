"""Operations that change an actor's state, and those that end its handler.

What one does to a durable collection is what it does to one of Python's: the model is Python.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, MutableMapping, MutableSequence
from typing import Any

from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.testing.programs.operations.kinds import Kind, Me, Play, Scope, kind, nothing
from plexstream.testing.programs.outside import outside
from plexstream.testing.programs.program import Op

Map = MutableMapping[str, Any]
List = MutableSequence[Any]
_KEYS = ("a", "b", "c", "#", "0", "-1", "é", "")
_LARGE = "x" * 9_001


def _append(m: Map, key: str, value: Any) -> None:
    found = m.setdefault(key, [])
    if isinstance(found, list):
        found.append(value)


def _reach_in(items: List, at: int) -> None:
    if isinstance(items[at], list):
        items[at].append(1)


def _swap(items: List, a: int, b: int) -> None:
    items[a], items[b] = items[b], items[a]


MAPS: dict[str, Callable[..., Any]] = {
    "set": lambda m, key, value: m.__setitem__(key, value),
    "del": lambda m, key: m.__delitem__(key),
    "get": lambda m, key: m.get(key),
    "append": _append,
    "length": lambda m: len(m),
    "keys": lambda m: sorted(m),
    "items": lambda m: sorted(m.items(), key=lambda item: item[0]),
    "pop": lambda m, key: m.pop(key, "no"),
    "clear": lambda m: m.clear(),
    "update": lambda m, key, value: m.update({key: [1], "z": value}),
}
LISTS: dict[str, Callable[..., Any]] = {
    "push": lambda s, value: s.append(value),
    "insert": lambda s, at, value: s.insert(at, value),
    "delete": lambda s, at: s.__delitem__(at),
    "take": lambda s, at: s.pop(at),
    "look": lambda s, at: s[at],
    "put": lambda s, at, value: s.__setitem__(at, value),
    "slice": lambda s, a, b, by: list(s[a:b:by]),
    "within": _reach_in,
    "reverse": lambda s: s.reverse(),
    "extend": lambda s, value: s.extend([value, copy.deepcopy(value)]),
    "remove": lambda s, value: s.remove(value),
    "index": lambda s, value: s.index(value),
    "count": lambda s, value: s.count(value),
    "has": lambda s, value: value in s,
    "empty": lambda s: s.clear() if len(s) > 8 else None,
    "all of": lambda s: list(s),
    "swap": _swap,
    "backwards": lambda s: list(reversed(s)),
}


def apply(what: Op, m: Map, items: List) -> Any:
    """Do one thing to a map or a list; returns what it came to, be it an error's name."""
    name, *arguments = copy.deepcopy(what)
    try:
        found = MAPS[name](m, *arguments) if name in MAPS else LISTS[name](items, *arguments)
    except (KeyError, IndexError, ValueError) as error:
        return type(error).__name__
    return copy.deepcopy(found)


def _value(scope: Scope) -> Any:
    random = scope.random
    large = _LARGE if random.random() < 0.2 else "b"
    return random.choice((random.randint(0, 3), "s", [1], [], [[2]], {"a": [1]}, None, True, 1.5, large))


def _place(scope: Scope) -> Any:
    return scope.random.randint(-4, 5)


def _one(scope: Scope) -> Op:
    """Make up one thing to do to a collection."""
    random = scope.random
    if random.random() < 0.4:
        name = random.choice(list(MAPS))
        if name in ("set", "append", "update"):
            return [name, random.choice(_KEYS), _value(scope)]
        return [name] if name in ("length", "keys", "items", "clear") else [name, random.choice(_KEYS)]
    name = random.choice(("push", "push", *LISTS))
    if name in ("push", "extend", "remove", "index", "count", "has"):
        return [name, _value(scope)]
    if name in ("insert", "put"):
        return [name, _place(scope), _value(scope)]
    if name in ("delete", "take", "look", "within"):
        return [name, _place(scope)]
    if name == "swap":
        return [name, _place(scope), _place(scope)]
    if name == "slice":
        ends = [random.choice((None, _place(scope))) for _ in range(2)]
        return [name, *ends, random.choice((None, 1, 2, -1, -2))]
    return [name]


@kind
class Change(Kind):
    """``[change, things]``: something is done to the actor's collections."""

    name = "change"

    def draw(self, scope: Scope) -> Op:
        return ["change", [_one(scope) for _ in range(scope.random.randint(1, 5))]]

    def play(self, me: Me, op: Op) -> Play:
        actor = me.actor
        came = [apply(what, actor.m, actor.items) for what in op[1]]
        actor.log.append(["did", "", me.sid, me.at, came])
        return nothing()


@kind
class Add(Kind):
    """``[add]``: one is added to the actor's number."""

    name = "add"

    def play(self, me: Me, op: Op) -> Play:
        me.actor.n += 1
        me.actor.log.append(["did", "", me.sid, me.at, me.actor.n])
        return nothing()


@kind
class Fail(Kind):
    """``[fail, times]``: the handler raises, some times, and is tried again."""

    name = "fail"

    def draw(self, scope: Scope) -> Op:
        return ["fail", scope.random.choice((0, 1, 2))]

    def play(self, me: Me, op: Op) -> Play:
        if outside.fails(f"{me.key()} fails", op[1]):
            raise RuntimeError("as the script says")
        return nothing()


@kind
class Renew(Kind):
    """``[renew, sid, ops]``: the workflow goes on as new, with another script."""

    name = "renew"
    last = True

    def draw(self, scope: Scope) -> Op | None:
        return None  # at the end of a script alone

    def play(self, me: Me, op: Op) -> Play:
        host.continue_as_new(sid=op[1], ops=op[2])


@kind
class Refuse(Kind):
    """``[refuse]``: the handler refuses, and all that it changed is as before."""

    name = "refuse"

    def draw(self, scope: Scope) -> Op | None:
        return ["refuse"] if scope.random.random() < 0.3 else None

    def play(self, me: Me, op: Op) -> Play:
        raise Reject("as the script says")
