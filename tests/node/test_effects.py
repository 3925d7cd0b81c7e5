"""Effects run off the worker's thread; their ends reach it, all and soon."""

from __future__ import annotations

import threading

import pytest

from plexstream.model.host import EffectResult
from plexstream.node.effects import Effects
from plexstream.processor import EffectCall

MANY = 3_000
GIVE_UP_S = 20.0


class Wakes:
    """A worker that looks only when it is woken."""

    def __init__(self) -> None:
        self.woken = threading.Event()
        self.count = 0

    def __call__(self) -> None:
        self.count += 1
        self.woken.set()


class Effect:
    """Ends at once, or when it is let go."""

    def __init__(self, is_async: bool = False, gate: threading.Event | None = None) -> None:
        self.is_async = is_async
        self.gate = gate

    def run(self) -> EffectResult:
        if self.gate is not None:
            self.gate.wait(GIVE_UP_S)
        return EffectResult(False, b"1")

    async def run_async(self) -> EffectResult:
        return EffectResult(False, b"1")


def call(number: int, effect: Effect) -> EffectCall:
    return EffectCall("default/default/a/b", 1, number, effect)


@pytest.mark.parametrize("is_async", [False, True])
def test_no_end_goes_unnoticed_by_a_worker_that_looks_only_when_woken(is_async):
    wakes = Wakes()
    effects = Effects(8, wakes)
    seen: list[int] = []
    for number in range(8):
        effects.run(None, call(number, Effect(is_async)))
    started = 8
    while len(seen) < MANY:
        assert wakes.woken.wait(GIVE_UP_S), f"{started - len(seen)} effects ended and nobody was told"
        wakes.woken.clear()
        for done in effects.take():
            seen.append(done.call.number)
            if started < MANY:
                effects.run(None, call(started, Effect(is_async)))
                started += 1
    assert sorted(seen) == list(range(MANY))
    assert wakes.count <= MANY
    effects.close()


def test_a_wait_ends_with_the_effect_and_not_before():
    gate = threading.Event()
    effects = Effects(1, lambda: None)
    assert not effects.short()
    effects.run(None, call(0, Effect(gate=gate)))
    effects.wait(0.001)
    assert not effects.take()
    gate.set()
    effects.wait(GIVE_UP_S)
    assert [done.call.number for done in effects.take()] == [0]
    assert not effects.short()
    effects.close()


def test_one_that_takes_long_is_not_waited_for(monkeypatch):
    now = 100.0
    monkeypatch.setattr("plexstream.node.effects.time.monotonic", lambda: now)
    gate = threading.Event()
    effects = Effects(1, lambda: None)
    effects.run(None, call(0, Effect(gate=gate)))
    assert effects.short()
    now += 0.06
    assert not effects.short()
    gate.set()
    effects.close()
