"""The declaration of the topics: what there is, and what is refused of a file of somebody's own."""

from importlib import resources
from pathlib import Path

import pytest

from plexstream.model.errors import ConfigError
from plexstream.model.topics import declaration
from plexstream.model.topics.declaration import COPARTITIONED, KINDS, parse, read
from plexstream.model.topics.topics import KEEPING

SYSTEM = resources.files("plexstream.model.topics") / "declared" / "system.yaml"
ROOT = Path(__file__).parents[2]


def test_the_package_is_built_from_the_file_at_the_top():
    assert SYSTEM.read_text() == (ROOT / "topics" / "system.yaml").read_text()


def test_every_kind_of_topic_is_declared():
    found = declaration.declaration()
    assert tuple(found) == KINDS == tuple(KEEPING)
    assert {kind for kind, of in found.items() if of.partitions == 0} == {*COPARTITIONED, "out"}
    assert found["control"].partitions == 1
    assert KEEPING["journal"]["retention.ms"] == "-1"
    assert all(of.settings["message.timestamp.type"] == "LogAppendTime" for of in found.values())


def changed(old, new):
    text = SYSTEM.read_text()
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "own.yaml has to have topics, and is None"),
        ("topics: [", "own.yaml, line 1 is no YAML: "),
        ("topics: *nothing", "own.yaml, line 1 is no YAML: "),
        ("- topics", "own.yaml has to have topics, and is ['topics']"),
        (changed("topics:", "topic:"), "own.yaml: there is no 'topic': known are topics"),
        (changed("  reply:", "  replies:"), "own.yaml: topics: there is no 'replies': known are control, "),
        (changed("    settings:", "    config:"), "topics.mailbox: there is no 'config': known are "),
        (changed("    partitions: 1\n", ""), "topics.control: 'partitions' is missing"),
        (changed("partitions: 1", "partitions: 2"), "topics.control.partitions is 2, and has to be 1"),
        (changed("partitions: 1", "partitions: true"), "topics.control.partitions is True, and has to be 1"),
        (
            changed("partitions: installation", "partitions: 8"),
            "topics.mailbox.partitions is 8, and has to be 'installation': how many that are is said by",
        ),
        (
            changed("cleanup.policy: compact", "cleanup.policy: [compact]"),
            "topics.snapshot.settings: cleanup.policy is ['compact'], and has to be a number or a text",
        ),
        (
            changed("retention.ms: 3600000", "retention.ms:"),
            "topics.reply.settings: retention.ms is None, and has to be a number or a text",
        ),
        (changed("  cleanup.policy: compact", "  1: compact"), "1 is no name of a setting of Kafka's"),
        (
            changed("retention.bytes: -1", "retention.bytes: -1\n      retention.bytes: 5"),
            "'retention.bytes' is given twice",
        ),
    ],
)
def test_what_is_no_declaration_is_refused_by_name(text, said):
    with pytest.raises(ConfigError) as refused:
        parse(text, "own.yaml")
    assert said in str(refused.value)
    assert str(refused.value).startswith("own.yaml")


def test_values_become_what_kafka_takes():
    found = parse(changed("cleanup.policy: compact", "cleanup.policy: compact\n      preallocate: true"), "x")
    assert found["snapshot"].settings["preallocate"] == "true"


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read: No such file"):
        read(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"bytes\.yaml cannot be read: it is no UTF-8"):
        read(tmp_path / "bytes.yaml")


def test_a_package_without_its_declaration_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(declaration.resources, "files", lambda package: tmp_path)
    with pytest.raises(ConfigError, match="install plexstream anew"):
        declaration.declaration.__wrapped__()
