"""Values of the configuration: durations, sizes, addresses, names; and what feeds a space."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from plexstream.model.errors import ConfigError
from plexstream.sdk.host.coordination.kept.spaces import TupleSpace
from plexstream.sdk.host.coordination.operation import MAX_NAME
from plexstream.sdk.spec import MAX_SECONDS

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNITS_BYTES = {
    "b": 1, "kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
}  # fmt: skip
_MOST = 1e15
"""Nobody means more; and what is no number is not less."""
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def duration(value: object) -> object:
    return _quantity(value, _UNITS_MS, 1_000, 'seconds, or text such as "500ms", "30s", "5m", "1h" or "7d"')


def size(value: object) -> object:
    return _quantity(value, _UNITS_BYTES, 1, 'bytes, or text such as "512KiB" or "32MiB"')


def _quantity(value: object, units: Mapping[str, int], plain: int, allowed: str) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST:
        return round(value * plain)
    found = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    unit = found[2].lower() if found else ""
    if found is None or (unit and unit not in units):
        raise ValueError(f"give {allowed}")
    return round(float(found[1]) * (units[unit] if unit else plain))


def _brokers(value: str) -> str:
    for broker in filter(None, value.split(",")):
        protocol, found, _ = broker.strip().partition("://")
        if found and protocol.upper() not in ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"):
            raise ValueError(
                f"{broker.strip()!r} is no broker: write host:port, as in localhost:9092, several with commas"
            )
    return value


def _object_store(value: str) -> str:
    kind, found, rest = value.partition("://")
    if value and not (found and rest.strip("/") and (kind == "s3" or (kind == "file" and rest[0] == "/"))):
        raise ValueError('give "s3://bucket/prefix" or "file:///folder"')
    return value


def _name_of(what: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not 0 < len(value.encode()) <= MAX_NAME:
            raise ValueError(f"give a {what} a name of 1 to {MAX_NAME} bytes")
        return value

    return check


def _shards(value: str) -> str:
    TupleSpace(lambda _: None, value)  # raises
    return value


Milliseconds = Annotated[int, BeforeValidator(duration), Field(ge=0)]
Bytes = Annotated[int, BeforeValidator(size), Field(ge=1)]
Count = Annotated[int, Field(ge=1)]
Brokers = Annotated[str, AfterValidator(_brokers)]
ObjectStore = Annotated[str, AfterValidator(_object_store)]
TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class Fed(BaseModel):
    """``[queues.NAME]``, ``[channels.NAME]``: the topic that feeds one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: TopicName = Field(alias="from")


class FedSpace(Fed):
    """``[spaces.NAME]``: the same of a space."""

    ttl: Annotated[int, BeforeValidator(duration), Field(ge=1, le=MAX_SECONDS * 1000)] | None = None


FedSpaces = dict[Annotated[str, AfterValidator(_name_of("space")), AfterValidator(_shards)], FedSpace]
FedQueues = dict[Annotated[str, AfterValidator(_name_of("queue"))], Fed]
FedChannels = dict[Annotated[str, AfterValidator(_name_of("channel"))], Fed]


def check_fed(tables: Mapping[str, Mapping[str, Fed]], own: Collection[str]) -> None:
    """Raises ConfigError where a topic that is the system's own feeds something."""
    for table, named in tables.items():
        for name, fed in named.items():
            if fed.topic in own:
                held = "tuples" if table == "spaces" else "messages of yours"
                raise ConfigError(
                    f"{table}.{name}.from = {fed.topic!r}: that topic is the system's, and holds no {held}: "
                    "name one of your own"
                )
