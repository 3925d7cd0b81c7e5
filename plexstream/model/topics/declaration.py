"""The declaration of the topics: what each is for, and how Kafka has to keep it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from plexstream.model.errors import ConfigError

COPARTITIONED = ("mailbox", "journal", "snapshot", "reply", "deadletter", "tuplespace")
"""Topics with one and the same number of partitions, fixed at creation."""

KINDS = (*COPARTITIONED, "control", "out")
"""Of all topics that plexstream makes."""

INSTALLATION = "installation"
"""As many partitions as the installation has."""


class Declared(NamedTuple):
    """One kind of topic.

    Attributes:
        partitions: how many; 0: as many as the installation has.
        settings: Kafka's, by its names.
    """

    partitions: int
    settings: dict[str, str]


Declaration = Mapping[str, Declared]
"""All kinds of topics, by their names."""


@cache
def declaration() -> Declaration:
    """The one that the package was built with.

    Raises:
        ConfigError: it is not there, or not as it should be: the installation of the package is broken.
    """
    file = resources.files("plexstream.model.topics") / "declared" / "system.yaml"
    try:
        text = file.read_text()
    except OSError as error:
        raise ConfigError(
            f"{file}, which declares the topics, cannot be read ({error.strerror}): install plexstream anew"
        ) from error
    return parse(text, str(file))


def read(path: Path) -> Declaration:
    """The declaration in a file of an operator's.

    Raises:
        ConfigError: it cannot be read, or is none. The message names file, topic and setting.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise ConfigError(f"the topics' declaration {path} cannot be read: {why}") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Declaration:
    """A declaration from its text. `name`: of the file, for messages.

    Raises:
        ConfigError: it is none.
    """
    import yaml  # here: nobody else pays for it

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        _refuse_twins(name, node)
        found: Any = None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{name}{where} is no YAML: {problem}") from error
    finally:
        loader.dispose()
    _check_keys(name, "", found, {"topics"})
    _check_keys(name, "topics", found["topics"], set(KINDS))
    return {kind: _declared(name, kind, found["topics"][kind]) for kind in KINDS}


def _refuse_twins(name: str, node: Any) -> None:
    """Refuse a key that is given twice: YAML would forget the first one without a word."""
    if not isinstance(getattr(node, "value", None), list):
        return
    seen: set[str] = set()
    for item in node.value:
        key, inner = item if isinstance(item, tuple) else (None, item)
        if key is not None and isinstance(key.value, str):
            if key.value in seen:
                raise ConfigError(f"{name}, line {key.start_mark.line + 1}: {key.value!r} is given twice")
            seen.add(key.value)
        _refuse_twins(name, inner)


def _declared(name: str, kind: str, found: Any) -> Declared:
    where = f"topics.{kind}"
    _check_keys(name, where, found, {"partitions", "settings"})
    partitions, right = found["partitions"], 1 if kind == "control" else INSTALLATION
    if partitions != right or isinstance(partitions, bool):
        why = "" if kind == "control" else ": how many that are is said by --partitions, when it begins"
        raise ConfigError(f"{name}: {where}.partitions is {partitions!r}, and has to be {right!r}{why}")
    settings = found["settings"]
    if not isinstance(settings, dict):
        raise ConfigError(f"{name}: {where}.settings has to be settings of Kafka's by their names")
    return Declared(
        0 if right == INSTALLATION else 1,
        {str(key): _text(name, f"{where}.settings", key, value) for key, value in settings.items()},
    )


def _text(name: str, where: str, key: Any, value: Any) -> str:
    """A setting's value as Kafka takes it."""
    if not isinstance(key, str):
        raise ConfigError(f"{name}: {where}: {key!r} is no name of a setting of Kafka's")
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, int | float | str) or value == "":
        raise ConfigError(f"{name}: {where}: {key} is {value!r}, and has to be a number or a text")
    return str(value)


def _check_keys(name: str, where: str, found: Any, keys: set[str]) -> None:
    """Refuse what has not precisely these keys."""
    at = f"{name}: {where}" if where else name
    if not isinstance(found, dict):
        raise ConfigError(f"{at} has to have {', '.join(sorted(keys))}, and is {found!r}")
    unknown = [str(key) for key in found if key not in keys]
    if unknown:
        raise ConfigError(f"{at}: there is no {unknown[0]!r}: known are {', '.join(sorted(keys))}")
    missing = sorted(keys - found.keys())
    if missing:
        raise ConfigError(f"{at}: {missing[0]!r} is missing")
