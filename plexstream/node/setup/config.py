"""Configuration: flags, then environment, then a file, then defaults.

The file is ``plexstream.toml``, in the current folder or the nearest one above it that has one:

    app = "bank.py"                  # paths are relative to the file
    data = ".plexstream"
    workers = 2

    [http]
    port = 8000

    [kafka]
    address = "broker:9092"
    security.protocol = "SASL_SSL"   # whatever else is here is librdkafka's

    [topics]
    prefix = "plex."
    partitions = 8
    replication_factor = 3           # of topics that are created; by default as the brokers do
    min_insync_replicas = 2
    outputs = { deposits = "bank.deposits" }   # where host.emit("deposits", …) goes

    [spaces.orders]                  # a tuple space that a topic feeds: each value is a list
    from = "orders"                  # [queues.NAME] and [channels.NAME] take any JSON
    ttl = "1h"

    [limits]
    max_message = "1MiB"

    [blobs]
    url = "s3://bucket/prefix"       # credentials and endpoint as in AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …

    [processor]
    snapshot_interval = "5m"         # a number is in seconds

In the environment a key is ``PLEXSTREAM_`` and its flat name, as in ``PLEXSTREAM_HTTP_PORT``.
"""

from __future__ import annotations

import hashlib
import os
import socket
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from plexstream.blobs.objects import MAX_SIZE, Target
from plexstream.edge.http.limits import LIMITS, HttpLimits
from plexstream.log.base import Replication
from plexstream.model.errors import ConfigError
from plexstream.model.topics.topics import KINDS, Topics
from plexstream.node.setup.values import (
    Brokers,
    Bytes,
    Count,
    Fed,
    FedChannels,
    FedQueues,
    FedSpaces,
    Milliseconds,
    ObjectStore,
    TopicName,
    check_fed,
    duration,
    size,
)
from plexstream.processor import Settings

FILE_NAME = "plexstream.toml"
ENV_PREFIX = "PLEXSTREAM_"
MAX_MESSAGE = 4 * 1024 * 1024
"""The most that `max_message` may be: a turn has to fit into one journal record."""

_OTHER_VARIABLES = frozenset({"PLEXSTREAM_KAFKA_IMAGE", "PLEXSTREAM_CONFIG", "PLEXSTREAM_COMPILED"})
_D = Settings()


