"""Every thread is known; each survives what goes wrong in it, or ends the node so that it is seen."""

from __future__ import annotations

import ctypes
import re
import threading
import time
from pathlib import Path

import httpx
import pytest
from installation import wait_until

import plexstream
from plexstream.log.base import TopicSpec
from plexstream.log.installation import Control
from plexstream.log.kafka.brokers.views import Views
from plexstream.log.kafka.log import KafkaLog
from plexstream.model.process import threads
from plexstream.model.process.threads import LASTING, PASSING, Lasting, kind_of, passing, unwell
from plexstream.model.topics.topics import Topics
from plexstream.node.running.node import Node
from plexstream.node.setup import topology
from plexstream.node.setup.config import Config
from plexstream.node.worker.membership import Membership

BUSY = Path(__file__).with_name("busy.py")


class Killed(BaseException):
    """No error that anything expects."""


@pytest.fixture
def node(tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "UNWELL_S", 1.0)
    node = Node(Config(app=BUSY, data=tmp_path / "data", partitions=2, http_port=0))
    node.log.create([TopicSpec("readings", 2, {})])
    node.start()
    wait_until(lambda: node.status()["ready"])
    yield node
    node.stop()


def use(node, number=1):
    """Have something for every thread to do; the calls must succeed in the end."""
    wait_until(lambda: succeeds(lambda: node.calls.ask("meter/a", "take", b'{"reading": {}}', timeout=2)))
    wait_until(lambda: succeeds(lambda: node.calls.ask("meter/a", "effects", b"{}", timeout=2)))
    appender = node.log.appender()
    appender.append(("readings", 0), [(b"", b'{"id": "m%d"}' % number)], None)
    wait_until(lambda: bool(appender.poll(0.1)))
    appender.close()
    target = f"meter/m{number}"
    wait_until(lambda: succeeds(lambda: node.calls.ask(target, "take", b'{"reading": {}}', timeout=2)))


def succeeds(call):
    try:
        call().result(5)
    except Exception:
        return False
    return True


def test_every_thread_of_a_node_is_in_the_list(node):
    before = {t for t in threading.enumerate() if not t.name.startswith("plexstream")}
    use(node)
    httpx.get(f"{node.server.url}/v1/topics/plex.out.taken")
    node.log.janitor.checkpoint_soon()
    names = {t.name for t in threading.enumerate()}
    unknown = {t.name for t in set(threading.enumerate()) - before if kind_of(t.name) is None}
    assert not unknown
    kinds = {kind_of(name) for name in names} - {None}
    assert {
        "worker", "replies", "sender", "deadlines", "growth", "lags", "ingest", "outputs", "keeping", "http",
        "log-committer", "log-janitor", "effect", "effects", "topics",
    } <= kinds  # fmt: skip


def test_threads_are_started_in_one_place_only():
    """So that none is forgotten: what is started elsewhere is in no list."""
    root = Path(plexstream.__file__).parent
    found = [
        str(file.relative_to(root))
        for file in root.rglob("*.py")
        if re.search(r"\bThread\(|threading\.Timer\(", file.read_text()) and "testing" not in file.parts
    ]
    assert sorted(found) == ["inspection/bench.py", "model/process/threads.py"]
    assert not LASTING.keys() & PASSING.keys()
    with pytest.raises(ValueError, match="model/process/threads"):
        passing("unheard-of", print)


def kill(thread):
    """Raise `Killed` in another thread, wherever it is."""
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Killed))


INNER = {"log-committer", "log-janitor", "undertaker", "signals"}
"""Of a log, of a process: what they do for a node shows in what it does."""
ELSEWHERE = {"supervisor", "membership", "parent", "deployment"}
"""Of nodes on Kafka, and of manifests."""
SURVIVE = ["replies", "sender", "deadlines", "lags", "ingest", "outputs", "keeping", "log-committer"]


