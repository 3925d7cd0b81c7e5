"""``host``: what a running handler can ask of the system. Nothing leaves before its turn is on the log."""

from __future__ import annotations

from typing import Any, Protocol

from plexstream.sdk.current import current
from plexstream.sdk.errors import OutsideHandler
from plexstream.sdk.supervision import Lifecycle
from plexstream.sdk.time import TimeApi, Timing


class TurnApi(Protocol):
    """What an actor host provides while a handler runs."""

    def tell(self, to: str, handler: str, payload: Any) -> None: ...
    def emit(self, topic: str, value: Any, key: str | None) -> None: ...
    def send_after(self, delay: float, handler: str, payload: Any, to: str | None) -> str: ...
    def cancel(self, timer: str) -> None: ...
    def signal(self, to: str, name: str, payload: dict[str, Any], ref: str) -> str:
        """Send a signal, and return its reference: `ref`, or a new one where that is empty."""

    def time(self) -> TimeApi: ...
    def self_id(self) -> str: ...
    def now(self) -> int: ...
    def random(self) -> float: ...
    def uuid(self) -> str: ...
    def sender(self) -> str: ...
    def log(self, level: str, message: str, fields: dict[str, Any]) -> None: ...

    # For behaviours

    def plain(self, value: Any) -> Any:
        """A value as JSON holds it: dicts, lists, text, numbers. Raises TypeError."""

    def typed(self, value: Any, hint: Any) -> Any:
        """A plain value as one of the type `hint`, nothing coerced. Raises ValueError."""

    def sent(self) -> int:
        """How much this turn has sent so far, for `take_back`."""

    def take_back(self, sent: int) -> None:
        """What was sent since `sent` is not sent."""

    def put_aside(self, handler: str, arguments: dict[str, Any], code: str, detail: str) -> None:
        """Write a message that this actor took earlier, and cannot handle, to the dead letters."""


def _turn(what: str) -> TurnApi:
    turn: TurnApi | None = current.turn
    if turn is None:
        raise OutsideHandler(f"host.{what} was called outside a handler: use plexstream.Client there")
    return turn


class Host(Lifecycle, Timing):
    """The system as a handler sees it. There is one object, `host`."""

    def _signal(self, what: str, to: str, name: str, payload: dict[str, Any], ref: str = "") -> str:
        return _turn(what).signal(to, name, payload, ref)

    def tell(self, to: str, handler: str, payload: Any = None, /, **arguments: Any) -> None:
        """Send a message; it arrives once, in the order sent, if and only if this turn takes effect.

        Parameters:
            to: an address, ``type/id`` for short.
            handler: the name of the receiver's handler.
            payload, arguments: the handler's arguments, as a dict or as keywords.
        """
        _turn("tell").tell(to, handler, arguments if payload is None else payload)

    send = tell

    def emit(self, topic: str, value: Any, *, key: str | None = None) -> None:
        """Write `value` as JSON to the output topic `topic`, exactly once for ``read_committed`` consumers.

        Parameters:
            topic: name of the output; the Kafka topic is ``plex.out.<topic>``.
            value: JSON-compatible.
            key: of the record; default: this actor's address.
        """
        _turn("emit").emit(topic, value, key)

    def send_after(
        self, delay: float, handler: str, payload: Any = None, /, *, to: str | None = None, **arguments: Any
    ) -> str:
        """Send a message after `delay` seconds; durable like any other. Returns an id for `cancel`.

        Parameters:
            delay: seconds from the turn's time.
            handler: the name of the handler.
            payload, arguments: its arguments.
            to: the receiver; default: this actor.
        """
        return _turn("send_after").send_after(delay, handler, arguments if payload is None else payload, to)

    def cancel(self, timer: str) -> None:
        """Take back a `send_after` of this actor. Nothing happens if it has been delivered."""
        _turn("cancel").cancel(timer)

    def self_id(self) -> str:
        """This actor's address, in the short form where tenant and namespace are the default ones."""
        return _turn("self_id").self_id()

    def sender(self) -> str:
        """The address of the actor that sent this message; empty for a caller from outside."""
        return _turn("sender").sender()

    def now(self) -> int:
        """The turn's time: milliseconds since the Unix epoch. The same when the turn is replayed."""
        return _turn("now").now()

    now_ms = now

    def random(self) -> float:
        """A random number from 0 to 1. The same when the turn is replayed."""
        return _turn("random").random()

    def uuid(self) -> str:
        """A random UUID. The same when the turn is replayed."""
        return _turn("uuid").uuid()

    def log(self, message: str, /, level: str = "info", **fields: Any) -> None:
        """Log a line with this actor's address; not durable, and not repeated by a replay."""
        _turn("log").log(level, message, fields)


host = Host()
