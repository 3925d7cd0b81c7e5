"""``host``: what a running handler can ask of the system. Nothing leaves before its turn is on the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from plexstream.sdk.errors import OutsideHandler
from plexstream.sdk.host.coordination.flat import Flat
from plexstream.sdk.host.coordination.operation import Operation
from plexstream.sdk.host.saga import Saga
from plexstream.sdk.host.steps import Promise, Start, TaskApi, task
from plexstream.sdk.host.supervision import Lifecycle
from plexstream.sdk.host.time import TimeApi, Timing
from plexstream.sdk.host.waiting import Then, Waitable
from plexstream.sdk.running.current import current
from plexstream.sdk.running.values import arguments_of
from plexstream.sdk.spec import Retry

if TYPE_CHECKING:
    from plexstream.sdk.host.coordination.kept.blobs import Blobs, BlobStore


class TurnApi(Protocol):
    """What an actor host provides while a handler runs."""

    def tell(self, to: str, handler: str, payload: Any) -> None: ...
    def emit(self, topic: str, value: Any, key: str | None) -> None: ...
    def send_after(self, delay: float, handler: str, payload: Any, to: str | None) -> str: ...
    def cancel(self, timer: str) -> None: ...
    def signal(self, to: str, name: str, payload: dict[str, Any], ref: str) -> str:
        """Send a signal, and return its reference: `ref`, or a new one where that is empty."""

    def defer(self) -> str: ...
    def reply(self, token: str, value: Any) -> bool: ...
    def reject(self, token: str, code: str, detail: str, data: Any) -> bool: ...
    def awaited(self, token: str) -> bool: ...
    def time(self) -> TimeApi: ...
    def self_id(self) -> str: ...
    def now(self) -> int: ...
    def random(self) -> float: ...
    def uuid(self) -> str: ...
    def sender(self) -> str: ...
    def of_call(self, error: Exception) -> tuple[str, str, Any] | None:
        """Code, detail and data of an error that a call or another step has ended with; None: it is none."""

    def log(self, level: str, message: str, fields: dict[str, Any]) -> None: ...
    def task(self) -> TaskApi: ...
    def blobs(self) -> BlobStore:
        """The object store, for steps. Raises where there is none: it says what to configure."""

    def entries(self) -> Any: ...
    def settle_awakeable(self, id: str, value: Any, error: str | None) -> None: ...
    def continue_as_new(self, payload: Any) -> NoReturn: ...

    # For behaviours

    behaviour: Any
    """What the actor's behaviour knows of the handler that runs."""

    def plain(self, value: Any) -> Any:
        """A value as JSON holds it: dicts, lists, text, numbers. Raises TypeError."""

    def typed(self, value: Any, hint: Any) -> Any:
        """A plain value as one of the type `hint`, nothing coerced. Raises ValueError."""

    def message(self, what: str, to: str, handler: str, payload: Any) -> tuple[str, bytes]:
        """A message's target in its full form and its payload, to see whether it can be sent.

        Raises BadAddress, TooLarge.
        """

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


_LEVELS = ("debug", "info", "warn", "warning", "error")


