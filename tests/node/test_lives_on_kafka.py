"""Real topics that are deleted and made again, and a real broker that is put back to an earlier point."""

import logging
import shutil

import pytest
from confluent_kafka.admin import AdminClient
from installation import Installation, wait_until

from plexstream.log.kafka.log import KafkaLog
from plexstream.log.open import open_log
from plexstream.model.topics.topics import COPARTITIONED, Topics
from plexstream.testing.kafka.broker import LocalBroker

ACTORS = [f"account/{n}" for n in range(8)]


@pytest.fixture(autouse=True)
def told(caplog):
    caplog.set_level(logging.INFO)


def deposit(i, times=1):
    for _ in range(times):
        found = [i.ask(address, "deposit", amount=1)["balance"] for address in ACTORS]
    return found


def delete(address, names):
    admin = AdminClient({"bootstrap.servers": address})
    for future in admin.delete_topics(names).values():
        future.result(10)
    wait_until(lambda: not {*names} & {*admin.list_topics(timeout=10).topics})


@pytest.mark.kafka
def test_topics_that_are_made_again_begin_anew_though_stores_and_positions_are_there(
    kafka, topic_prefix, tmp_path, caplog
):
    topics = Topics(topic_prefix)
    out = topics.out("deposits")

    def outputs():  # none before the first of them makes the topic
        return sum(log.range((out, p))[1] for p in range(log.partitions(out) or 0))

    log = KafkaLog(kafka)
    with Installation(log, tmp_path, prefix=topic_prefix) as i:
        deposit(i, 3)
        wait_until(lambda: outputs() >= 24)
    delete(kafka, [*(f"{topic_prefix}{kind}" for kind in COPARTITIONED), topics.control, out])
    log.close()
    log = KafkaLog(kafka)
    with Installation(log, tmp_path, prefix=topic_prefix) as i:
        assert deposit(i) == [1] * 8
        wait_until(lambda: outputs() >= 8)  # what left is remembered by positions of the former journal
    assert caplog.text.count("it is of another life of the journal") == 2
    log.close()


@pytest.mark.kafka
def test_a_broker_that_is_put_back_to_an_earlier_point_is_told_and_goes_on(tmp_path, caplog):
    with LocalBroker(tmp_path / "broker") as broker:
        log = KafkaLog(broker.address)
        with Installation(log, tmp_path / "state") as i:
            assert deposit(i, 2) == [2] * 8
        broker.stop()
        shutil.copytree(broker.folder / "data", tmp_path / "backup")
        broker.start()
        with Installation(log, tmp_path / "state") as i:
            assert deposit(i, 4) == [6] * 8
            ends = [i.end(p) for p in range(2)]
        broker.stop()
        shutil.rmtree(broker.folder / "data")
        shutil.copytree(tmp_path / "backup", broker.folder / "data")
        broker.start()
        log.close()
        caplog.clear()
        log = KafkaLog(broker.address)
        with Installation(log, tmp_path / "state") as i:
            assert deposit(i) == [3] * 8
            assert all(i.end(p) > ends[p] for p in range(2))
        for p in range(2):
            assert f"partition {p}: the state store is rebuilt: the journal ends at" in caplog.text
        assert "are LOST. Was Kafka restored to an earlier point" in caplog.text
        caplog.clear()
        with Installation(log, tmp_path / "state") as i:
            assert deposit(i) == [4] * 8
        assert "rebuilt" not in caplog.text
        log.close()


def embedded(path, state):
    log = open_log(f"embedded:{path}")
    return log, Installation(log, state)


def test_an_embedded_log_of_another_life_beside_a_store(tmp_path, caplog):
    """Two installations, and one's folder of stores is given to the other."""
    for name, times in (("a", 2), ("b", 5)):
        log, i = embedded(tmp_path / name, tmp_path / f"state-{name}")
        with i:
            deposit(i, times)
        log.close()
    for name, other, balance in (("a", "b", 3), ("b", "a", 6)):
        folder = tmp_path / f"mixed-{name}"
        shutil.copytree(tmp_path / f"state-{other}", folder)
        caplog.clear()
        log, i = embedded(tmp_path / name, folder)
        with i:
            assert deposit(i) == [balance] * 8
        log.close()
        assert caplog.text.count("it is of another life of the journal") == 2


def test_a_copy_of_an_embedded_log_that_went_on_beside_the_stores_of_the_original(tmp_path, caplog):
    """The same ids, and other records under the same offsets."""
    log, i = embedded(tmp_path / "log", tmp_path / "state")
    with i:
        deposit(i, 2)
    log.close()
    shutil.copytree(tmp_path / "log", tmp_path / "copy")
    log, i = embedded(tmp_path / "copy", tmp_path / "other")
    with i:
        assert deposit(i, 8) == [10] * 8
    log.close()
    log, i = embedded(tmp_path / "log", tmp_path / "state")
    with i:
        assert deposit(i, 2) == [4] * 8
    log.close()
    caplog.clear()
    log, i = embedded(tmp_path / "copy", tmp_path / "state")
    with i:
        assert deposit(i) == [11] * 8
    log.close()
    assert caplog.text.count("the log has another history below") == 2


def test_an_older_embedded_log_beside_a_newer_store(tmp_path, caplog):
    """An older store beside the newer log is only behind: it is brought up."""
    log, i = embedded(tmp_path / "log", tmp_path / "state")
    with i:
        deposit(i, 2)
    log.close()
    shutil.copytree(tmp_path / "log", tmp_path / "older")
    shutil.copytree(tmp_path / "state", tmp_path / "older-state")
    log, i = embedded(tmp_path / "log", tmp_path / "state")
    with i:
        deposit(i, 3)
    log.close()
    log, i = embedded(tmp_path / "log", tmp_path / "older-state")
    with i:
        assert deposit(i) == [6] * 8
    log.close()
    assert "rebuilt" not in caplog.text
    log, i = embedded(tmp_path / "older", tmp_path / "state")
    with i:
        assert deposit(i) == [3] * 8
    log.close()
    assert "are LOST" in caplog.text
