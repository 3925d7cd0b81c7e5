"""Calls of `host` that cannot be meant: the message names them, and the turn is rolled back."""

from __future__ import annotations

import logging

import pytest

from plexstream import actor, handler, host, state


@actor
class Careless:
    n: int = state(default=0)

    @handler("both")
    async def both(self, how: str) -> None:
        self.n += 1
        {
            "tell": lambda: host.tell("a/1", "b", {"x": 1}, y=2),
            "send": lambda: host.send("a/1", "b", {"x": 1}, y=2),
            "send_after": lambda: host.send_after(1, "b", {"x": 1}, y=2),
            "ask": lambda: host.ask("a/1", "b", {"x": 1}, y=2),
            "remind": lambda: host.remind("r", "b", {"x": 1}, every=5, y=2),
            "timer": lambda: host.timer("t", "b", {"x": 1}, every=5, y=2),
            "continue_as_new": lambda: host.continue_as_new({"x": 1}, y=2),
        }[how]()

    @handler("log")
    def log(self, level: str) -> None:
        self.n += 1
        host.log("said", level)

    @handler("words")
    def words(self) -> str:
        host.debug("d", n=1)
        host.info("i", n=2)
        host.warn("w", n=3)
        host.error("e", n=4)
        return host.get_actor_id()


@pytest.mark.parametrize("how", ["tell", "send", "send_after", "ask", "remind", "timer", "continue_as_new"])
def test_arguments_given_both_ways(tester, how):
    t = tester(Careless)
    result = t.call("both", f'{{"how": "{how}"}}'.encode())
    assert result.code == "failed"
    assert "give the arguments as one dict or by name, not both (y)" in result.detail
    assert t.instance.object.n == 0


def test_a_level_that_is_none(tester):
    result = tester(Careless).call("log", b'{"level": "hello"}')
    assert "host.log(…, level='hello'): there are debug, info, warn, warning, error" in result.detail
    assert tester(Careless).ok("log", b'{"level": "warning"}')


def test_a_word_for_each_level(tester, caplog):
    with caplog.at_level(logging.DEBUG, logger="plexstream.actor"):
        tester(Careless).ok("words")
    said = [(r.levelname, r.getMessage().partition(": ")[2]) for r in caplog.records]
    assert said == [("DEBUG", "d n=1"), ("INFO", "i n=2"), ("WARNING", "w n=3"), ("ERROR", "e n=4")]
