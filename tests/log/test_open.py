import pytest

from plexstream.log.embedded.log import EmbeddedLog
from plexstream.log.kafka.log import KafkaLog
from plexstream.log.memory.memory import MemoryLog
from plexstream.log.open import open_log
from plexstream.model.errors import ConfigError


def test_addresses_of_logs(tmp_path, monkeypatch):
    assert isinstance(open_log("memory:"), MemoryLog)
    monkeypatch.chdir(tmp_path)
    for url, path in (
        (f"embedded:{tmp_path}/one", tmp_path / "one"),
        (f"embedded://{tmp_path}/two", tmp_path / "two"),
        (f"{tmp_path}/three", tmp_path / "three"),
        ("embedded:four", tmp_path / "four"),
        ("./five", tmp_path / "five"),
    ):
        log = open_log(url)
        assert isinstance(log, EmbeddedLog)
        assert log.path.resolve() == path
        log.close()
    log = open_log("kafka://a:9092,b:9092", {"client.id": "me"})
    assert isinstance(log, KafkaLog)
    assert log.bootstrap == "a:9092,b:9092"
    log.close()


@pytest.mark.parametrize("url", ["", "kafka://", "kafka:", "redis://host", "kafka://a:1/b", "embedded:"])
def test_addresses_that_are_none(url):
    with pytest.raises(ConfigError, match="log "):
        open_log(url)


def test_settings_only_kafka_takes(tmp_path):
    with pytest.raises(ConfigError, match=r"client\.id"):
        open_log(str(tmp_path), {"client.id": "me"})


@pytest.mark.parametrize("key", ["acks", "producer.enable.idempotence", "consumer.isolation.level"])
def test_settings_that_would_break_a_promise_are_refused(key):
    with pytest.raises(ConfigError, match=key):
        open_log("kafka://a:9092", {key: "1"})
