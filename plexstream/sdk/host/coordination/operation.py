"""Operations on system actors, written once: as generators of calls, whoever makes these.

A handler makes them as steps, `Client` and `AsyncClient` over HTTP or the log, the edge for a request. So an
operation knows neither I/O nor how its caller waits.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import zlib
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import wraps
from typing import Any, ClassVar, Concatenate, NamedTuple, ParamSpec, TypeVar
from urllib.parse import quote

P = ParamSpec("P")
S = TypeVar("S", bound="Noun")
T = TypeVar("T")

MAX_NAME = 200
"""Bytes of a noun's name."""
MAX_ID = 400
"""Bytes of the id that is made of it, with three for each that is percent-encoded: an address has 512."""
_ESCAPED = frozenset("/%~")
_READS = "__plexstream_reads__"


class Call(NamedTuple):
    """One call of a system actor.

    Attributes:
        type, id: which one; tenant and namespace are the caller's own.
        handler, arguments: what is said.
        wait: seconds for which it may keep the answer by what it was told; None: for ever.
        reads: it changes nothing, and may be made again.
        limit: seconds after which it counts as `TimedOut`, whatever comes of it; None: as long as others.
            Of calls that are made at the same time, each has it from when the first is made.
    """

    type: str
    id: str
    handler: str
    arguments: dict[str, Any]
    wait: float | None = 0.0
    reads: bool = False
    limit: float | None = None


