"""A real broker that lets a node write everything but one output topic."""

import time

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from installation import Installation, wait_until

from plexstream.log.base import TopicSpec
from plexstream.log.kafka.log import KafkaLog
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes import outputs
from plexstream.schema.codec import decode_dead_letter
from plexstream.testing.kafka.broker import LocalBroker
from plexstream.testing.kafka.process.ports import free_port

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

APP = """
from plexstream import actor, handler, host, state

@actor
class A:
    n: int = state(default=0)

    @handler("emit")
    def emit(self, topic: str) -> int:
        self.n += 1
        for one in topic.split():
            host.emit(one, {"n": self.n})
        return self.n
"""
USER = "User:node"


@pytest.fixture(scope="module")
def guarded():
    """A broker, and the address at which clients must name themselves. Anonymous ones elsewhere may all."""
    plain, named, controller = free_port(), free_port(), free_port()
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required user_node=\"secret\";"
    settings = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{plain},NAMED://127.0.0.1:{named},"
        f"CONTROLLER://127.0.0.1:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,NAMED:SASL_PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.name.named.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.named.plain.sasl.jaas.config": login,
    }
    with LocalBroker(port=plain, settings=settings) as broker:
        yield broker, f"127.0.0.1:{named}"


def rule(kind, name, operation, permission):
    pattern = ResourcePatternType.LITERAL
    return AclBinding(kind, name, pattern, USER, "*", operation, permission)


def letters(log, topics):
    found = []
    for partition in range(log.partitions(topics.deadletter)):
        place = (topics.deadletter, partition)
        first, end = log.range(place)
        reader = log.reader(committed=True)
        reader.assign(place, first)
        while first < end and (records := reader.read(100, 2.0)):
            found += [decode_dead_letter(r.value) for r in records]
            first = records[-1].offset + 1
        reader.close()
    return found


def test_what_may_not_be_written_is_put_aside(guarded, topic_prefix, tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "REFUSED_S", 1.0)
    broker, address = guarded
    topics = Topics(topic_prefix)
    forbidden, free = topics.out("forbidden"), topics.out("free")
    (tmp_path / "app.py").write_text(APP)
    root = KafkaLog(broker.address)
    root.create([TopicSpec(forbidden, 2), TopicSpec(free, 2)])
    admin = AdminClient({"bootstrap.servers": broker.address})
    kinds = ((ResourceType.TOPIC, "*"), (ResourceType.GROUP, "*"), (ResourceType.TRANSACTIONAL_ID, "*"))
    rules = [rule(*kind, AclOperation.ALL, AclPermissionType.ALLOW) for kind in kinds]
    rules.append(rule(ResourceType.BROKER, "kafka-cluster", AclOperation.ALL, AclPermissionType.ALLOW))
    no = rule(ResourceType.TOPIC, forbidden, AclOperation.WRITE, AclPermissionType.DENY)
    for made in admin.create_acls([*rules, no]).values():
        made.result(10)
    log = KafkaLog(address, {
        "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "node",
        "sasl.password": "secret",
    })  # fmt: skip
    with Installation(log, tmp_path / "state", None, tmp_path / "app.py", topic_prefix) as i:
        asked = [i.ask("a/1", "emit", topic=topic) for topic in ("forbidden", "free", "forbidden", "free")]
        assert asked == [1, 2, 3, 4]
        wait_until(lambda: [x.payload for x in letters(root, topics)] == [b'{"n":1}', b'{"n":3}'], 30)
        letter = letters(root, topics)[0]
        assert letter.reason == "output_refused"
        assert forbidden in letter.detail
        wait_until(lambda: count(root, free) == 2)
        # A turn that may write one topic, and not another one.
        clear = time.monotonic() + outputs.REFUSED_S
        wait_until(lambda: time.monotonic() > clear)  # nobody knows any more which one
        assert i.ask("a/1", "emit", topic="free forbidden free") == 5
        wait_until(lambda: [x.payload for x in letters(root, topics)][2:] == [b'{"n":5}'], 30)
        wait_until(lambda: count(root, free) == 4)
        # Somebody gives the right: what comes then leaves.
        for gone in admin.delete_acls([filter_of(no)]).values():
            gone.result(10)
        n = 5

        def leaves():
            nonlocal n
            n += 1
            assert i.ask("a/1", "emit", topic="forbidden") == n
            return count(root, forbidden) > 0

        wait_until(leaves, 30)
    log.close()
    root.close()


def filter_of(binding):
    return AclBindingFilter(
        binding.restype, binding.name, binding.resource_pattern_type, binding.principal, binding.host,
        binding.operation, binding.permission_type,
    )  # fmt: skip


def count(log, topic):
    """How many records of committed transactions a topic has."""
    total = 0
    for partition in range(log.partitions(topic)):
        place = (topic, partition)
        first, end = log.range(place)
        reader = log.reader(committed=True)
        reader.assign(place, first)
        while first < end and (records := reader.read(100, 1.0)):
            total += len(records)
            first = records[-1].offset + 1
        reader.close()
    return total
