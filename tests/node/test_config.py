from __future__ import annotations

from pathlib import Path

import pytest

from plexstream.model.errors import ConfigError
from plexstream.model.topics.topics import Topics
from plexstream.node.setup.config import Config, load_config, unknown_variables
from plexstream.processor import Settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(__import__("os").environ):
        if name.startswith("PLEXSTREAM_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_defaults():
    config = load_config()
    assert config.kafka == ""
    assert config.log_url() == "embedded:.plexstream/log"
    assert config.topics() == Topics("plex.")
    assert (config.http_host, config.http_port, config.partitions, config.workers) == (
        "127.0.0.1",
        8000,
        8,
        1,
    )
    assert config.settings() == Settings()
    assert config.node


def test_every_processor_setting_can_be_configured():
    assert set(Settings._fields) <= set(Config.model_fields), "a setting was added: give it a key in Config"


def test_flags_win_over_environment_over_file_over_defaults(monkeypatch, tmp_path):
    write(tmp_path / "plexstream.toml", 'workers = 2\n[http]\nport = 1001\nhost = "0.0.0.0"\n')
    monkeypatch.setenv("PLEXSTREAM_HTTP_PORT", "1002")
    assert load_config().http_port == 1002
    config = load_config(http_port=1003, workers=None)
    assert (config.http_port, config.http_host, config.workers) == (1003, "0.0.0.0", 2)


def test_a_file_is_found_upwards_and_its_paths_are_relative_to_it(monkeypatch, tmp_path):
    write(tmp_path / "plexstream.toml", 'app = "bank.py"\ndata = "d"\n')
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    config = load_config()
    assert config.app == tmp_path / "bank.py"
    assert config.data == tmp_path / "d"


def test_a_whole_file(tmp_path):
    file = write(
        tmp_path / "x.toml",
        """
        node = "one"
        [kafka]
        address = "a:9092,b:9092"
        security.protocol = "SSL"
        "ssl.ca.location" = "/ca.pem"
        socket.keepalive.enable = true
        [topics]
        prefix = "bank."
        partitions = 32
        [limits]
        max_message = "2MiB"
        [processor]
        reply_ttl = "2d"
        mark_interval = 0.5
        flush_bytes = "64MB"
        keep_history = true
        """,
    )
    config = load_config(file)
    assert config.log_url() == "kafka://a:9092,b:9092"
    assert config.kafka_settings == {
        "security.protocol": "SSL", "ssl.ca.location": "/ca.pem", "socket.keepalive.enable": "true",
    }  # fmt: skip
    assert (config.prefix, config.partitions, config.max_message) == ("bank.", 32, 2 << 20)
    settings = config.settings()
    assert settings.reply_ttl == 2 * 86_400_000
    assert settings.mark_interval == 500
    assert settings.flush_bytes == 64_000_000
    assert settings.keep_history


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wrokers = 2", "wrokers is no key of plexstream: is workers meant?"),
        ("[http]\nprot = 1", "[http] prot is no key of plexstream: is port meant?"),
        ("[proccessor]\nx = 1", "proccessor is no key of plexstream: is [processor] meant?"),
        (
            "snapshot_interval = 3",
            "snapshot_interval is no key of plexstream: is snapshot_interval in [processor]",
        ),
        ("http = 3", "http = 3 is no table"),
        ("kafka = 3", "kafka = 3"),
        ("[processor]\nreply_ttl = '5 weeks'", "reply_ttl = '5 weeks': give seconds, or text such as"),
        ("[topics]\npartitions = 0", "partitions = 0: input should be greater than or equal to 1"),
        ("[topics]\nreplication_factor = 0", "replication_factor = 0: input should be greater than or equal"),
        ("x = ", "is no TOML"),
    ],
)
def test_errors_name_file_key_value_and_what_to_write(tmp_path, text, expected):
    file = write(tmp_path / "plexstream.toml", text)
    with pytest.raises(ConfigError) as raised:
        load_config()
    assert expected in str(raised.value)
    assert str(file) in str(raised.value)


def test_replicas_in_sync_are_a_part_of_the_copies(tmp_path, monkeypatch):
    write(tmp_path / "plexstream.toml", "[topics]\nreplication_factor = 3\nmin_insync_replicas = 2")
    assert load_config().replication() == (3, 2)
    monkeypatch.setenv("PLEXSTREAM_REPLICATION_FACTOR", "1")
    with pytest.raises(ConfigError, match="min_insync_replicas = 2, but replication_factor = 1: nothing"):
        load_config()
    monkeypatch.delenv("PLEXSTREAM_REPLICATION_FACTOR")
    write(tmp_path / "plexstream.toml", "[topics]\nmin_insync_replicas = 2")
    with pytest.raises(ConfigError, match="min_insync_replicas = 2 without replication_factor"):
        load_config()


def test_errors_name_the_environment_variable(monkeypatch):
    monkeypatch.setenv("PLEXSTREAM_HTTP_PORT", "many")
    with pytest.raises(ConfigError, match="environment variable PLEXSTREAM_HTTP_PORT = 'many'"):
        load_config()
    monkeypatch.delenv("PLEXSTREAM_HTTP_PORT")
    monkeypatch.setenv("PLEXSTREAM_KAFKA_SETTINGS", "{")
    with pytest.raises(ConfigError, match="PLEXSTREAM_KAFKA_SETTINGS"):
        load_config()


def test_a_file_that_is_named_must_be_there(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_config(tmp_path / "missing.toml")
    monkeypatch.setenv("PLEXSTREAM_CONFIG", str(write(tmp_path / "other.toml", "workers = 7")))
    assert load_config().workers == 7


def test_variables_that_are_nearly_keys_are_told():
    environ = {"PLEXSTREAM_HTP_PORT": "1", "PLEXSTREAM_HTTP_PORT": "1", "PLEXSTREAM_SERVICE_HOST": "x"}
    assert unknown_variables(environ) == [
        "PLEXSTREAM_HTP_PORT is set, which is no key of plexstream: is PLEXSTREAM_HTTP_PORT meant?"
    ]


def test_a_member_keeps_its_id_and_another_data_folder_has_another(tmp_path):
    one = load_config(node="n", data=tmp_path / "a")
    assert one.member_id(1) == load_config(node="n", data=tmp_path / "a").member_id(1)
    ids = {one.member_id(0), one.member_id(1), load_config(node="n", data=tmp_path / "b").member_id(0)}
    assert len(ids) == 3
