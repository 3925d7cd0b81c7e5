"""What users get wrong is told in one line: the thing, the value, what to do."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from plexstream.node.setup.folder import Folder

BANK = str(Path(__file__).with_name("bank.py"))


@pytest.mark.parametrize("below", ["", "below"])
def test_a_data_folder_that_cannot_be_made(cli, tmp_path, below):
    (tmp_path / "file").touch()
    data = tmp_path / "file" / below
    said = cli("dev", BANK, "--data", str(data), code=2).stderr
    assert f"data folder {data} cannot be made (" in said
    assert "name another with --data DIR" in said
    assert "name another" in cli("bench", "--data", str(data), code=2).stderr


def test_another_number_of_partitions_is_refused(dev, cli):
    dev.end(signal.SIGTERM)
    said = cli("dev", BANK, "--data", str(dev.data), "--partitions", "9", code=2).stderr
    assert "partitions = 9, but plex.mailbox has 8, which is fixed: give --partitions 8" in said


def test_a_data_folder_of_another_node_on_kafka(cli, kafka, topic_prefix, tmp_path):
    there = Folder(tmp_path)
    there.hold()
    command = ["run", BANK, "--kafka", kafka, "--prefix", topic_prefix, "--data", str(tmp_path)]
    said = cli(*command, code=2).stderr
    assert f"data folder {tmp_path} is in use by another node: stop that one" in said
    there.release()
    again = Folder(tmp_path)
    again.hold()
    again.release()


@pytest.mark.parametrize("name", ["PLEXSTREAM_KAFKA_SETTINGS", "PLEXSTREAM_OUTPUTS"])
def test_a_variable_that_is_no_json_is_named(cli, monkeypatch, name):
    monkeypatch.setenv(name, "{x")
    said = cli("doctor", code=2).stderr
    assert f"environment variable {name}: give a JSON object: " in said


def test_a_kafka_setting_of_plexstreams_own(cli, tmp_path):
    (tmp_path / "plexstream.toml").write_text('[kafka]\naddress = "localhost:1"\nacks = "1"\n')
    said = cli("doctor", code=1).stdout
    assert "Kafka setting 'acks' is plexstream's own" in said
    assert "firewall" not in said


@pytest.mark.parametrize("url", ["localhost:8000", "htp://x", "http://", "http://x:port"])
def test_what_is_no_url(cli, url):
    said = cli("call", "account/alice", "balance", "--url", url, code=2).stderr
    assert f"--url '{url}'" in said


@pytest.mark.parametrize("seconds", ["-1", "0", "86401", "soon"])
def test_a_timeout_that_cannot_be(cli, seconds):
    assert "--timeout" in cli("call", "account/alice", "balance", "--timeout", seconds, code=2).stderr


def test_an_empty_idempotency_key_is_no_key(cli):
    said = cli("call", "account/alice", "balance", "--idempotency-key", "", code=2).stderr
    assert "--idempotency-key is empty" in said


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        ("x = 1\n\nx.y\n", 3, "importing it raised AttributeError"),
        ("import nothere\n", 1, "importing it raised ModuleNotFoundError"),
        (
            "from plexstream import actor, handler\n\n\n@actor\nclass A:\n    def __init__(self): ...\n",
            4,
            "A has an __init__",
        ),
    ],
)
def test_the_line_of_a_mistake_in_the_file(cli, tmp_path, source, line, said):
    file = tmp_path / "bad.py"
    file.write_text(source)
    assert f"{file}:{line}: {said}" in cli("dev", str(file), code=2).stderr
    assert "a folder; give a Python file" in cli("dev", str(tmp_path), code=2).stderr


def test_numbers_that_json_has_not_are_text(dev, cli):
    for value in ("NaN", "1e400", "-Infinity"):
        said = cli("call", "account/a", "deposit", f"amount={value}", "--url", dev.url, code=1).stderr
        assert "Expected `int`, got `str`" in said
        assert 'account.deposit: amount is "' in said
    said = cli("call", "account/a", "deposit", '{"amount": NaN}', "--url", dev.url, code=2).stderr
    assert "is no JSON" in said


def test_a_tell_that_comes_to_nothing_is_in_the_log(dev, cli):
    cli("tell", "account/alice", "deposit", "amount=x", "--url", dev.url)
    cli("tell", "nobody/alice", "deposit", "amount=1", "--url", dev.url)
    wanted = [
        "put aside: default/default/account/alice.deposit: bad_arguments: account.deposit: amount is \"x\"",
        "put aside: default/default/nobody/alice.deposit: unknown_type: no actor type 'nobody'",
    ]
    for _ in range(100):
        if all(line in dev.out.read_text() for line in wanted):
            return
        time.sleep(0.1)
    pytest.fail(dev.out.read_text())


def test_an_invocation_that_does_not_wait(dev, cli):
    said = cli("cancel", "account/alice#7", "--url", dev.url, code=1).stderr
    assert "default/default/account/alice has no invocation 7 that waits; those that do: none" in said


def test_a_broken_configuration_is_told_with_its_file(cli, tmp_path):
    file = tmp_path / "plexstream.toml"
    for text, said in (
        ('app = "bank.py', "is no TOML"),
        ("ap = 1\n", "is app meant?"),
        ("[htp]\nport = 1\n", "is [http] meant?"),
        ('[http]\nport = "abc"\n', "http_port = 'abc'"),
    ):
        file.write_text(text)
        assert said in (error := cli("state", "list", code=2).stderr)
        assert str(file) in error


def test_what_is_given_twice_or_in_the_place_of_another(cli):
    said = cli("call", "account/a", "deposit", "amount=5", "amount=6", code=2).stderr
    assert "argument 'amount=6': amount is given twice" in said
    assert "write account, or state get ADDRESS" in cli("state", "list", "account/alice", code=2).stderr
