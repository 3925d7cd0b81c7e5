"""``call`` and ``tell``: one message from the command line, and the way to a node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plexstream.cli.common import options

if TYPE_CHECKING:
    from plexstream.client import Client
    from plexstream.node.setup.config import Config

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="type/id, or tenant/namespace/type/id.")]
HandlerName = Annotated[str, typer.Argument(metavar="HANDLER", help="Name of the handler.")]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[JSON | KEY=VALUE...]",
        help="A JSON object, or key=value pairs; a value that is no JSON is text.",
    ),
]
Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Where a node serves HTTP (default: as configured)."),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=0.001, max=86400, help="How long to wait (default 30)."),
]
Key = Annotated[
    str | None,
    typer.Option("--idempotency-key", metavar="TEXT", help="A call repeated with its key takes effect once."),
]


def call(
    address: Address,
    handler: HandlerName,
    arguments: Arguments = None,
    url: Url = None,
    kafka: options.OverKafka = None,
    prefix: options.Prefix = None,
    timeout: Timeout = None,
    idempotency_key: Key = None,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Do not wait: print the invocation's id once it is on the log."),
    ] = False,
    config: options.ConfigFile = None,
) -> None:
    """Call an actor and print its result as JSON.

    An error of the call is printed with its code, and the exit code is 1. With --detach the call goes on by
    itself, tried again where it fails as a tell is; [cyan]plexstream invocation ID[/] tells how it stands.

    [bold]Examples[/]

      plexstream call account/alice deposit amount=5
      plexstream call account/alice deposit '{"amount": 5}' --url http://localhost:9000
      plexstream call account/alice deposit amount=5 --kafka localhost:9092 --idempotency-key order-17
      plexstream call signup/alice run email=alice@example.org --detach
    """
    from plexstream.cli.common.output import print_json, stdout

    kind = "tell" if detach else "ask"
    found = _make(kind, address, handler, arguments, url, kafka, prefix, timeout, idempotency_key, config)
    if detach:
        stdout().print(found.id, markup=False, highlight=False, soft_wrap=True)
    else:
        print_json(found)


def tell(
    address: Address,
    handler: HandlerName,
    arguments: Arguments = None,
    url: Url = None,
    kafka: options.OverKafka = None,
    prefix: options.Prefix = None,
    timeout: Timeout = None,
    idempotency_key: Key = None,
    config: options.ConfigFile = None,
) -> None:
    """Send an actor a message without waiting for a result. It is on the log when this returns.

    [bold]Example[/]

      plexstream tell account/alice deposit amount=5
    """
    _make("tell", address, handler, arguments, url, kafka, prefix, timeout, idempotency_key, config)


def invocation(
    id: Annotated[str, typer.Argument(metavar="ID", help="As call --detach or a 202 gave it: inv_….")],
    wait: Annotated[
        float,
        typer.Option("--wait", metavar="SECONDS", min=0, max=86400, help="Wait so long for its end."),
    ] = 0.0,
    url: Url = None,
    kafka: options.OverKafka = None,
    prefix: options.Prefix = None,
    timeout: Timeout = None,
    config: options.ConfigFile = None,
) -> None:
    """Tell how an invocation stands, as JSON: queued, running, waiting, done, …, its result or error.

    The exit code is 1 where it has failed, was cancelled or killed, and where nothing is known of it.

    [bold]Examples[/]

      plexstream invocation inv_ZGVmYXVsdC9… --wait 60
    """
    from plexstream.cli.common.output import print_json

    with reaching(url, kafka, prefix, config) as client:
        found = client.invocation(id).status(wait=wait, timeout=timeout)
    print_json(found)
    if "error" in found:
        raise typer.Exit(1)


def _make(
    kind: str, address: str, handler: str, arguments: list[str] | None, url: str | None, kafka: str | None,
    prefix: str | None, timeout: float | None, idempotency_key: str | None, file: Any,
) -> Any:  # fmt: skip
    from plexstream.model.errors import ConfigError
    from plexstream.model.messages.address import parse

    parse(address)
    if idempotency_key == "":
        raise ConfigError("--idempotency-key is empty: give it 1 to 256 characters, or leave it out")
    payload = parse_arguments(arguments or [])
    with reaching(url, kafka, prefix, file) as client:
        send = client.ask if kind == "ask" else client.tell
        return send(address, handler, payload, timeout=timeout, idempotency_key=idempotency_key or "")


@contextmanager
def reaching(url: str | None, kafka: str | None, prefix: str | None, file: Path | None) -> Iterator[Client]:
    """A client of the node at `url` or as configured, or straight over Kafka.

    Raises:
        ConfigError: both ways are given, or the URL is none.
        LogUnavailable: nobody listens there.
    """
    from plexstream.client import Client
    from plexstream.model.errors import ConfigError
    from plexstream.node.setup.config import load_config

    if url is not None and kafka is not None:
        raise ConfigError("--url and --kafka are both given: choose one way to the actor")
    config = load_config(file, kafka=kafka, prefix=prefix)
    if kafka is not None:
        from plexstream.log.open import open_log

        log = open_log(config.log_url(), config.kafka_settings)
        try:
            with Client(log=log, topics=config.topics()) as client:
                yield client
        finally:
            log.close()
        return
    goal = url or served_at(config)
    _check_listens(goal)
    with Client(goal) as client:
        yield client


def served_at(config: Config) -> str:
    """Where a node with this configuration serves HTTP, as seen from its machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(config.http_host, config.http_host)
    return f"http://{host}:{config.http_port}"


def check_url(url: str) -> tuple[str, int]:
    """Host and port of a node's URL. Raises ConfigError."""
    from urllib.parse import urlsplit

    from plexstream.model.errors import ConfigError

    try:
        parts = urlsplit(url)
        place = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    except ValueError as error:
        raise ConfigError(f"--url {url!r} is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"--url {url!r}: write http://HOST:PORT or https://HOST:PORT")
    return place


def _check_listens(url: str) -> None:
    """Say at once that nobody is there: a client would go on trying until the timeout."""
    import socket

    from plexstream.model.errors import LogUnavailable

    place = check_url(url)
    try:
        socket.create_connection(place, 5.0).close()
    except OSError as error:
        raise LogUnavailable(
            f"no node answers at {url} ({error}): start one with `plexstream dev FILE`, or name it with --url"
        ) from None


def parse_arguments(given: list[str]) -> dict[str, Any]:
    """The arguments of a handler, from a JSON object or from key=value pairs. Raises ConfigError."""
    import msgspec

    from plexstream.model.errors import ConfigError

    if len(given) == 1 and given[0].lstrip().startswith("{"):
        try:
            whole: dict[str, Any] = msgspec.json.decode(given[0])
        except msgspec.DecodeError as error:
            raise ConfigError(f"{given[0]!r} is no JSON: {error}") from None
        return whole
    found: dict[str, Any] = {}
    for pair in given:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"argument {pair!r}: write key=value, or one JSON object in quotes")
        if key in found:
            raise ConfigError(f"argument {pair!r}: {key} is given twice: leave one out, or give a JSON list")
        found[key] = parse_value(text)
    return found


def parse_value(text: str) -> Any:
    """A value on the command line: JSON, or else the text itself, as `NaN` is, which JSON has not."""
    import msgspec

    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