class Host(Lifecycle, Timing, Flat):
    """The system as a handler sees it. There is one object, `host`."""

    def _signal(self, what: str, to: str, name: str, payload: dict[str, Any], ref: str = "") -> str:
        return _turn(what).signal(to, name, payload, ref)

    def _started(self, address: str, args: dict[str, Any]) -> Any:
        steps = task("spawn")
        return _wait(Then(steps, steps.spawn(address, args), lambda handle: handle.result() or address))

    def _operate(self, steps: Operation[Any]) -> Any:
        from plexstream.sdk.host.coordination.here import operate  # most programs need none of it

        return operate(steps, _turn("…").self_id())

    @property
    def blobs(self) -> Blobs:
        """Bytes of any size under names."""
        from plexstream.sdk.host.coordination.kept.blobs import blobs

        return blobs(self._operate)

    def tell(self, to: str, handler: str, payload: Any = None, /, **arguments: Any) -> None:
        """Send a message; it arrives once, in the order sent, if and only if this turn takes effect.

        Parameters:
            to: an address, ``type/id`` for short.
            handler: the name of the receiver's handler.
            payload, arguments: the handler's arguments, as a dict or as keywords.
        """
        _turn("tell").tell(to, handler, arguments_of("host.tell", payload, arguments))

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
        given = arguments_of("host.send_after", payload, arguments)
        return _turn("send_after").send_after(delay, handler, given, to)

    def cancel(self, timer: str) -> None:
        """Take back a `send_after` of this actor. Nothing happens if it has been delivered."""
        _turn("cancel").cancel(timer)

    def defer(self) -> str:
        """Leave the answer to a later turn: the caller waits on, and this actor takes other messages.

        What the handler returns is dropped. It must not wait after that. Whoever still waits when the actor's
        life ends gets a `Stopped` error.

        Returns:
            The token, for `reply` and `reject`: keep it in a field, or give it to whoever is to answer. ""
            where nobody waits (a tell).
        """
        return _turn("defer").defer()

    def reply(self, token: str, value: Any = None) -> bool:
        """Answer a call whose reply was deferred, with this turn.

        Parameters:
            token: what `defer` returned.
            value: the result, JSON-compatible.

        Returns:
            Whether somebody waits. False for "", and where who asked waits no more: its time is up, it was
            cancelled or killed, or went on without the answer. Then the value is nobody's, and the token is
            spent. By another actor's token the answer is sent, and this is True: where it does not reach
            who asked, it is a dead letter.

        Raises:
            ValueError: `token` is none.
            UnknownInvocation: it is no token that this actor has given.
            AlreadyDone: the call has its answer, be it an error since this actor's life ended.
        """
        return _turn("reply").reply(token, value)

    def reject(self, token: str, reason: str, data: Any = None) -> bool:
        """Let the caller of a call whose reply was deferred get a `Rejected` error, with this turn.

        Parameters:
            token: what `defer` returned.
            reason: for the caller, a sentence.
            data: more about it, JSON-compatible.

        Returns, and raises, what `reply` does.
        """
        return _turn("reject").reject(token, "rejected", reason, data)

    def awaited(self, token: str) -> bool:
        """Whether somebody waits for the answer to a call whose reply was deferred, without giving it.

        For answers that several callers get together, or none: by `reply` alone one would be known to be
        gone only after others have theirs.

        Parameters:
            token: what `defer` returned to this actor. False for "".

        Raises:
            ValueError: `token` is none, or another actor's.
            UnknownInvocation: it is no token that this actor has given.
        """
        return _turn("awaited").awaited(token)

    def self_id(self) -> str:
        """This actor's address, in the short form where tenant and namespace are the default ones."""
        return _turn("self_id").self_id()

    get_actor_id = self_id

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
        """Log a line with this actor's address; not durable, and not repeated by a replay.

        Parameters:
            message: what is said.
            level: ``"debug"``, ``"info"``, ``"warn"`` or ``"error"``.
            fields: said behind it, as ``name=value``.

        Raises:
            ValueError: there is no such level.
        """
        if level not in _LEVELS:
            raise ValueError(f"host.log(…, level={level!r}): there are {', '.join(_LEVELS)}")
        _turn("log").log(level, message, fields)

    def debug(self, message: str, /, **fields: Any) -> None:
        """`log` at this level."""
        self.log(message, "debug", **fields)

    def info(self, message: str, /, **fields: Any) -> None:
        """`log` at this level."""
        self.log(message, "info", **fields)

    def warn(self, message: str, /, **fields: Any) -> None:
        """`log` at this level."""
        self.log(message, "warn", **fields)

    def error(self, message: str, /, **fields: Any) -> None:
        """`log` at this level."""
        self.log(message, "error", **fields)

    # Steps: the handler waits, and survives any crash meanwhile

    start = Start()
    """The same steps as handles, to be waited for later or together."""

    def ask(
        self, to: str, handler: str, payload: Any = None, /, *, timeout: float | None = None,
        detach: bool = False, **arguments: Any,
    ) -> Any:  # fmt: skip
        """Call another actor and wait for its result. Its error is raised here.

        Parameters:
            to: an address, ``type/id`` for short.
            handler: the name of its handler.
            payload, arguments: the handler's arguments, as a dict or as keywords.
            timeout: seconds after which TimedOut is raised; None: it waits as long as it takes.
            detach: what is asked goes on if this handler is cancelled or killed; otherwise it is, too.
        """
        return _wait(self.start.ask(to, handler, payload, timeout=timeout, detach=detach, **arguments))

    def run(
        self,
        name: str,
        function: Callable[..., Any],
        /,
        *arguments: Any,
        retry: Retry | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Do something with a side effect, and keep its result: it does not run again once that is recorded.

        It runs at least once: a crash before the record lets it run again. Plain functions run on a pool
        of threads, ``async def`` ones on an event loop; the handler's own state is not theirs to touch.

        Parameters:
            name: of the step, in the journal.
            function, arguments: what to call. The result is JSON-compatible.
            retry: how it is tried again when it raises; `Reject` and `TerminalError` end that at once.
            timeout: seconds after which TimedOut is raised.
        """
        if timeout is None:  # as most are: by the shortest way
            return _wait(task("run").run(name, function, arguments, retry))
        return _wait(self.start.run(name, function, *arguments, retry=retry, timeout=timeout))

    def sleep(self, seconds: float) -> Any:
        """Wait for some seconds, minutes or months."""
        return _wait(self.start.sleep(seconds))

    def sleep_until(self, time: int) -> Any:
        """Wait until `time`, in milliseconds since the Unix epoch."""
        return _wait(self.start.sleep_until(time))

    def promise(self, name: str) -> Promise:
        """A promise of this actor by its name: wait for it here, resolve it in another handler."""
        return Promise(_turn("promise").task(), name)

    def awakeable(self) -> Any:
        """Something to wait for that a system outside completes by its ``id``."""
        return self.start.awakeable()

    def resolve_awakeable(self, id: str, value: Any = None) -> None:
        """Complete an awakeable of any actor, with this turn."""
        _turn("resolve_awakeable").settle_awakeable(id, value, None)

    def reject_awakeable(self, id: str, reason: str) -> None:
        """Let whoever waits for an awakeable get a `Rejected` error, with this turn."""
        _turn("reject_awakeable").settle_awakeable(id, None, reason)

    def all(self, *handles: Any, timeout: float | None = None) -> Any:
        """Wait for all handles: their results in the order given, or the first error."""
        return _wait(self.start.all(*handles, timeout=timeout))

    def any(self, *handles: Any, timeout: float | None = None) -> Any:
        """Wait for the first handle that succeeds: its result; where all fail, the last error."""
        return _wait(self.start.any(*handles, timeout=timeout))

    def race(self, *handles: Any, timeout: float | None = None) -> Any:
        """Wait for the first handle that is done: its result or error."""
        return _wait(self.start.race(*handles, timeout=timeout))

    def select(self, timeout: float | None = None, **handles: Any) -> Any:
        """Wait for the first of named handles: its name and result."""
        return _wait(self.start.select(timeout, **handles))

    def saga(self) -> Saga:
        """Compensations that undo what this handler has done before something went wrong."""
        return Saga(_turn("saga").task())

    def version(self, change: str, latest: int = 1) -> int:
        """Which version of a piece of code this run of the handler has: for changes while handlers wait.

        Returns:
            `latest` where the handler comes here for the first time, and ever after; 0 where it has passed
            here before with code that did not ask.
        """
        return _turn("version").task().version(change, latest)

    def continue_as_new(self, payload: Any = None, /, **arguments: Any) -> NoReturn:
        """End this run of a workflow and begin the next with other arguments: its history starts anew."""
        _turn("continue_as_new").continue_as_new(arguments_of("host.continue_as_new", payload, arguments))

    # State by key

    def get(self, key: str, default: Any = None) -> Any:
        """The value kept under `key` in this actor's state, loaded when asked for."""
        return _turn("get").entries().get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Keep a JSON-compatible value under `key` in this actor's state."""
        _turn("set").entries()[key] = value

    def clear(self, key: str) -> None:
        """Forget what is kept under `key`."""
        _turn("clear").entries().pop(key, None)

    def clear_all(self) -> None:
        """Forget everything kept by `set`."""
        _turn("clear_all").entries().clear()

    def keys(self) -> list[str]:
        """The keys of everything kept by `set`, in order."""
        return list(_turn("keys").entries())


def _wait(waitable: Waitable[Any]) -> Any:
    """In a plain ``def`` handler its result; else what an ``async def`` handler awaits."""
    return waitable.wait() if waitable._waiter.blocking else waitable


host = Host()
