"""Supervisors under random orders, failures and crashes: at rest, all agree on how each child is."""

import json
import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import Ignore, Retry, actor, handler, host, init_handler, state
from plexstream.hosts.system.children.children import Children
from plexstream.model.messages.address import full

SEEDS = 16
KINDS = ("job", "slow")
ROOT = "supervisor/app"


@actor(name="job", retry=Retry(attempts=1))
class Job:
    n: int = state(default=0)

    @init_handler
    def init(self, config: dict):
        if host.random() < config.get("waits", 0):
            host.sleep(host.random())
        if host.random() < config.get("ignores", 0):
            raise Ignore("this time")
        if host.random() < config.get("fails", 0):
            raise ValueError("this time")

    @handler("fail")
    def fail(self):
        raise ValueError("boom")

    @handler("leave")
    def leave(self, reason="normal"):
        host.exit(reason)


@actor(name="slow", retry=Retry(attempts=1))
class Slow:
    """Stops some time later."""

    n: int = state(default=0)

    @handler("fail")
    def fail(self):
        raise ValueError("boom")

    @handler("leave")
    def leave(self, reason="normal"):
        host.exit(reason)

    @handler("__stop__")
    def stop(self, reason: str):
        host.send_after(host.random(), "leave", reason=reason)


def child(random_, id):
    kind = random_.choice(KINDS)
    args = {key: random_.choice((0, 0, 0.3)) for key in ("waits", "ignores", "fails")}
    restart = random_.choice(("permanent", "transient", "temporary"))
    return {
        "id": id, "type": kind, "args": args if kind == "job" else {}, "restart": restart,
        "on_failure": random_.choice(("restart", "restart", "restart", "resume", "stop")),
        "shutdown_timeout_seconds": random_.choice((0, 0.3, "infinity")),
        "significant": restart != "permanent" and random_.random() < 0.2,
    }  # fmt: skip


def act(world, random_, declared):
    """Something happens; nobody waits for what comes of it."""
    ids = [f"c{n}" for n in range(8)]
    id = random_.choice(ids)
    what = random_.choice(
        ("start", "start", "stop", "restart", "delete", "fail", "fail", "leave", "declare", "time")
    )
    if what in ("fail", "leave"):
        reason = {} if what == "fail" else {"reason": random_.choice(("normal", "shutdown: x", "other"))}
        for kind in KINDS:
            world.tell(f"{kind}/{id}", what, **reason)
    elif what == "start":
        world.tell(ROOT, "start_child", _kind=1, child=child(random_, id))
    elif what == "declare":
        known = {c["id"]: c for c in declared["children"]}
        random_.shuffle(some := list(known))
        keep = [known[i] for i in some[: random_.randrange(len(some) + 1)]]
        keep += [child(random_, i) for i in ids[:4] if i not in known and random_.random() < 0.5]
        declared.update(children=keep)
        world.tell(ROOT, "configure", spec=declared)
    elif what == "time":
        world.run(random_.choice((10, 300, 2_000)))
    else:
        world.tell(ROOT, f"{what}_child", _kind=1, id=id)
    if random_.random() < 0.5:
        world.run()


def entries(world, field):
    found = {k: json.loads(v) for k, v in world.pieces.collections.entries(full(ROOT), field)}
    found.pop("#", None)
    return found


def agree(world):
    """What is so whenever nothing is under way."""
    head = world.field(ROOT, "head")
    assert head["phase"] in ("running", "gave up")
    nodes, links = entries(world, "children"), entries(world, "order")
    row = [*Children(nodes, links).ids()]
    assert sorted(row) == sorted(nodes)
    assert links.keys() - {"/"} == nodes.keys()
    assert (entries(world, "todo"), entries(world, "waiting")) == ({}, {})
    active = [c for c in nodes.values() if c["status"] == "running"]
    assert head["specs"] == len(nodes)
    assert head["active"] == len(active)
    assert head["significant"] == sum(c["significant"] for c in active)
    for c in nodes.values():
        assert c["status"] in ("running", "stopped", "new"), c
        assert (c["call"], c["timer"]) == ("", ""), c
        life = world.life(c["address"])
        if c["status"] == "running":
            assert (life.id, life.stopped, life.failed) == (c["ref"], False, False), c
        elif life is not None and life.id:
            assert life.stopped, c
    assert not [key for field, key in world.links(ROOT) if field == "$calls"]
    if head["phase"] == "gave up":
        assert not active


@pytest.mark.parametrize("seed", range(SEEDS))
def test_at_rest_all_agree(seed):
    random_ = random.Random(seed)
    world = World(Job, Slow, crash_every=random_.choice((0, 1, 3)))
    declared = {
        "children": [child(random_, f"c{n}") for n in range(3)], "max_restarts": random_.choice((2, 50)),
        "strategy": random_.choice(("one_for_one", "one_for_all", "rest_for_one")),
        "auto_shutdown": random_.choice(("any_significant", "all_significant")),
    }  # fmt: skip
    world.ask(ROOT, "configure", spec=declared)
    for _ in range(40):
        act(world, random_, declared)
        if random_.random() < 0.1:
            for _ in range(60):
                world.run(1_000)
            agree(world)
            world.tell(ROOT, "restart", _kind=1)
    for _ in range(60):
        world.run(1_000)
    agree(world)
    assert {call["code"] for call in world.errors.values()} <= {"rejected", "stopped", "failed"}
    asked = {e.id for e in world.mailbox if e.kind == 1 and e.reply_to == "edge"}
    assert asked <= world.replies.keys(), "somebody waits for an answer that never comes"
