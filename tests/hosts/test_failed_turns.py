"""A turn takes effect as a whole or not at all: whatever its handler does wrong, nothing is left of it."""

import asyncio
import json
import logging
import sys
import threading

import pytest

from plexstream import (
    Reject,
    StateMap,
    actor,
    handler,
    host,
    state,
    state_list,
    state_map,
)
from plexstream.hosts.native.host import MAX_MESSAGE, MAX_TURN
from plexstream.model.errors import TooLarge
from plexstream.sdk.running.current import current

MODES = {}


def mode(function):
    MODES[function.__name__] = function
    return function


class Unreadable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@mode
def error(a):
    raise ValueError("no")


@mode
def surrogate(a):
    raise ValueError("\ud800")


@mode
def unreadable(a):
    raise Unreadable


@mode
def reject(a):
    raise Reject("no")


@mode
def too_large_error(a):
    raise TooLarge("no")


@mode
def exits(a):
    sys.exit(3)


@mode
def cancelled(a):
    raise asyncio.CancelledError


@mode
def recursion(a):
    return recursion(a)


@mode
def bad_result(a):
    return object()


@mode
def nan_result(a):
    return {"x": float("nan")}


@mode
def large_result(a):
    return "x" * MAX_MESSAGE


@mode
def bad_field(a):
    a.n = "1"


@mode
def bool_field(a):
    a.n = True


@mode
def deleted_field(a):
    del a.n


@mode
def nan_field(a):
    a.any = [float("inf")]


@mode
def deep_field(a):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    a.any = deep


@mode
def surrogate_field(a):
    a.any = "\ud800"


@mode
def large_field(a):
    a.any = "x" * 2_000_000


@mode
def bad_entry(a):
    a.map["k"] = [object()]


@mode
def wrong_entry(a):
    a.map["k"] = "text"


@mode
def wrong_item(a):
    a.texts.append(1)


@mode
def surrogate_key(a):
    a.map["\ud800"] = []


@mode
def long_key(a):
    a.map["é" * 600] = []


@mode
def replaced_map(a):
    a.map = {}


@mode
def large_entry(a):
    a.map["k"] = ["x" * 2_000_000]


@mode
def large_patch(a):
    for i in range(5):
        a.map[str(i)] = ["x" * 1_000_000]


@mode
def many_entries(a):
    for i in range(400_000):
        a.map[str(i)] = []


@mode
def large_message(a):
    host.tell("b/1", "h", x="x" * MAX_MESSAGE)


@mode
def many_messages(a):
    while True:
        host.tell("b/1", "h")


@mode
def many_cancels(a):
    while True:
        host.cancel("1.1")


@mode
def patch_and_messages(a):
    a.any = "x" * 1_000_000
    for _ in range(MAX_TURN // 1_000_000):
        host.tell("b/1", "h", x="x" * 900_000)


@mode
def bad_target(a):
    host.tell("no address", "h")


@mode
def bad_handler_name(a):
    host.tell("b/1", 5)


@mode
def surrogate_payload(a):
    host.tell("b/1", "h", x="\ud800")


@mode
def nan_payload(a):
    host.emit("x", float("nan"))


@mode
def bad_delay(a):
    host.send_after(float("nan"), "h")


@mode
def bad_timer(a):
    host.cancel("no timer")


CODES = {name: "too_large" for name in MODES if name.startswith(("large", "many", "too_large", "patch"))}
CODES["reject"] = "rejected"


@actor(name="a")
class Victim:
    n: int = state(default=0)
    any: object = state(default=None)
    items: list[int] = state(default_factory=list)
    map: StateMap[list] = state_map()
    texts: list[str] = state_list()

    @handler("change")
    def change(self, mode: str = "") -> object:
        self.n += 1
        self.any = {"n": self.n}
        self.items.append(self.n)
        self.map.setdefault("all", []).append(self.n)
        self.map[str(self.n)] = [self.n]
        self.texts.append(str(self.n))
        host.emit("out", self.n)
        return MODES[mode](self) if mode else None

    @handler("see", read_only=True)
    def see(self) -> object:
        return [self.n, self.any, self.items, dict(self.map), list(self.texts)]


@pytest.mark.parametrize("name", sorted(MODES))
def test_a_failed_turn_changes_nothing(tester, name, caplog):
    caplog.set_level(logging.CRITICAL)
    t = tester(Victim)
    t.ok("change")
    before = t.ok("see").value
    disk = (dict(t.disk.fields), dict(t.disk.stored))
    result = t.call("change", json.dumps({"mode": name}).encode())
    assert result.code == CODES.get(name, "failed")
    assert result.detail
    result.detail.encode()
    assert len(result.detail) <= 2000
    assert not result.patch
    assert not result.outs
    assert current.turn is None
    assert t.ok("see").value == before
    assert (t.disk.fields, t.disk.stored) == disk
    t.ok("change")
    t.load()
    assert json.loads(t.ok("see").value) == [
        2,
        {"n": 2},
        [1, 2],
        {"1": [1], "2": [2], "all": [1, 2]},
        ["1", "2"],
    ]


def test_ctrl_c_is_not_the_handlers(tester):
    @actor(name="a")
    class Interrupted:
        n: int = state(default=0)

        @handler("h")
        def h(self):
            self.n = 5
            raise KeyboardInterrupt

    t = tester(Interrupted)
    with pytest.raises(KeyboardInterrupt):
        t.call("h")
    assert t.instance.object.n == 0
    results = []
    thread = threading.Thread(target=lambda: results.append(t.call("h")))  # where no signal arrives
    thread.start()
    thread.join()
    assert results[0].code == "failed"
