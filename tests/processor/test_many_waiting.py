"""Very many handlers that wait: without a thread or a task for each, and only so many in memory."""

import threading

import pytest
from world import World

from plexstream import actor, handler, host, state
from plexstream.model.messages.message import TELL, Envelope
from plexstream.processor.waiting import limits

MANY = 20_000
KEPT = 5_000


@actor(max_active=MANY)
class Sleeper:
    naps: int = state(default=0)

    @handler("nap")
    async def nap(self):
        await host.sleep(3600)
        self.naps += 1

    @handler("nap_blocking")
    def nap_blocking(self):
        host.sleep(3600)
        self.naps += 1


def append(world):
    while (records := world.p.take()) is not None:
        world.journal += records
        world.p.acknowledged(len(world.journal) - 1)
    world.p.tick(world.now)


@pytest.mark.slow
def test_many_wait_and_all_go_on(monkeypatch):
    monkeypatch.setattr(limits, "KEPT_TASKS", KEPT)
    world = World(Sleeper)
    me, start, started = threading.current_thread(), threading.Thread.start, []

    def starts(self):
        if threading.current_thread() is me:  # readers of tests before may still begin some
            started.append(self)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", starts)
    for n in range(MANY):
        how = "nap_blocking" if n % 2 else "nap"
        message = Envelope(TELL, f"m{n}", f"default/default/sleeper/{n}", how, b"{}")
        world.p.receive([(n, message)], world.now)
        if n % 500 == 0:
            append(world)
    append(world)
    assert len(world.waiting()) == MANY
    assert len(world.p.invocations.agenda.kept) <= KEPT
    assert started == []
    world.restart()
    world.now += 3600_000
    while world.waiting():
        world.p.tick(world.now)
        append(world)
    assert {world.field(f"sleeper/{n}", "naps") for n in range(MANY)} == {1}
