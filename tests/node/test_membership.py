"""The consumer that is a member of the workers' group: whatever happens to it, it joins again."""

import pytest
from installation import wait_until

from plexstream.log.base import TopicSpec
from plexstream.log.kafka.log import KafkaLog
from plexstream.log.kafka.views import Views
from plexstream.model.topics import Topics
from plexstream.node import membership
from plexstream.node.membership import Membership

pytestmark = pytest.mark.kafka


@pytest.fixture
def topics(kafka, topic_prefix):
    topics = Topics(topic_prefix)
    log = KafkaLog(kafka)
    log.create([TopicSpec(topics.mailbox, 2)])
    log.close()
    return topics


def test_a_member_that_fails_joins_again(kafka, topics, monkeypatch, caplog):
    monkeypatch.setattr(membership, "RETRY_S", 0.1)
    had = []

    def assign(partitions, known):
        had.append(partitions)
        if len(had) == 1:
            raise RuntimeError("the worker was not ready")

    member = Membership(
        kafka, {"consumer.client.rack": "here"}, topics, "one", assign, lambda p: True, Views(kafka, {})
    )
    member.start()
    wait_until(lambda: had[2:] and had[-1] == {0, 1})
    member.stop()
    assert "membership begins anew" in caplog.text


def test_a_member_for_which_no_client_can_be_made_tries_again(kafka, topics, monkeypatch, caplog):
    monkeypatch.setattr(membership, "RETRY_S", 0.1)
    real, refused = membership.Consumer, []

    def consumer(config):
        if not refused:
            refused.append(config)
            raise OSError("no file descriptors")
        return real(config)

    monkeypatch.setattr(membership, "Consumer", consumer)
    had = []
    assign = lambda have, known: had.append(have)  # noqa: E731
    member = Membership(kafka, {}, topics, "one", assign, lambda p: True, Views(kafka, {}))
    member.start()
    wait_until(lambda: had and had[-1] == {0, 1})
    member.stop()
    assert "no file descriptors" in caplog.text
