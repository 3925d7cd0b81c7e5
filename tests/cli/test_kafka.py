from __future__ import annotations

import json
import signal
import threading
import time
from importlib import resources
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from plexstream.hosts.load import load_actors
from plexstream.hosts.native import NativeHost
from plexstream.inspection.kafka.admin import KafkaAdmin
from plexstream.log.open import open_log
from plexstream.model.topics.topics import Topics
from plexstream.node.worker.worker import Worker
from plexstream.processor import Settings


@pytest.fixture
def to(kafka, topic_prefix):
    return ["--kafka", kafka, "--prefix", topic_prefix]


def wait_until(true, seconds=40.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_topics_are_applied_listed_and_repaired(cli, kafka, topic_prefix, to):
    assert "missing" in cli("topics", "list", *to, code=1).stdout
    assert f"created  {topic_prefix}journal" in cli("topics", "apply", *to, "--partitions", "3").stdout
    listed = {r["topic"]: r for r in json.loads(cli("topics", "list", *to, "--json").stdout)}
    assert listed[f"{topic_prefix}mailbox"] == {
        "topic": f"{topic_prefix}mailbox", "partitions": 3, "records": 0, "wrong": [],
    }  # fmt: skip
    KafkaAdmin(kafka, {}).set({f"{topic_prefix}journal": {"retention.ms": "1000"}})
    assert "retention.ms is 1000, declared -1" in cli("topics", "list", *to, code=1).stdout
    assert "changed" in cli("topics", "apply", *to).stdout
    cli("topics", "list", *to)

def test_topics_are_applied_as_a_file_of_ones_own_says(cli, kafka, topic_prefix, to, tmp_path):
    system = (resources.files("plexstream.model.topics") / "declared" / "system.yaml").read_text()
    own, name = tmp_path / "own.yaml", f"{topic_prefix}reply"
    own.write_text(system.replace("retention.ms: 3600000 ", "retention.ms: 7200000 "))
    assert f"created  {name}" in cli("topics", "apply", *to, "--partitions", "1", "--file", own).stdout
    assert KafkaAdmin(kafka, {}).topic_settings([name])[name]["retention.ms"] == "7200000"
    cli("topics", "list", *to, "--file", own)
    assert "retention.ms is 7200000, declared 3600000" in cli("topics", "list", *to, code=1).stdout
    # What would lose state is refused before anything is touched, and so is what is no declaration.
    own.write_text(system.replace("cleanup.policy: delete", "cleanup.policy: compact"))
    said = cli("topics", "apply", *to, "--file", own, code=2).stderr
    assert "topics.journal.settings: cleanup.policy is compact, and has to be delete" in said
    own.write_text(system.replace("  journal:", "  journals:"))
    assert "there is no 'journals'" in cli("topics", "apply", *to, "--file", own, code=2).stderr
    assert KafkaAdmin(kafka, {}).topic_settings([name])[name]["retention.ms"] == "7200000"


def test_more_copies_than_brokers_are_refused(cli, kafka, topic_prefix, to):
    three = ["--replication-factor", "3", "--min-insync-replicas", "2"]
    expected = f"replication_factor = 3, but Kafka at {kafka} has 1 broker that runs"
    assert expected in cli("topics", "apply", *to, *three, code=2).stderr
    bank = str(Path(__file__).with_name("bank.py"))
    assert expected in cli("run", bank, *to, *three, code=2).stderr
    assert f"created  {topic_prefix}journal" in cli(
        "topics", "apply", *to, "--partitions", "1", "--replication-factor", "1", "--min-insync-replicas", "1"
    ).stdout
    admin = KafkaAdmin(kafka, {})
    assert admin.copies([f"{topic_prefix}journal"]) == {f"{topic_prefix}journal": 1}
    settings = admin.topic_settings([f"{topic_prefix}mailbox"])
    assert settings[f"{topic_prefix}mailbox"]["min.insync.replicas"] == "1"
    # Of topics that exist: what cannot be changed is said, and what would stop them is refused.
    said = cli("topics", "apply", *to, *three, code=2).stderr
    assert f"min_insync_replicas = 2, but {topic_prefix}mailbox has replication factor 1" in said
    said = cli("topics", "apply", *to, "--replication-factor", "3").stdout
    assert f"differs  {topic_prefix}journal: replication factor 1, not 3" in said


def test_doctor(cli, kafka, topic_prefix, to):
    said = cli("doctor", *to, code=1).stdout
    assert f"{topic_prefix}mailbox: missing" in said
    assert "→ plexstream topics apply" in said
    cli("topics", "apply", *to, "--partitions", "2")
    said = cli("doctor", *to).stdout
    assert "7 topics as declared, 2 partitions" in said
    assert f"Kafka at {kafka}: 1 broker, version" in said
    KafkaAdmin(kafka, {}).set(
        {f"{topic_prefix}journal": {"retention.ms": "1000", "max.message.bytes": "2000000"}}
    )
    said = cli("doctor", *to, code=1).stdout
    assert f"{topic_prefix}journal: retention.ms is 1000" in said
    assert f"{topic_prefix}journal: max.message.bytes is 2000000" in said


def test_calls_and_inspection_beside_a_live_worker(cli, kafka, topic_prefix, to, tmp_path):
    cli("topics", "apply", *to, "--partitions", "2")
    bank = Path(__file__).with_name("bank.py")
    app = load_actors(bank)
    log = open_log(f"kafka://{kafka}")
    worker = Worker(
        log, Topics(topic_prefix), 2, NativeHost(app.types, app.version), Settings(), tmp_path / "state", "n"
    )  # fmt: skip
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    worker.assign(range(2))
    try:
        called = cli("call", "account/alice", "deposit", "amount=5", *to)
        assert json.loads(called.stdout) == {"balance": 5}
        cli("tell", "account/alice", "deposit", "amount=2", *to)
        assert cli("call", "account/alice", "balance", *to).stdout == "7\n"
        assert json.loads(cli("state", "get", "account/alice", *to).stdout)["state"]["balance"] == 7
        assert "account/alice #2 deposit" in cli("journal", "tail", *to).stdout
        assert "all as recorded" in cli("replay", "--re-execute", str(bank), *to).stdout
        # Clearing takes the partition from the worker, which takes it back.
        assert "is cleared" in cli("state", "clear", "account/alice", "--yes", *to).stdout
        assert cli("call", "account/alice", "balance", *to).stdout == "0\n"
    finally:
        worker.stop()
        thread.join(30)
        log.close()


def test_what_a_mailbox_has_lost_is_accepted(cli, kafka, topic_prefix, to, serving):
    mailbox = f"{topic_prefix}mailbox"
    accept = "topics", "accept"
    assert "plexstream topics accept plex.mailbox --kafka" in cli(*accept, "--help").stdout
    said = cli(*accept, mailbox, *to, code=3).stderr
    assert f"Kafka at {kafka} has no topic '{mailbox}'" in said
    assert "is --prefix right?" in said
    node = serving("run", str(Path(__file__).with_name("bank.py")), "--partitions", "1", *to)
    assert node.call("account/alice/deposit", amount=5) == {"balance": 5}
    said = cli(*accept, mailbox, *to, code=2).stderr
    assert f"no partition of '{mailbox}' is refused: there is nothing to accept. Nothing else" in said
    assert node.end(signal.SIGTERM) == 0

    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_topics([mailbox])[mailbox].result(10)
    wait_until(lambda: mailbox not in admin.list_topics(timeout=10).topics)
    assert f"created  {mailbox}" in cli("topics", "apply", *to).stdout
    node.start(ready=False)
    wait_until(lambda: f"`plexstream topics accept {mailbox}`" in node.out.read_text())
    said = cli(*accept, "mailbox", *to, code=2).stderr
    assert f"has no topic 'mailbox': is '{mailbox}' meant? Refused are partitions of {mailbox}" in said
    assert f"Refused are partitions of {mailbox}: name one" in cli(*accept, "other", *to, code=2).stderr

    said = cli(*accept, mailbox, *to).stdout
    assert f"accepted  {mailbox}[0]: it goes on from offset 0; it was known up to 1" in said
    node.wait_until_ready()
    assert node.call("account/alice/deposit", amount=1) == {"balance": 6}
    assert "nothing to accept" in cli(*accept, mailbox, *to, code=2).stderr


def test_bench_leaves_no_topics(cli, kafka):
    rows = json.loads(
        cli(
            "bench", "--kafka", kafka, "--seconds", "0.3", "--callers", "4", "--partitions", "2", "--json"
        ).stdout
    )
    assert all(r["calls"] for r in rows)
    log = open_log(f"kafka://{kafka}")
    assert not [name for name in log.topics() if name.startswith("plex-bench-")]
    log.close()


def test_a_topic_of_transactions_is_read_to_its_end_at_once(kafka, topic_prefix):
    from plexstream.inspection.history import read
    from plexstream.log.base import TopicSpec

    log = open_log(f"kafka://{kafka}")
    topic = f"{topic_prefix}t"
    log.create([TopicSpec(topic, 1)])
    transaction = log.transaction(topic)
    for number in range(3):
        transaction.commit([(topic, 0, b"k", b"%d" % number)], {})
    transaction.close()
    started = time.monotonic()
    place = (topic, 0)
    found = [r.value for some in read(log, place, *log.range(place), committed=True) for r in some]
    assert found == [b"0", b"1", b"2"]
    assert log.range(place) == (0, 6)  # three of them are markers
    assert time.monotonic() - started < 4
    log.close()


def test_a_node_and_an_edge(serving, to):
    bank = str(Path(__file__).with_name("bank.py"))
    node = serving("run", bank, "--partitions", "2", *to)
    edge = serving("edge", *to)
    assert edge.call("account/alice/deposit", amount=5) == {"balance": 5}
    assert node.call("account/alice/deposit", amount=2) == {"balance": 7}
    assert node.end(signal.SIGKILL) == -9
    node.start()
    assert edge.call("account/alice/balance") == 7
    assert edge.end(signal.SIGTERM) == 0
    assert node.end(signal.SIGTERM) == 0
    assert "Traceback" not in node.out.read_text() + edge.out.read_text()


def test_handlers_that_wait_beside_a_live_worker(cli, kafka, topic_prefix, to, tmp_path):
    cli("topics", "apply", *to, "--partitions", "2")
    app = load_actors(Path(__file__).parents[1] / "node" / "waiting.py")
    log = open_log(f"kafka://{kafka}")
    worker = Worker(
        log, Topics(topic_prefix), 2, NativeHost(app.types, app.version), Settings(), tmp_path / "state", "n"
    )  # fmt: skip
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    worker.assign(range(2))

    def waits(address: str) -> list[dict]:
        end = time.monotonic() + 30
        while True:
            rows = json.loads(cli("ps", "waiter", *to, "--json").stdout)
            found = [w for r in rows if r["address"] == f"default/default/{address}" for w in r["waits"]]
            if found:
                return found
            assert time.monotonic() < end
            time.sleep(0.1)

    try:
        cli("tell", "waiter/c", "nap", *to)
        cli("tell", "waiter/a", "through", "to=waiter/c", *to)
        cli("tell", "waiter/o", "outside", *to)
        assert waits("waiter/a")[0]["what"] == "default/default/waiter/c nap"
        why = json.loads(cli("why", "waiter/a", *to, "--json").stdout)
        assert why["reasons"] == []
        asked = why["asked"]["default/default/waiter/c"]
        assert asked["invocations"][0]["waits"][0]["kind"] == "sleep"
        cli("awakeable", "resolve", waits("waiter/o")[0]["what"], "7", *to)
        assert cli("call", "waiter/o", "look", *to).stdout == "[7]\n"
        assert "→ emit ids" in cli("journal", "show", "waiter/o#1", *to).stdout
        assert cli("pause", "waiter/c", *to).stdout == "waiter/c#1 is paused\n"
        assert "waiter/c#1 nap paused" in cli("why", "waiter/a", *to).stdout
        assert cli("resume", "waiter/c", *to).stdout == "waiter/c#1 goes on\n"
        assert cli("kill", "waiter/c#1", *to).stdout == "waiter/c#1 is killed\n"
    finally:
        worker.stop()
        thread.join(30)
        log.close()
