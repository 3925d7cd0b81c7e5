"""Topics whose settings would delete or refuse what is needed: refused by name, with what mends it."""

import json
import re
import shlex

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from typer.testing import CliRunner

from plexstream.cli.app import app
from plexstream.inspection.kafka.admin import KafkaAdmin
from plexstream.log.kafka.log import KafkaLog
from plexstream.model.errors import ConfigError
from plexstream.model.topics.topics import Topics
from plexstream.node.running.node import Node
from plexstream.node.setup import retention, topology
from plexstream.node.setup.config import MAX_MESSAGE, Config
from plexstream.testing.kafka.broker import LocalBroker

AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}


@pytest.fixture(scope="module")
def address():
    with LocalBroker(settings=AUTHORIZER) as broker:
        yield broker.address


@pytest.fixture
def made(address, topic_prefix):
    """The topics of an installation, and a function that changes a setting of one."""
    topics = Topics(topic_prefix)
    log = KafkaLog(address)
    topology.apply(log, topics, 1)
    log.close()

    def change(kind, **settings):
        named = {name.replace("_", "."): value for name, value in settings.items()}
        KafkaAdmin(address, {}).set({f"{topic_prefix}{kind}": named})

    return topics, change


def edge(address, topics, folder):
    return Node(Config(kafka=address, prefix=topics.prefix, data=folder, http_port=0), edge_only=True)


def serve(address, topics, folder):
    node = edge(address, topics, folder)
    node.start()
    node.stop()


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [
        ("mailbox", "retention_ms", "604800000"),
        ("journal", "retention_bytes", "1073741824"),
        ("journal", "cleanup_policy", "compact,delete"),
        ("snapshot", "cleanup_policy", "compact,delete"),
        ("control", "cleanup_policy", "delete"),
        ("reply", "cleanup_policy", "compact"),
        ("journal", "max_message_bytes", "5000000"),
        ("snapshot", "max_message_bytes", "4000000"),
        ("mailbox", "max_message_bytes", "509999"),
        ("control", "max_message_bytes", "100000"),
    ],
)
def test_nothing_starts_and_the_command_that_is_told_mends_it(address, made, tmp_path, kind, setting, value):
    topics, change = made
    change(kind, **{setting: value})
    name = setting.replace("_", ".")
    with pytest.raises(ConfigError, match=rf"{topics.prefix}{kind}: {name} is {value}: ") as error:
        edge(address, topics, tmp_path)
    said = str(error.value)
    assert "plexstream topics apply" in said
    with_kafka = ["--kafka", address, "--prefix", topics.prefix, "--data", str(tmp_path)]
    done = CliRunner().invoke(app, ["doctor", "--json", *with_kafka])
    assert done.exit_code == 1
    found = [f for f in json.loads(done.stdout) if f["subject"] == "topics"]
    assert [f["text"] for f in found] == [f"{said.partition('. Nothing starts')[0]}"]
    assert "kafka-configs.sh" in found[0]["advice"]
    # What the command says, done by hand.
    (command,) = re.findall("kafka-configs.sh .*", said)
    words = shlex.split(command)
    assert words[words.index("--bootstrap-server") + 1] == address
    topic, added = (words[words.index(flag) + 1] for flag in ("--entity-name", "--add-config"))
    KafkaAdmin(address, {}).set({topic: dict([added.split("=")])})
    serve(address, topics, tmp_path)


@pytest.mark.kafka
def test_topics_apply_mends_what_is_refused(address, made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    topics, change = made
    change("mailbox", retention_ms="1000", retention_bytes="1000")
    change("journal", retention_ms="1000", max_message_bytes="1048588")
    change("control", max_message_bytes="100000")
    with pytest.raises(ConfigError) as error:
        edge(address, topics, tmp_path)
    assert str(error.value).count("kafka-configs.sh") == 5
    done = CliRunner().invoke(app, ["topics", "apply", "--kafka", address, "--prefix", topics.prefix])
    assert done.exit_code == 0, done.output
    serve(address, topics, tmp_path)


@pytest.mark.kafka
def test_what_deletes_replies_or_dead_letters_early_is_warned_of(address, made, caplog):
    topics, change = made
    change("reply", retention_ms="1000")
    change("deadletter", cleanup_policy="compact")
    log = KafkaLog(address)
    retention.check(log, topics, 1 << 20)
    log.close()
    assert f"{topics.reply}: retention.ms is 1000: by it Kafka deletes replies" in caplog.text
    assert f"{topics.deadletter}: cleanup.policy is compact" in caplog.text


@pytest.mark.kafka
@pytest.mark.parametrize("kind", ["mailbox", "reply", "deadletter"])
def test_what_callers_are_told_of_is_warned_of_and_starts(address, made, tmp_path, caplog, kind):
    topics, change = made
    change(kind, max_message_bytes="1048588")  # Kafka's default
    serve(address, topics, tmp_path)
    (said,) = [r.message for r in caplog.records if "max.message.bytes is 1048588" in r.message]
    assert f"{topics.prefix}{kind}: " in said
    assert "max_message = 1048576" in said
    assert f"--entity-name {topics.prefix}{kind} --add-config max.message.bytes=" in said


def test_the_room_that_is_needed_is_what_this_installation_takes():
    topics = Topics("t.")
    settings = {"t.mailbox": {"max.message.bytes": "1048588"}, "t.journal": {"max.message.bytes": "6000000"}}
    assert retention.unsafe(topics, settings, 500_000) == []
    small = retention.unsafe(topics, settings, 4 << 20)
    assert [(some.topic, some.wanted, some.fatal) for some in small] == [
        ("t.mailbox", str(5 << 20), False), ("t.journal", str(16 << 20), True),
    ]  # fmt: skip


@pytest.mark.kafka
def test_who_may_not_read_settings_is_warned_and_starts(address, made, caplog):
    topics, change = made
    change("journal", retention_ms="1000")

    def rule(operation, permission):
        return AclBinding(
            ResourceType.TOPIC, topics.prefix, ResourcePatternType.PREFIXED, "User:ANONYMOUS", "*", operation,
            permission,
        )  # fmt: skip

    admin = AdminClient({"bootstrap.servers": address})
    rules = [
        rule(AclOperation.ALL, AclPermissionType.ALLOW),
        rule(AclOperation.DESCRIBE_CONFIGS, AclPermissionType.DENY),
    ]
    for future in admin.create_acls(rules).values():
        future.result(10)
    log = KafkaLog(address)
    retention.check(log, topics, 1 << 20)
    log.close()
    (warning,) = [r.message for r in caplog.records if "was not checked" in r.message]
    assert topics.mailbox in warning
    assert "DESCRIBE_CONFIGS" in warning


def test_what_topics_are_created_with_is_safe():
    topics = Topics("t.")
    created = {spec.name: spec.config for spec in topology.specs(topics, 1)}
    assert retention.unsafe(topics, created, MAX_MESSAGE) == []
