"""The running turn: what ``host.…`` does in a handler."""

from __future__ import annotations

import logging
import random
import re
import uuid
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NoReturn, Protocol

import msgspec

from plexstream.hosts.native.actor.answers import MAX_DETAIL, answer, awaited, defer, refusal
from plexstream.hosts.native.actor.time import TurnTime
from plexstream.hosts.native.data.blobs import NoStore
from plexstream.hosts.native.data.values import BadValue, encode_value, plain_value
from plexstream.hosts.native.turn.beside import Beside
from plexstream.model.errors import CallError, TooLarge
from plexstream.model.journal.journal import Change, Out, OutKind
from plexstream.model.messages.address import full, parse
from plexstream.model.messages.awakeable import make_id, read_id
from plexstream.model.messages.text import text
from plexstream.sdk.host.coordination.kept.blobs import BlobStore
from plexstream.sdk.running.values import milliseconds

_log = logging.getLogger("plexstream.actor")
LEVELS = {"debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40}
_TELL, _EMIT, _TIMER, _CANCEL, _DEAD = (
    k.value for k in (OutKind.TELL, OutKind.EMIT, OutKind.TIMER, OutKind.CANCEL, OutKind.DEADLETTER)
)
MAX_DELAY = 10 * 365 * 86400.0
MAX_KEY = 1024
"""Bytes of a record's key in an output topic."""
MAX_TOPIC = 200
"""Kafka takes names of 249 characters, the prefix of the topics among them."""
MAX_HANDLER = 256
_new = tuple.__new__  # a named tuple's own costs twice the time
_TOPIC = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_TOPIC}}}")
_TIMER_ID = re.compile(r"\d{1,20}\.\d{1,10}", re.ASCII)
KEYS = "@keys"
COMPLETE = "$complete"
_OUT = 32
"""Bytes that an outgoing item has in the journal besides its payload, about."""


class Steps(Protocol):
    """What a turn asks of the steps of its handler: `Task` has them.

    Attributes:
        refusal: why it may not wait; empty: it may.
    """

    refusal: str

    def look(self, name: str, find: Callable[[], Any]) -> Any: ...
    def again(self, payload: Any) -> BaseException: ...


