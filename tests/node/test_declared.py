"""A declaration by which topics would lose or refuse what is needed is refused, by topic and setting."""

from importlib import resources

import pytest

from plexstream.model.errors import ConfigError
from plexstream.model.topics.declaration import declaration, parse
from plexstream.node.setup.retention import refuse_unsafe

MAX_MESSAGE = 4 << 20
SYSTEM = (resources.files("plexstream.model.topics") / "declared" / "system.yaml").read_text()


def own(kind, **changes):
    """The declaration with other settings of one topic; None: the setting is left out."""
    found = dict(declaration())
    settings = found[kind].settings | {name.replace("_", "."): value for name, value in changes.items()}
    found[kind] = found[kind]._replace(settings={k: v for k, v in settings.items() if v is not None})
    return found


def test_the_packages_own_is_safe():
    refuse_unsafe(declaration(), MAX_MESSAGE, "system.yaml")


@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [
        ("journal", "cleanup.policy", "compact"),
        ("journal", "cleanup.policy", "compact,delete"),
        ("journal", "retention.ms", "604800000"),
        ("journal", "retention.ms", None),
        ("journal", "retention.bytes", "1000"),
        ("journal", "max.message.bytes", None),
        ("journal", "message.timestamp.type", "CreateTime"),
        ("mailbox", "retention.ms", None),
        ("mailbox", "cleanup.policy", "compact"),
        ("mailbox", "max.message.bytes", "1048588"),
        ("snapshot", "cleanup.policy", "delete"),
        ("snapshot", "cleanup.policy", None),
        ("snapshot", "max.message.bytes", None),
        ("control", "cleanup.policy", None),
        ("control", "message.timestamp.type", None),
        ("reply", "retention.ms", "1000"),
        ("reply", "cleanup.policy", "compact"),
        ("deadletter", "cleanup.policy", "compact"),
    ],
)
def test_what_weakens_it_is_refused_by_name(kind, setting, value):
    with pytest.raises(ConfigError) as refused:
        refuse_unsafe(own(kind, **{setting.replace(".", "_"): value}), MAX_MESSAGE, "own.yaml")
    said = str(refused.value)
    assert said.startswith(f"own.yaml: topics.{kind}.settings: {setting} is ")
    assert "and has to be" in said
    assert ("the brokers' default" in said) == (value is None)


def test_what_only_keeps_more_or_less_of_what_is_read_is_the_operators():
    text = SYSTEM.replace("retention.ms: 3600000 ", "retention.ms: 7200000 ")
    text = text.replace("retention.ms: 2592000000", "retention.ms: 86400000")
    assert text.count("7200000") == text.count("86400000") == 1
    refuse_unsafe(parse(text, "own.yaml"), MAX_MESSAGE, "own.yaml")
