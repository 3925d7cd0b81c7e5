"""What a topic does not take for its size is refused alone, and who waits for it hears so."""

import base64
import os

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from installation import Installation, wait_until

from plexstream.log.base import TopicSpec
from plexstream.log.kafka.brokers import sizes
from plexstream.log.kafka.log import KafkaLog
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import CallError, TimedOut, TooLarge
from plexstream.model.topics.topics import Topics
from plexstream.node.worker.health import guard
from plexstream.schema.codec import decode_dead_letter

APP = """
from plexstream import actor, handler, host, state, state_list


@actor
class Box:
    got: list = state_list()
    blob: str = state(default="")

    @handler("take")
    def take(self, n: int, blob: str = "") -> int:
        self.got.append(n)
        return n

    @handler("keep")
    def keep(self, n: int, blob: str) -> int:
        self.blob = blob
        self.got.append(n)
        return n

    @handler("give")
    def give(self, size: int) -> str:
        return "x" * size

    @handler("tell_on")
    def tell_on(self, to: str, sizes: list) -> None:
        for n, size in enumerate(sizes):
            host.tell(to, "take", n=n, blob="x" * size)

    @handler("ask_on")
    async def ask_on(self, to: str, size: int) -> object:
        try:
            return await host.ask(to, "take", n=99, blob="x" * size)
        except Exception as error:
            return getattr(error, "code", repr(error))

    @handler("ask_for")
    async def ask_for(self, to: str, size: int) -> object:
        try:
            return len(await host.ask(to, "give", size=size))
        except Exception as error:
            return getattr(error, "code", repr(error))

    @handler("report", read_only=True)
    def report(self) -> list:
        return list(self.got)
"""
SMALL = {"max.message.bytes": "10000"}
T = Topics("test.")


@pytest.fixture
def app(tmp_path):
    path = tmp_path / "app.py"
    path.write_text(APP)
    return path


def serve(log, tmp_path, app, *small):
    log.create([TopicSpec(f"test.{kind}", 2, SMALL) for kind in small])
    return Installation(log, tmp_path / "state", app=app)


def refused(i, target, handler, /, timeout=10.0, **arguments):
    with pytest.raises(CallError) as found:
        i.client.ask(target, handler, arguments, timeout=timeout)
    return found.value.code


def test_a_reply(tmp_path, app):
    with serve(MemoryLog(), tmp_path, app, "reply") as i:
        for n in range(3):
            assert refused(i, "box/a", "give", size=20_000) == "too_large"
            assert i.ask("box/a", "take", n=n) == n
        assert i.ask("box/a", "report") == [0, 1, 2]


def test_messages_between_actors(tmp_path, app):
    log = MemoryLog()
    with serve(log, tmp_path, app, "mailbox") as i:
        i.ask("box/a", "tell_on", to="box/b", sizes=[0, 20_000, 0, 0, 30_000, 0])
        wait_until(lambda: i.ask("box/b", "report") == [0, 2, 3, 5])
        assert i.ask("box/a", "ask_on", to="box/b", size=20_000) == "too_large"
        assert i.ask("box/a", "ask_for", to="box/b", size=20_000) == "too_large"
        assert i.ask("box/a", "ask_for", to="box/b", size=200) == 200
        letters = []

        def arrived():
            reader = log.reader(committed=True)
            for p in range(2):
                reader.assign((T.deadletter, p), 0)
            letters[:] = [decode_dead_letter(r.value) for r in reader.read(100, 0.1)]
            return len(letters) == 2

        wait_until(arrived)
        assert {letter.reason for letter in letters} == {"too_large"}
        assert "over the limit of 9872" in letters[0].detail
    with serve(log, tmp_path, app) as i:
        assert i.ask("box/b", "report") == [0, 2, 3, 5]


def limits(kafka, prefix):
    """Sets the limit of a topic of an installation."""

    def allow(kind, size):
        entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
        topic = ConfigResource(ResourceType.TOPIC, prefix + kind, incremental_configs=[entry])
        admin = AdminClient({"bootstrap.servers": kafka})
        admin.incremental_alter_configs([topic])[topic].result(20)

    return allow


@pytest.mark.kafka
def test_who_asks_hears_that_a_broker_refuses_it_at_the_moment_a_limit_is_lowered(
    kafka, topic_prefix, tmp_path, app, monkeypatch
):
    monkeypatch.setattr(sizes, "FRESH_S", 600.0)  # what the limit was is not asked again meanwhile
    monkeypatch.setattr(sizes, "MISFIT_S", 0.0)
    large = base64.b64encode(os.urandom(500_000)).decode()
    with Installation(KafkaLog(kafka), tmp_path / "state", app=app, prefix=topic_prefix) as i:
        i.ask("box/a", "keep", n=1, blob=large)
        limits(kafka, topic_prefix)("mailbox", 600_000)
        with pytest.raises(TooLarge, match=r"was refused for its size .* max.message.bytes was lowered"):
            i.client.ask("box/a", "take", {"n": 2, "blob": large}, timeout=30.0)
        assert i.ask("box/a", "take", n=3) == 3
        assert refused(i, "box/a", "take", n=4, blob=large) == "too_large"
        assert i.ask("box/a", "report") == [1, 3]


@pytest.mark.kafka
def test_a_limit_that_is_lowered_and_raised_while_it_runs(kafka, topic_prefix, tmp_path, app, monkeypatch):
    """Brokers refuse what they took a moment ago: known in a moment, and undone without a restart."""
    monkeypatch.setattr(sizes, "FRESH_S", 0.5)
    monkeypatch.setattr(sizes, "MISFIT_S", 0.0)
    monkeypatch.setattr(guard, "TOO_LARGE_S", 0.5)
    large = base64.b64encode(os.urandom(500_000)).decode()  # no batch of it is small
    allow = limits(kafka, topic_prefix)
    with Installation(KafkaLog(kafka), tmp_path / "state", app=app, prefix=topic_prefix) as i:
        i.ask("box/a", "keep", n=1, blob=large)
        allow("mailbox", 600_000)
        assert refused(i, "box/a", "take", n=2, blob=large) == "too_large"
        assert i.ask("box/a", "take", n=3) == 3
        allow("mailbox", 5_000_000)
        allow("journal", 600_000)
        wait_until(lambda: kept(i, large) is None)
        allow("journal", 5_000_000)
        wait_until(lambda: kept(i, large) == 4, 60)
        assert i.ask("box/a", "take", n=5) == 5


def kept(i, blob):
    try:
        return i.client.ask("box/a", "keep", {"n": 4, "blob": blob}, timeout=2.0, idempotency_key="4")
    except (CallError, TimedOut):
        return None