class Turn:
    """One turn at a time; an object is used again for the next."""

    __slots__ = (
        "_base", "_blobs", "_make_task", "_max_turn", "_random", "_salt", "_sender", "_task", "_time",
        "actor", "address", "base", "behaviour", "beside", "bound", "caller", "chain", "deferred",
        "firing", "forgotten", "fresh", "init_failed", "initialising", "instance", "max_message",
        "opening", "outs", "restarts", "room", "seq",
    )  # fmt: skip

    def __init__(
        self, max_message: int, max_turn: int, make_task: Callable[[Turn], Steps], salt: str = "",
        blobs: BlobStore | None = None,
    ) -> None:  # fmt: skip
        self._blobs = blobs or NoStore()
        self.max_message = max_message
        self._salt = salt
        self._max_turn = max_turn
        self._make_task = make_task
        self._task: Steps | None = None
        self._base = 0  # outgoing items of the steps before
        self.instance: Any = None
        self.bound: Any = None
        self.chain = ""
        self.behaviour: Any = None  # what the actor's behaviour knows of the handler
        self.beside: Beside | None = None  # how it reads where others run beside it
        self.actor: Any = None  # then: the actor's own instance, as long as nothing was changed
        self.opening: list[Change] = []  # then: what the init hook changed before it
        self.caller = ""  # who waits for the answer, as `call_name` says; "": nobody
        self.deferred: tuple[list[Out], int, dict[str, str]] | None = None  # what of `outs` is of replies
        self.base: list[Change] | None = None  # a workflow's fields when it began
        self.room = max_turn
        self.outs: list[Out] = []
        self.address = ""
        self.seq = self._time = 0
        self._sender = ""
        self._random: random.Random | None = None
        self.firing = ""
        self.forgotten: list[str] = []  # coroutines of this turn that nobody awaited
        self.restarts = 0  # how often something of its handler was undone before
        self.initialising = False  # the init hook runs, a plain function even where the handler is async
        self.init_failed = False
        self.fresh = False  # its actor's state was dropped before

    def begin(self, instance: Any, bound: Any, seq: int, now: int, sender: str, chain: str) -> None:
        """Start a turn of an actor, by a handler."""
        self.outs = []
        self.instance, self.bound, self.address = instance, bound, instance.address
        self.seq, self._time, self._sender, self.chain, self.room = seq, now, sender, chain, self._max_turn
        self._random = None
        self.forgotten = []
        self._task = None
        self._base = self.restarts = 0
        self.base = self.behaviour = self.beside = self.actor = None
        self.opening = []
        self.caller = ""
        self.init_failed = False

    def begin_again(self, instance: Any) -> None:
        """The same turn, as if nothing of it had been."""
        base, firing, caller, fresh = self.base, self.firing, self.caller, self.fresh
        self.begin(instance, self.bound, self.seq, self._time, self._sender, self.chain)
        self.base, self.firing, self.caller, self.fresh = base, firing, caller, fresh

    # Steps

    def task(self) -> Steps:
        """The steps of the handler, of which it may have none yet."""
        if self._task is None:
            self._task = self._make_task(self)
        return self._task

    def waits(self) -> Steps | None:
        """The steps, if it has any."""
        return self._task

    def at(self, now: int) -> None:
        """The handler goes on at another time."""
        if now > self._time:
            self._time = now
        self.room = self._max_turn

    def take_outs(self) -> list[Out]:
        """What it sent since it began or went on."""
        outs, self.outs = self.outs, []
        self._base += len(outs)
        return outs

    def reference(self, index: int) -> str:
        """The name of its command `index`."""
        return f"{self.address}#{self.seq}.{index}"

    def secret(self, undone: int) -> int:
        """What nobody knows of an awakeable but who was given it.

        `undone`: how often something of the handler was undone before. What is asked for again has another:
        who was given the one of before completes nothing, and cannot tell the other from it.
        """
        found = self._rng().getrandbits(64)
        if not undone:
            return found
        return random.Random(f"{self._salt}{self.reference(undone)}~{found}").getrandbits(64)

    def awakeable(self, index: int, secret: str) -> str:
        return make_id(self.reference(index), secret)

    def look(self, name: str, find: Callable[[], Any]) -> Any:
        """What `find` returns, a JSON value; where the handler runs again, what it returned then."""
        return self.task().look(name, find)

    def settle_awakeable(self, id: str, value: Any, error: str | None) -> None:
        found = read_id(id)
        payload = {"id": id, "value": value} if error is None else {"id": id, "error": error}
        self.outs.append(Out(_TELL, "", found.address, COMPLETE, self._encode("resolve_awakeable", payload)))

    def continue_as_new(self, payload: Any) -> NoReturn:
        raise self.task().again(payload)

    def blobs(self) -> BlobStore:
        return self._blobs

    def entries(self) -> Any:
        """What `host.set` keeps."""
        return self.instance.hidden(KEYS)

    def message(self, what: str, to: str, handler: str, payload: Any) -> tuple[str, bytes]:
        """A message's target in its full form, and its payload."""
        if not isinstance(payload, dict):
            payload = msgspec.to_builtins(payload)
            if not isinstance(payload, dict):
                raise TypeError(f"host.{what}: the payload is {type(payload).__name__}; arguments are a dict")
        _check_handler(handler)
        return full(to), self._encode(what, payload)

    def start(self, to: str, args: dict[str, Any]) -> tuple[str, bytes]:
        """The target of a start that is waited for, and what it says."""
        return full(to), self._encode("spawn", {"args": args, "ref": self._reference()})

    def time(self) -> TurnTime:
        assert self.instance is not None
        return TurnTime(self, self._encode, self.instance.type.spec.handlers, self.instance.reader)

    def _encode(self, what: str, payload: Any) -> bytes:
        try:
            data = encode_value(payload)
        except BadValue as error:
            raise TypeError(f"host.{what}: the payload is no JSON: {error}") from None
        if len(data) > self.max_message:
            raise TooLarge(f"host.{what}: {len(data)} bytes, at most {self.max_message} are allowed")
        self.room -= len(data) + _OUT
        if self.room < 0:
            raise self._too_much(what)
        return data

    def _too_much(self, what: str) -> TooLarge:
        return TooLarge(f"host.{what}: this turn sends too much in all; split it into several messages")

    def tell(self, to: str, handler: str, payload: Any) -> None:
        target, data = self.message("tell", to, handler, payload)
        self.outs.append(Out(_TELL, "", target, handler, data))

    def signal(self, to: str, name: str, payload: dict[str, Any], ref: str) -> str:
        target, ref = full(to), ref or self._reference()
        self.outs.append(Out(_TELL, "", target, name, self._encode(name[1:], {**payload, "ref": ref})))
        return ref

    def _reference(self) -> str:
        """What no other signal of the actor has: not of another wait, nor of before a restart."""
        reference = f"{self.seq}.{self.sent_in_all()}"
        return f"{reference}.{self.restarts}" if self.restarts else reference

    def sent_in_all(self) -> int:
        """How many outgoing items the handler has made since it began."""
        return self._base + len(self.outs)

    # Deferred replies

    def defer(self) -> str:
        spec = self.instance.type.spec
        where = f"{spec.name}.{self.bound.name}"
        if spec.kind != "object" or self.bound.read_only or self.initialising:
            raise TypeError(
                f"host.defer: {where} answers when it ends: it is read_only, or none of an @actor; "
                "take the id of an awakeable of the caller's, and resolve that"
            )
        if not self.caller:
            return ""
        self.task().refusal = f"{where} has called host.defer: after that it cannot wait"
        return defer(self, self._salt)

    def reply(self, token: str, value: Any) -> bool:
        return answer(self, token, value, None, partial(self._encode, "reply"))

    def reject(self, token: str, code: str, detail: str, data: Any) -> bool:
        return answer(self, token, None, refusal(code, detail, data), partial(self._encode, "reject"))

    awaited = awaited

    def may_wait(self) -> bool:
        return self._task is not None or self.bound.is_async or self.bound.waits

    def emit(self, topic: str, value: Any, key: str | None) -> None:
        check_topic(topic)
        if key is None:
            key = ""
        elif type(key) is not str:
            raise TypeError(f"host.emit: the key is text, not {key!r}: write str(…)")
        elif len(key) > MAX_KEY // 4 and len(key.encode()) > MAX_KEY:
            raise ValueError(f"host.emit: a key of {len(key.encode())} bytes, at most {MAX_KEY} are allowed")
        elif not key.isascii():
            key.encode()  # refuses what is no Unicode text
        self.outs.append(_new(Out, (_EMIT, "", topic, "", self._encode("emit", value), key, "", 0)))

    def send_after(self, delay: float, handler: str, payload: Any, to: str | None) -> str:
        after = milliseconds("host.send_after: a delay of", delay, MAX_DELAY)
        _check_handler(handler)
        timer = f"{self.seq}.{self._base + len(self.outs)}"
        target = self.address if to is None else full(to)
        due = self._time + after
        self.outs.append(
            Out(_TIMER, timer, target, handler, self._encode("send_after", payload), "", "", due)
        )
        return timer

    def cancel(self, timer: str) -> None:
        known: object = timer
        if not isinstance(known, str) or not _TIMER_ID.fullmatch(timer):
            raise ValueError(f"host.cancel: {timer!r} is no timer: give what host.send_after returned")
        self.room -= len(timer) + _OUT
        if self.room < 0:
            raise self._too_much("cancel")
        self.outs.append(Out(_CANCEL, timer, "", "", b""))

    def self_id(self) -> str:
        return parse(self.address).short

    def sender(self) -> str:
        return parse(self._sender).short if self._sender else ""

    def of_call(self, error: Exception) -> tuple[str, str, Any] | None:
        return (error.code, error.detail, error.data) if isinstance(error, CallError) else None

    def now(self) -> int:
        return self._time

    def _rng(self) -> random.Random:
        if self._random is None:
            self._random = random.Random(f"{self._salt}{self.address}#{self.seq}")
        return self._random

    def random(self) -> float:
        return self._rng().random()

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._rng().getrandbits(128), version=4))

    def log(self, level: str, message: str, fields: dict[str, Any]) -> None:
        more = "".join(f" {k}={v!r}" for k, v in fields.items())
        _log.log(LEVELS.get(level, 20), "%s: %s%s", self.self_id(), message, more)

    def plain(self, value: Any) -> Any:
        return plain_value(value)

    def typed(self, value: Any, hint: Any) -> Any:
        try:
            return msgspec.convert(value, hint, str_keys=True)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None

    def sent(self) -> int:
        return self.sent_in_all()

    def take_back(self, sent: int) -> None:
        self.deferred = None
        del self.outs[max(0, sent - self._base) :]  # what has left with a step stays sent

    def put_aside(self, handler: str, arguments: dict[str, Any], code: str, detail: str) -> None:
        payload = self._encode("put_aside", arguments)
        self.outs.append(Out(_DEAD, "", self.address, handler, payload, code, text(detail, MAX_DETAIL), 1))


@lru_cache(maxsize=4096)
def check_topic(topic: object) -> None:
    """Raises ValueError where it is no name of an output."""
    if not isinstance(topic, str) or not _TOPIC.fullmatch(topic):
        raise ValueError(
            f"host.emit: {topic!r} is no name of an output: use letters, digits, '.', '_' and '-', "
            f"at most {MAX_TOPIC} of them"
        )


@lru_cache(maxsize=4096)
def _check_handler(handler: object) -> None:
    if not isinstance(handler, str) or not 0 < len(handler) <= MAX_HANDLER or not handler.isprintable():
        what = f"give a text of 1 to {MAX_HANDLER} printable characters"
        raise ValueError(f"{handler!r:.80} is no name of a handler: {what}")
    if handler[0] == "$":
        raise ValueError(f"{handler!r} is the system's: use host.spawn, host.stop, host.resolve_awakeable, …")