class Config(BaseSettings):
    """Everything that can be configured. Durations are in milliseconds once they are read.

    Make one with `load_config`; the constructor itself reads no file.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=ENV_PREFIX, extra="forbid", frozen=True, validate_default=False
    )

    app: Path | None = None
    manifest: Path | None = None
    strict: bool = False
    data: Path = Path(".plexstream")
    node: str = Field(default_factory=socket.gethostname, min_length=1, max_length=128)
    workers: Count = 1

    http_host: str = "127.0.0.1"
    http_port: int = Field(8000, ge=0, le=65_535)
    http_hosts: list[str] = []
    http_origins: list[str] = []
    http_topics: list[TopicName] = []
    http_max_connections: Count = LIMITS.connections
    http_max_header_bytes: Annotated[int, BeforeValidator(size), Field(ge=1_024)] = LIMITS.header_bytes
    http_max_headers: Annotated[int, Field(ge=10)] = LIMITS.headers
    http_max_url: Annotated[int, BeforeValidator(size), Field(ge=256)] = LIMITS.url_bytes
    http_max_bodies: Annotated[int, BeforeValidator(size), Field(ge=1 << 20)] = LIMITS.body_bytes
    http_request_time: Annotated[int, BeforeValidator(duration), Field(ge=100)] = 30_000

    kafka: Brokers = ""
    kafka_settings: dict[str, str] = {}

    prefix: str = Field("plex.", pattern=r"^[A-Za-z0-9._-]{0,100}$")
    partitions: int = Field(8, ge=1, le=10_000)
    replication_factor: int | None = Field(None, ge=1, le=32_767)
    min_insync_replicas: int | None = Field(None, ge=1, le=32_767)
    outputs: dict[str, TopicName] = {}
    spaces: FedSpaces = {}
    queues: FedQueues = {}
    channels: FedChannels = {}

    blobs_url: ObjectStore = ""
    blobs_max_size: Annotated[int, BeforeValidator(size), Field(ge=1, le=MAX_SIZE)] = MAX_SIZE

    max_message: Annotated[int, BeforeValidator(size), Field(ge=1_024, le=MAX_MESSAGE)] = 1 << 20
    long_handler: Annotated[int, BeforeValidator(duration), Field(ge=100)] = 5_000
    stuck_handler: Annotated[int, BeforeValidator(duration), Field(ge=100)] = 30_000

    mark_turns: Count = _D.mark_turns
    mark_interval: Milliseconds = _D.mark_interval
    flush_pieces: Count = _D.flush_pieces
    flush_bytes: Bytes = _D.flush_bytes
    flush_interval: Milliseconds = _D.flush_interval
    max_in_flight: Count = _D.max_in_flight
    max_waiting: Count = _D.max_waiting
    max_waiting_bytes: Bytes = _D.max_waiting_bytes
    reply_ttl: Milliseconds = _D.reply_ttl
    result_ttl: Milliseconds = _D.result_ttl
    poison_claims: Count = _D.poison_claims
    careful_turns: Count = _D.careful_turns
    snapshot_interval: Milliseconds = _D.snapshot_interval
    snapshot_lag: Count = _D.snapshot_lag
    snapshot_batch: Count = _D.snapshot_batch
    snapshot_bytes: Bytes = _D.snapshot_bytes
    keep_history: bool = _D.keep_history
    store_memory: Bytes = _D.store_memory
    store_keep: Milliseconds = _D.store_keep

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags before environment before file."""
        assert isinstance(init_settings, InitSettingsSource)
        from_file = init_settings.init_kwargs.pop("_from_file", {})
        return init_settings, env_settings, InitSettingsSource(settings_cls, from_file)

    @property
    def log_dir(self) -> Path:
        """Where the embedded log is."""
        return self.data / "log"

    @property
    def state_dir(self) -> Path:
        """Where the state stores are: a cache of the log, which may be deleted while nothing runs."""
        return self.data / "state"

    def blobs(self) -> Target:
        """Where blobs are kept; by default in the data folder, where no Kafka is used."""
        local = "" if self.kafka else (self.data / "blobs").absolute().as_uri()
        return Target(self.blobs_url or local, self.blobs_max_size)

    def log_url(self) -> str:
        """What `open_log` opens: Kafka where an address is configured, else the embedded log."""
        return f"kafka://{self.kafka}" if self.kafka else f"embedded:{self.log_dir}"

    def topics(self) -> Topics:
        """The names of the topics."""
        return Topics(self.prefix, self.outputs)

    def replication(self) -> Replication:
        """On how many brokers topics that are created are kept."""
        return Replication(self.replication_factor, self.min_insync_replicas)

    def asked_partitions(self) -> int | None:
        """The number of partitions, where it is configured and not the default."""
        return self.partitions if "partitions" in self.model_fields_set else None

    def fed(self) -> dict[str, Mapping[str, Fed]]:
        """What topics feed, by its table."""
        return {"spaces": self.spaces, "queues": self.queues, "channels": self.channels}

    def settings(self) -> Settings:
        """Limits and intervals of the processors."""
        return Settings(**{name: getattr(self, name) for name in Settings._fields})

    def http_limits(self) -> HttpLimits:
        """What the HTTP front takes of its clients."""
        return HttpLimits(
            self.http_max_connections, self.http_max_header_bytes, self.http_max_headers, self.http_max_url,
            self.http_max_bodies, self.http_request_time / 1000,
        )  # fmt: skip

    def member_id(self, worker: int = 0) -> str:
        """The static member id of a worker in the consumer group.

        The same after a restart, so that the worker has its partitions back at once; another one for
        another data directory, since two nodes on one machine have the same default name.
        """
        place = hashlib.sha256(str(self.data.absolute()).encode()).hexdigest()[:8]
        return f"{self.node}-{place}-{worker}"


_GROUPS: dict[str, tuple[str, ...]] = {
    "": ("app", "manifest", "strict", "data", "node", "workers", "spaces", "queues", "channels"),
    "http": (
        "http_host", "http_port", "http_hosts", "http_origins", "http_topics", "http_max_connections",
        "http_max_header_bytes", "http_max_headers", "http_max_url", "http_max_bodies", "http_request_time",
    ),
    "blobs": ("blobs_url", "blobs_max_size"),
    "topics": ("prefix", "partitions", "replication_factor", "min_insync_replicas", "outputs"),
    "limits": ("max_message", "long_handler", "stuck_handler"),
    "processor": Settings._fields,
}
"""The tables of the file. A key of `http` or `blobs` is written there without its prefix."""

_FILE_KEYS: dict[str, dict[str, str]] = {
    table: {name.removeprefix(f"{table}_"): name for name in names} for table, names in _GROUPS.items()
}


def load_config(file: Path | None = None, **flags: Any) -> Config:
    """The configuration. Flags that are None count as not given.

    Parameters:
        file: a configuration file; None: ``$PLEXSTREAM_CONFIG``, or the nearest ``plexstream.toml``, if any.

    Raises:
        ConfigError: a file cannot be read, a key is unknown, a value is wrong.
    """
    named = os.environ.get("PLEXSTREAM_CONFIG")
    path = file or (Path(named) if named else find_file(Path.cwd()))
    from_file = read_file(path) if path is not None else {}
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return _checked(Config(**{**given, "_from_file": from_file}))
    except ValidationError as error:
        raise ConfigError(_explain(error, given, from_file, path)) from None
    except SettingsError as error:
        field = str(error).partition('"')[2].partition('"')[0]
        is_list = isinstance(getattr(Config.model_fields.get(field), "default", None), list)
        kind = "list" if is_list else "object"
        raise ConfigError(
            f"environment variable PLEXSTREAM_{field.upper()}: give a JSON {kind}: {error.__cause__ or error}"
        ) from None


