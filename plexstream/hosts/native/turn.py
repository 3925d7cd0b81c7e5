"""The running turn: what ``host.…`` does in a handler."""

from __future__ import annotations

import logging
import random
import uuid
from typing import Any

import msgspec

from plexstream.hosts.native.fields import encode
from plexstream.model.address import full, parse
from plexstream.model.errors import TooLarge
from plexstream.model.journal import Out, OutKind

_log = logging.getLogger("plexstream.actor")
_LEVELS = {"debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40}
_TELL, _EMIT, _TIMER, _CANCEL = (
    k.value for k in (OutKind.TELL, OutKind.EMIT, OutKind.TIMER, OutKind.CANCEL)
)  # fmt: skip
MAX_DELAY = 10 * 365 * 86400.0


class Turn:
    """One turn at a time; an object is used again for the next."""

    __slots__ = ("_random", "_sender", "_time", "address", "max_message", "outs", "room", "seq")

    def __init__(self, max_message: int, max_turn: int) -> None:
        self.max_message = max_message
        self.room = max_turn
        self.outs: list[Out] = []
        self.address = ""
        self.seq = self._time = 0
        self._sender = ""
        self._random: random.Random | None = None

    def begin(self, address: str, seq: int, now: int, sender: str, room: int) -> None:
        """Start a turn; `room` is how many bytes it may send in all."""
        self.outs = []
        self.address, self.seq, self._time, self._sender, self.room = address, seq, now, sender, room
        self._random = None

    def _encode(self, what: str, payload: Any) -> bytes:
        try:
            data = encode(payload)
        except (TypeError, OverflowError, UnicodeEncodeError) as error:
            raise TypeError(f"host.{what}: the payload is no JSON: {error}") from None
        if len(data) > self.max_message:
            raise TooLarge(f"host.{what}: {len(data)} bytes, at most {self.max_message} are allowed")
        self.room -= len(data)
        if self.room < 0:
            raise TooLarge(f"host.{what}: this turn sends too much in all; split it into several messages")
        return data

    def tell(self, to: str, handler: str, payload: Any) -> None:
        if not isinstance(payload, dict):
            payload = msgspec.to_builtins(payload)
            if not isinstance(payload, dict):
                raise TypeError(f"host.tell: the payload is {type(payload).__name__}; arguments are a dict")
        self.outs.append(Out(_TELL, "", full(to), handler, self._encode("tell", payload)))

    def emit(self, topic: str, value: Any, key: str | None) -> None:
        self.outs.append(Out(_EMIT, "", topic, "", self._encode("emit", value), "" if key is None else key))

    def send_after(self, delay: float, handler: str, payload: Any, to: str | None) -> str:
        if not 0 <= delay <= MAX_DELAY:
            raise ValueError(f"host.send_after: a delay of {delay!r} s; from 0 to {MAX_DELAY:.0f} is allowed")
        timer = f"{self.seq}.{len(self.outs)}"
        target = self.address if to is None else full(to)
        due = self._time + round(delay * 1000)
        self.outs.append(
            Out(_TIMER, timer, target, handler, self._encode("send_after", payload), "", "", due)
        )
        return timer

    def cancel(self, timer: str) -> None:
        self.outs.append(Out(_CANCEL, timer, "", "", b""))

    def self_id(self) -> str:
        return parse(self.address).short

    def sender(self) -> str:
        return parse(self._sender).short if self._sender else ""

    def now(self) -> int:
        return self._time

    def _rng(self) -> random.Random:
        if self._random is None:
            self._random = random.Random(f"{self.address}#{self.seq}")
        return self._random

    def random(self) -> float:
        return self._rng().random()

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._rng().getrandbits(128), version=4))

    def log(self, level: str, message: str, fields: dict[str, Any]) -> None:
        more = "".join(f" {k}={v!r}" for k, v in fields.items())
        _log.log(_LEVELS.get(level, 20), "%s: %s%s", self.self_id(), message, more)