class Effect(NamedTuple):
    """A side effect of an operation that only handlers have, where it is a step like that of `host.run`.

    Attributes:
        name: of the step.
        function, arguments: what is called, off the handler.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    reads: bool = False
    limit: None = None


class Outcome(NamedTuple):
    """What one of several calls has come to."""

    value: Any
    error: Exception | None

    def result(self) -> Any:
        """Its value. Raises its error."""
        if self.error is not None:
            raise self.error
        return self.value


Said = Call | Effect | Sequence[Call]
"""A call, answered by its result or error; or several at the same time, one at least, by `Outcome`s."""
Operation = Generator[Said, Any, T]
Runner = Callable[[Operation[Any]], Any]
"""Makes the calls of an operation, and returns its result or something to await."""


class Course:
    """An operation under way, without the I/O: calls to make, and what they have come to.

    Attributes:
        value: what the operation has returned, once there are no more calls.
    """

    def __init__(self, steps: Operation[Any]) -> None:
        self._steps = steps
        self._several = False
        self._made = 0
        self.value: Any = None

    def begin(self) -> Sequence[Call]:
        """The first calls, to be made at the same time; none: it is over. Raises what the operation does."""
        return self._next(None, None)

    def go_on(self, outcomes: list[Outcome]) -> Sequence[Call]:
        """The next calls, after what the last ones have come to, in their order."""
        self._made += len(outcomes)
        return self._next(outcomes, None) if self._several else self._next(*outcomes[0])

    def throw(self, error: Exception) -> Sequence[Call]:
        """The same where the caller itself is told to end, while they are under way."""
        return self._next(None, error)

    def keys(self, key: str, calls: Sequence[Call]) -> list[str]:
        """An idempotency key for each of these calls, made of one for the whole, "" for those that only read.

        An operation that is repeated makes the same calls in the same order, as far as they change something.
        Which they are may depend on what others of these came to, since that is kept, not on what it reads.
        """
        numbers = range(self._made, self._made + len(calls))
        return [
            "" if call.reads or not key else _numbered(key, number)
            for number, call in zip(numbers, calls, strict=True)
        ]

    def _next(self, answer: Any, error: Exception | None) -> Sequence[Call]:
        try:
            said = self._steps.send(answer) if error is None else self._steps.throw(error)
        except StopIteration as end:
            self.value = end.value
            return ()
        self._several = not isinstance(said, Call | Effect)
        return [said] if isinstance(said, Call | Effect) else said  # type: ignore[list-item]


class Noun:
    """Something with a name that operations are done on.

    Parameters:
        run: makes the calls of its operations.
        name: any text of at most `MAX_NAME` bytes, and `MAX_ID` once it is percent-encoded.

    Raises:
        ValueError: the name is none.
    """

    def __init__(self, run: Runner, name: str) -> None:
        what = _unfit(name)
        if what:
            kind = type(self).__name__.lower()
            raise ValueError(f"{name!r:.80} is no name of a {kind}: {what}")
        self._run = run
        self.name = name


class OneActor(Noun):
    """A noun that is one actor, of the type `TYPE`."""

    TYPE: ClassVar[str]

    def _call(
        self, handler: str, arguments: dict[str, Any], wait: float | None = 0, reads: bool = False
    ) -> Call:
        return Call(self.TYPE, actor_id(self.name), handler, arguments, patience(wait), reads)


def operation(
    method: Callable[Concatenate[S, P], Operation[T]],
) -> Callable[Concatenate[S, P], Any]:
    """A method of a `Noun` that is a generator of calls: who calls it gets what comes of them.

    ``method.steps`` is the generator function, for operations that are made of others.
    """

    @wraps(method)
    def run(self: S, *args: P.args, **named: P.kwargs) -> Any:
        return self._run(method(self, *args, **named))

    run.steps = method  # type: ignore[attr-defined]
    setattr(run, _READS, False)
    return run  # type: ignore[return-value]


def reading(
    method: Callable[Concatenate[S, P], Operation[T]],
) -> Callable[Concatenate[S, P], Any]:
    """An `operation` that changes nothing: HTTP has it by GET, too."""
    run = operation(method)
    setattr(run, _READS, True)
    return run


def steps_of(bound: Any) -> Callable[..., Operation[Any]]:
    """The generator of a bound operation: ``yield from steps_of(store.get)("key")``."""
    function: Callable[..., Operation[Any]] = bound.__func__.steps
    owner = bound.__self__
    return lambda *args, **named: function(owner, *args, **named)


def operations(noun: type[Noun]) -> dict[str, bool]:
    """The names of the operations of a kind of noun, and whether each only reads."""
    found = {name: getattr(value, _READS, None) for name, value in inspect.getmembers(noun)}
    return {name: reads for name, reads in found.items() if reads is not None}


def together(calls: Iterable[Call]) -> Operation[list[Any]]:
    """Make calls at the same time: their results, in order. The first error is raised once all are done."""
    all = list(calls)
    outcomes: list[Outcome] = (yield all) if all else []
    return [outcome.result() for outcome in outcomes]


def _unfit(name: object) -> str:
    """Why something cannot be a name, and what to give instead; "": it can."""
    wanted = f"give a text of 1 to {MAX_NAME} bytes"
    if not isinstance(name, str) or not name:
        return wanted
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return f"it has half a character; {wanted}"
    if size > MAX_NAME:
        return wanted
    size = len(actor_id(name).encode())
    if size > MAX_ID:
        return (
            f"it has {size} bytes once it is percent-encoded, of which {MAX_ID} have room in an address: "
            "give a shorter one, or one with fewer of / % ~ and unprintable ones"
        )
    return ""


def _numbered(key: str, number: int) -> str:
    """The key of a call by its place: none that a caller would give another operation, nor too long a one."""
    if not number:
        return key
    return hashlib.sha256(f"{number}.{key}".encode(errors="replace")).hexdigest()


def actor_id(name: str, shard: int | None = None) -> str:
    """The id of a system actor by the name of its noun: what an address cannot have is percent-encoded."""
    if not name.isprintable() or name in (".", "..") or not _ESCAPED.isdisjoint(name):
        plain = name not in (".", "..")
        name = "".join(
            c if plain and c.isprintable() and c not in _ESCAPED else "%7E" if c == "~"
            else "%2E" if c == "." else quote(c, safe="", errors="surrogatepass")
            for c in name
        )  # fmt: skip
    return name if shard is None else f"{name}~{shard}"


def shard_of(key: str, shards: int) -> int:
    """Which of so many shards a key belongs to: CRC-32 of its UTF-8, modulo their number."""
    return zlib.crc32(key.encode(errors="surrogatepass")) % shards


def patience(wait: float | None) -> float | None:
    """How long a call may wait. Raises ValueError."""
    given: object = wait
    if given is not None and (
        not isinstance(given, int | float) or isinstance(given, bool) or not 0 <= given < math.inf
    ):
        raise ValueError(f"wait is {given!r:.80}: give seconds from 0 on, or None (null): for ever")
    return wait