def _checked(config: Config) -> Config:
    """Refuse values that do not go together."""
    factor, in_sync = config.replication()
    if in_sync is not None and factor is None:
        raise ConfigError(
            f"min_insync_replicas = {in_sync} without replication_factor, of which it is a part: give both"
        )
    if in_sync is not None and factor is not None and in_sync > factor:
        raise ConfigError(
            f"min_insync_replicas = {in_sync}, but replication_factor = {factor}: nothing could be appended; "
            f"give at most {factor}, or {factor - 1 or 1} to go on while a broker is down"
        )
    own = {f"{config.prefix}{kind}" for kind in KINDS if kind != "out"}
    check_fed(config.fed(), own)
    return config


def find_file(start: Path) -> Path | None:
    """The nearest ``plexstream.toml``, in `start` or above it."""
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


def read_file(path: Path) -> dict[str, Any]:
    """The values of a configuration file under their flat names. Raises ConfigError."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML: {error}") from None
    values: dict[str, Any] = {}
    for key, value in document.items():
        if key == "kafka":
            _read_kafka(path, value, values)
        elif key and key in _FILE_KEYS:
            if not isinstance(value, dict):
                raise ConfigError(f"{path}: {key} = {value!r} is no table: write [{key}] and its keys below")
            for name, inner in value.items():
                values[_flat(path, key, name)] = inner
        else:
            values[_flat(path, "", key)] = value
    for name in ("app", "manifest", "data"):
        if isinstance(values.get(name), str):
            values[name] = path.parent / values[name]
    return values


def unknown_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Environment variables that look like misspelt keys, each with what may be meant.

    Not an error: others set variables with this prefix too, as Kubernetes does for a service of that name.
    """
    known = [ENV_PREFIX + name.upper() for name in Config.model_fields]
    found = []
    for name in environ:
        if name.startswith(ENV_PREFIX) and name not in known and name not in _OTHER_VARIABLES:
            near = get_close_matches(name, known, 1, 0.85)
            if near:
                found.append(f"{name} is set, which is no key of plexstream: is {near[0]} meant?")
    return found


def _read_kafka(path: Path, value: Any, values: dict[str, Any]) -> None:
    if isinstance(value, str):
        values["kafka"] = value
        return
    if not isinstance(value, dict):
        raise ConfigError(
            f'{path}: kafka = {value!r}: write kafka = "host:port", or [kafka] and keys below it'
        )
    settings = _dotted(value)
    address = settings.pop("address", None)
    if address is not None:
        values["kafka"] = address
    values["kafka_settings"] = settings


def _dotted(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """librdkafka's settings have dots in their names, which TOML takes for tables."""
    flat: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= _dotted(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value).lower() if isinstance(value, bool) else str(value)
    return flat


def _flat(path: Path, table: str, key: str) -> str:
    name = _FILE_KEYS[table].get(key)
    if name is not None:
        return name
    where = f"[{table}] " if table else ""
    everywhere = {
        known: f"{known} in [{t}]" if t else known for t, names in _FILE_KEYS.items() for known in names
    } | {t: f"[{t}]" for t in [*_FILE_KEYS, "kafka"] if t}
    here = get_close_matches(key, [*_FILE_KEYS[table]], 1)
    near = here or [everywhere[name] for name in get_close_matches(key, everywhere, 1)]
    hint = f"is {near[0]} meant?" if near else f"known here are {', '.join(_FILE_KEYS[table])}"
    raise ConfigError(f"{path}: {where}{key} is no key of plexstream: {hint}")


def _explain(
    error: ValidationError, flags: Mapping[str, Any], file: Mapping[str, Any], path: Path | None
) -> str:
    lines = []
    for problem in error.errors():
        key, *inner = map(str, problem["loc"] or ("",))
        variable = ENV_PREFIX + key.upper()
        if key in flags:
            source = key
        elif variable in os.environ:
            source = f"environment variable {variable}"
        elif key in file:
            source = f"{path}: {key}"
        else:
            source = key
        source = ".".join([source, *inner])
        if inner and problem["type"] in ("extra_forbidden", "missing"):
            known = "there is no such key: known are from, ttl"
            lines.append(f"{source}: {'it is missing' if problem['type'] == 'missing' else known}")
            continue
        if problem["type"] == "extra_forbidden":
            near = get_close_matches(key, Config.model_fields, 1)
            lines.append(f"{source} is no key of plexstream" + (f": is {near[0]} meant?" if near else ""))
            continue
        reason = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{source} = {problem['input']!r}: {reason[:1].lower()}{reason[1:]}")
    return "\n".join(lines)
