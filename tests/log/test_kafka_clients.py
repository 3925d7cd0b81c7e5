"""One thread at a time has an admin client: what waits for one broker holds up no question to another."""

import re
import threading
import time
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

import plexstream
from plexstream.log.kafka.brokers import admin as admins
from plexstream.log.kafka.brokers.admin import KEPT, Admin

NOWHERE = "127.0.0.1:1"


class Questions:
    """Questions that are under way until the test lets them end, and the clients that they have."""

    def __init__(self, admin: Admin) -> None:
        self.admin = admin
        self.have: list[object] = []
        self.end = threading.Event()
        self.threads: list[threading.Thread] = []

    def ask(self) -> None:
        def question(client, seconds):
            self.have.append(client)
            assert self.end.wait(30), "it was left waiting by the test"

        before = len(self.have)
        thread = threading.Thread(target=self.admin.ask, args=("asking", question), daemon=True)
        self.threads.append(thread)
        thread.start()
        wait_until(lambda: len(self.have) > before)

    def finish(self) -> None:
        self.end.set()
        for thread in self.threads:
            thread.join(30)


def wait_until(true, timeout=30.0):
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.005)


def test_nobody_has_a_client_that_another_thread_has():
    admin = Admin(NOWHERE, {})
    under_way = Questions(admin)
    for _ in range(6):
        under_way.ask()
    assert len({id(client) for client in under_way.have}) == 6
    under_way.finish()
    assert len(admin._free) == admin._there == KEPT  # the others are let go


def test_where_questions_are_answered_few_clients_do(monkeypatch):
    monkeypatch.setattr(admins, "SHARE_S", 30.0)
    admin = Admin(NOWHERE, {})
    had = set()

    def many():
        for _ in range(20):
            admin.ask("asking", lambda client, seconds: had.add(id(client)) or time.sleep(0.001))

    threads = [threading.Thread(target=many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(had), admin._there) == (KEPT, KEPT)


def test_one_that_fails_is_replaced_for_whoever_has_it_and_for_nobody_else():
    admin = Admin(NOWHERE, {})
    other = Questions(admin)
    other.ask()
    had = []

    def question(client, seconds):
        had.append(client)
        if len(had) < 2:
            raise admins.KafkaException(KafkaError(KafkaError._STATE, "it is of no more use"))
        return "answered"

    anew, admins_kind = [], admins.kind_of
    try:
        admins.kind_of = lambda error: anew.append(error) or admins.Kind.ANEW
        assert admin.ask("asking", question) == "answered"
    finally:
        admins.kind_of = admins_kind
    assert had[0] is not had[1]
    assert other.have[0] not in had
    other.finish()


def test_whatever_becomes_of_a_question_its_client_comes_back():
    admin = Admin(NOWHERE, {})

    def wrong(client, seconds):
        raise KeyError("a bug")

    for _ in range(3):
        with pytest.raises(KeyError):
            admin.ask("asking", wrong)
    assert (len(admin._free), admin._there) == (1, 1)


SHORT = {
    "log/kafka/brokers/admin.py": 2,  # of clients that one thread has
    "log/kafka/log.py": 2,  # the same
    # Under a lock that is waited for as long as the answer may take; of a client that one thread has.
    "log/kafka/brokers/views.py": 2,
    "log/kafka/reading/reader.py": 2,  # of a consumer that its worker polls: for half a second
    "inspection/kafka/admin.py": 2,  # for commands: one thread
    "testing/pytest_plugin.py": 1,
}


def test_every_place_that_lists_topics_is_known():
    """While it waits for a broker, no other call of the same client goes on: each must be one of these."""
    root = Path(plexstream.__file__).parent
    found = {}
    for path in root.rglob("*.py"):
        if calls := re.findall(r"\.list_topics\(", path.read_text()):
            found[path.relative_to(root).as_posix()] = len(calls)
    assert found == SHORT
    reader = (root / "log/kafka/reading/reader.py").read_text()
    assert reader.count("list_topics(topic, _LOOK_UP_S)") == SHORT["log/kafka/reading/reader.py"]
