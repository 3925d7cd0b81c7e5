"""What callers saw of a real node that is killed again and again can be explained, object by object."""

import threading
import time
from random import Random

import pytest

from plexstream import Client
from plexstream.model.errors import CallError, LogError, Rejected
from plexstream.testing.linearizability.models.lock import Lock
from plexstream.testing.linearizability.models.queue import Queue
from plexstream.testing.linearizability.models.register import Register
from plexstream.testing.linearizability.models.space import Space
from plexstream.testing.linearizability.operation import UNKNOWN, Recorder, text
from plexstream.testing.linearizability.search import check

MODELS = {"kv": Register(), "lock": Lock(), "space": Space(), "queue": Queue()}
CALLERS, ROUNDS = 4, 3
PATIENCE = 60  # seconds until a node must be back, under load
LONG = 600  # seconds of a lease: longer than the test


class Caller:
    """One who calls, and notes what comes of it. What it repeats has a key, and one answer."""

    def __init__(self, name, url, recorder):
        self.name = name
        self.client = Client(url)
        self.recorder = recorder
        self.random = Random(name)
        self.number = 0

    def call(self, kind, target, handler, arguments, named, read, repeat=True):
        """Call; `named`: as the model calls it, with its arguments; `read`: makes its answer of what came."""
        self.number += 1
        key = f"{self.name} {self.number}" if repeat else ""
        noted = self.recorder.call(kind, self.name, *named)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                value = self.client.ask(target, handler, arguments, idempotency_key=key, timeout=10)
            except Rejected:
                value = False
            except (CallError, LogError):
                self.ready(end)
                if repeat:
                    continue
                return UNKNOWN
            self.recorder.returned(noted, read(value))
            return value

    def ready(self, end):
        """Wait for the node to be there."""
        while True:
            try:
                return self.client.ask("anybody/ready", "here", timeout=1)
            except (CallError, LogError):
                assert time.monotonic() < end, "the node does not come back"
                time.sleep(0.02)

    def swap(self):
        """Read a key, and write it if nobody has meanwhile."""
        seen = self.call("kv", "plex.kv/h~0", "get", {"keys": ["a"]}, ("read", None), row)
        version = seen[0][1] if seen is not UNKNOWN and seen[0] else 0
        value = f"{self.name} {self.number}"
        named = "cas", (text(value), version)
        repeat = self.random.random() < 0.7
        given = {"key": "a", "value": value, "version": version}
        self.call("kv", "plex.kv/h~0", "cas", given, named, tuple, repeat)

    def hold(self):
        """Hold a lock for a moment."""
        given = {"holder": self.name, "lease": LONG, "wait": self.random.choice((0, 5))}
        grant = self.call("lock", "plex.lock/h", "acquire", given, ("acquire", None), token)
        if grant is not None:
            number = {"token": grant["token"]}
            self.call("lock", "plex.lock/h", "release", number, ("release", grant["token"]), accepted)

    def trade(self):
        """Write a tuple, and take one. No two are the same: who has one twice shows."""
        what = ["job", self.random.randrange(2), f"{self.name} {self.number}"]
        repeat = self.random.random() < 0.8
        self.call("space", "plex.space/h", "write", {"tuple": what}, ("write", what), nothing, repeat)
        pattern = ["job", self.random.choice((None, 0, 1)), None]
        name, wait = self.random.choice(("take", "take", "read")), self.random.choice((0, 0.5))
        given = {"pattern": pattern, "wait": wait}
        self.call("space", "plex.space/h", name, given, (name, pattern), one, self.random.random() < 0.9)

    def pass_on(self):
        """Send a message, and receive one."""
        item = f"{self.name} {self.number}"
        self.call("queue", "plex.queue/h", "send", {"messages": [item]}, ("send", item), nothing)
        given = {"wait": self.random.choice((0, 0.5)), "visibility": LONG}
        self.call("queue", "plex.queue/h", "receive", given, ("receive", None), message)

    def work(self, begun):
        for step in self.random.sample((self.swap, self.hold, self.trade, self.pass_on), 4) * 2:
            step()
            begun.set()


def row(value):
    return (text(value[0][0]), value[0][1]) if value[0] else None


def token(value):
    return value and value["token"]


def accepted(value):
    return value is not False


def nothing(_):
    return None


def one(value):
    return value and text(value["tuple"])


def message(value):
    return value[0]["value"] if value else None


@pytest.mark.timeout(240)
def test_histories_of_a_node_that_is_killed_are_linearizable(node):
    recorder, random = Recorder(), Random("kills")
    callers = [Caller(f"c{i}", node.url, recorder) for i in range(CALLERS)]
    for _ in range(ROUNDS):
        begun = threading.Event()
        threads = [threading.Thread(target=caller.work, args=(begun,), daemon=True) for caller in callers]
        for thread in threads:
            thread.start()
        begun.wait(PATIENCE)
        time.sleep(random.choice((0, 0.005, 0.02)))
        node.kill()
        node.start()
        for thread in threads:
            thread.join(2 * PATIENCE)
            assert not thread.is_alive()
    for caller in callers:
        caller.client.close()
    histories = recorder.histories()
    verdicts = {kind: check(histories[kind], model) for kind, model in MODELS.items()}
    assert all(verdict.holds for verdict in verdicts.values()), verdicts
    # It tests what it says: there are calls of each kind, and some ran beside each other.
    assert all(len(history) >= CALLERS * ROUNDS for history in histories.values())
    assert any(beside(history) for history in histories.values())


def beside(history):
    """Whether some calls ran at the same time."""
    return any(a.called < b.called < a.returned for a in history for b in history)
