"""A clock that is minutes from those of the others is named, once, with what to do."""

import re
import time

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from installation import Installation

from plexstream.log.base import TopicSpec
from plexstream.log.kafka.log import KafkaLog
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import LogError, Refused
from plexstream.node.shared.clocks import FAR_MS, Clocks

SET, TOPIC = AlterConfigOpType.SET, ConfigResource.Type.TOPIC
NOW = 1_700_000_000_000


@pytest.fixture
def told(caplog):
    return lambda: [r.message for r in caplog.records if "clock" in r.message]


def test_a_node_that_writes_in_the_future_is_named_once(told):
    clocks = Clocks("here")
    for partition in range(8):
        clocks.wrote(partition, "there", NOW + 600_000, NOW)
    (said,) = told()
    assert "node there wrote to the journal 600 s in the future of node here" in said
    assert "NTP" in said
    clocks.wrote(0, "other", NOW + FAR_MS, NOW)
    assert len(told()) == 2


@pytest.mark.parametrize(
    ("made", "stamped", "now", "said"),
    [
        (NOW + 600_000, NOW, NOW + 600_500, "node here is 600 s ahead of the broker's"),
        (NOW, NOW + 600_000, NOW + 500, "node here is 600 s behind the broker's"),
        (NOW, NOW + 600_000, NOW + 600_500, None),  # the append took long
        (NOW, NOW, NOW + 600_000, None),
        (NOW, NOW + FAR_MS - 1, NOW, None),
        (NOW + FAR_MS - 1, NOW, NOW, None),
    ],
)
def test_the_own_clock_is_compared_with_the_broker_s(told, made, stamped, now, said):
    Clocks("here").appended(3, made, stamped, now)
    assert [message for message in told() if said and said in message] == told()
    assert len(told()) == (said is not None)


class Shifted(MemoryLog):
    """Stamps what is appended with a clock that can be set."""

    def __init__(self):
        self.ahead_s = 0
        super().__init__(lambda: round((time.time() + self.ahead_s) * 1000))


def test_whoever_takes_over_from_a_node_that_is_ahead_says_so(tmp_path, told):
    log = Shifted()
    with Installation(log, tmp_path):
        assert told() == []
        log.ahead_s = 900  # as records of a node whose clock is ahead
    log.ahead_s = 0
    with Installation(log, tmp_path / "other"):
        pass
    (said,) = told()
    assert re.search(r"node test-node wrote to the journal \d{3} s in the future of node test-node", said)


def test_whoever_is_ahead_of_the_broker_says_so(tmp_path, told):
    log = Shifted()
    log.ahead_s = -900
    with Installation(log, tmp_path):
        pass
    (said,) = told()
    assert "the clock of node test-node is" in said
    assert "ahead of the broker's" in said


@pytest.mark.kafka
def test_a_node_whose_clock_is_far_from_the_brokers_serves_all_the_same(tmp_path, kafka):
    """To these topics every clock is wrong, as that of a node is to others that is an hour ahead."""
    wrong = {"message.timestamp.before.max.ms": "0"}
    log = KafkaLog(kafka)
    prefix = f"clocks{time.time_ns()}."
    installation = Installation(log, tmp_path, prefix=prefix)
    admin = AdminClient({"bootstrap.servers": kafka})
    entries = [ConfigEntry(name, value, incremental_operation=SET) for name, value in wrong.items()]
    own = [name for name in log.topics() if name.startswith(prefix)]
    resources = [ConfigResource(TOPIC, name, incremental_configs=entries) for name in own]
    altered = admin.incremental_alter_configs(resources)
    for done in altered.values():
        done.result(30)
    with installation as i:
        assert i.ask("account/alice", "deposit", amount=5) == {"balance": 5}
        assert i.end(0) + i.end(1) > 0
    theirs = f"{prefix}theirs"
    log.create([TopicSpec(theirs, 1, wrong)])
    transaction = log.transaction(f"{prefix}relay")
    with pytest.raises(LogError, match="NTP") as refused:
        transaction.commit([(theirs, 0, b"k", b"v" * 1000)], {})
    assert not isinstance(refused.value, Refused), "a clock can be set right: it is no dead letter"
    transaction.close()
    log.close()