@pytest.mark.parametrize("kind", SURVIVE)
def test_a_thread_that_is_killed_begins_anew(node, kind, caplog):
    use(node, 1)
    victims = [t for t in threading.enumerate() if isinstance(t, Lasting) and kind_of(t.name) == kind]
    victims = [t for t in victims if not t._over()]
    assert victims
    for thread in victims:
        kill(thread)
    node.refresh()
    use(node, 2)
    wait_until(lambda: all(t.is_alive() for t in victims))
    wait_until(lambda: "failed" in caplog.text)
    wait_until(lambda: node.status()["ready"])
    use(node, 3)
    assert not node.failed


def test_a_worker_that_cannot_begin_anew_ends_the_node(node, caplog):
    use(node)
    kill(node._unit.thread)
    node.wait()
    assert node.failed
    assert not node.status()["ready"]
    assert "the worker's thread does not run" in str(node.status()["why"])
    assert "Killed" in caplog.text


def test_a_front_that_cannot_begin_anew_ends_the_node(node, monkeypatch, caplog):
    async def tick(counter):
        raise MemoryError

    monkeypatch.setattr(node.server._server, "on_tick", tick)
    node.wait()
    assert node.failed
    assert "MemoryError" in caplog.text
    assert "plexstream-http" in caplog.text


def test_a_thread_that_fails_over_and_over_is_told_and_not_well(monkeypatch, caplog):
    monkeypatch.setattr(threads, "RETRY_S", 0.001)
    monkeypatch.setattr(threads, "UNWELL_S", 0.2)
    over = threading.Event()
    faults = iter([SystemExit(3), RuntimeError("out of order"), None, MemoryError(), Killed()])

    def work():
        fault = next(faults, over)
        if fault is over:
            over.wait(20)
        elif fault is not None:
            raise fault

    told = []
    thread = Lasting("growth", work, over.is_set, "x", told.append)
    assert thread.well()  # not started yet
    thread.start()
    wait_until(lambda: thread.failures == 5)
    assert unwell([thread]) == ["plexstream-growth-x"]
    wait_until(thread.well)
    assert [type(error) for error in told] == [SystemExit, RuntimeError, RuntimeError, MemoryError, Killed]
    assert "out of order" in caplog.text
    over.set()
    thread.join()
    assert thread.well()


def test_readiness_knows_each_thread(node, monkeypatch):
    """One that fails is named, and for as long as it does the node is not ready."""
    for kind in sorted(LASTING.keys() - INNER - ELSEWHERE):
        mine = [t for t in threading.enumerate() if kind_of(t.name) == kind and isinstance(t, Lasting)]
        assert mine, kind
        for thread in mine:
            monkeypatch.setattr(thread, "_failed_at", time.monotonic())
        why = node.status()["why"]
        assert any(kind in reason for reason in why), (kind, why)
        answer = httpx.get(f"{node.server.url}/health/ready")
        assert answer.status_code == 503
        assert kind in answer.json()["detail"] or len(why) > 3
        for thread in mine:
            monkeypatch.setattr(thread, "_failed_at", float("-inf"))
    assert node.status()["ready"]


@pytest.mark.kafka
def test_membership_is_known_to_be_no_more(kafka, topic_prefix, monkeypatch):
    """Who is no member has no partitions that it should have, which is not to have all of none."""
    topics = Topics(topic_prefix)
    log = KafkaLog(kafka)
    topology.apply(log, topics, 2)
    Control(log, topics).read()
    had = []
    assign = lambda *now: had.append(now)  # noqa: E731
    member = Membership(kafka, {}, topics, "one", assign, lambda p: True, Views(kafka, {}))
    member.start()
    wait_until(lambda: had and had[-1] == ({0, 1}, True))
    kill(member.thread)
    wait_until(lambda: had[-1] == (frozenset(), False) or member.thread.failures)
    wait_until(lambda: had[-1] == ({0, 1}, True))
    member.stop()
    log.close()
