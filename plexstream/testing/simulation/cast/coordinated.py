"""Calls of system actors, as callers outside make them up: they contend for few things, wait, and are wrong.

Of each kind there are *steady* ones, whose leases are longer than a schedule: what callers saw of them is
checked for linearizability. The others expire, and are told of things that cannot be.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from plexstream.model.messages.address import full, parse
from plexstream.model.messages.message import ASK, REPLY, TELL, Envelope, with_deadline

LONG = 20_000
"""Seconds of the leases of what is steady: longer than any schedule with its faults."""
WAITS: tuple[float, ...] = (0, 0, 0.02, 0.3, 0.3, 3600)
"""Seconds. Nobody waits for ever: then a schedule would not come to rest."""
_SHORT = (0.01, 0.1, 1.0, 30.0)
_BAD = (0, -1)
STEADY = "steady"
"""With what the names of steady actors begin."""
_ROOMS = (f"{STEADY}0", f"{STEADY}1", "short", "short")

READS = ("get", "peek", "read_all", "count")
"""Handlers that change nothing, and need no turn."""


_ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "plex.kv": ("increment", {"key": "n"}),
    "plex.lock": ("acquire", {"lease": 0.1, "wait": 2}),
    "plex.queue": ("receive", {"visibility": 0.1, "wait": 2}),
    "plex.space": ("take", {"pattern": ["a", None], "wait": 2}),
}
"""What handlers ask for, by kind."""


class Wanted(NamedTuple):
    """A call that somebody wants to make.

    Attributes:
        mode: as of `Call`.
        patience: ms that the caller waits for the answer; 0: until it comes.
    """

    mode: str
    address: str
    handler: str
    arguments: dict[str, Any]
    patience: int = 0

    def envelope(self, op: str, caller: str, number: int, now: int) -> Envelope:
        """The message that `caller` sends, its `number`-th; `now`: in ms since the epoch."""
        id = with_deadline(op, now + self.patience) if self.patience else op
        e = Envelope(
            ASK,
            id,
            full(self.address),
            self.handler,
            json.dumps(self.arguments).encode(),
            "",
            caller,
            "",
            now,
        )
        if self.mode == "origin":
            return e._replace(kind=TELL, reply_to="", origin=f"ext/{caller}", origin_seq=number)
        headers = {"read_only": "1"} if self.mode == "read" else {}
        return e._replace(idempotency_key=f"key {op}" if self.mode == "keyed" else "", headers=headers)


Heard = list[tuple[str, str, Any]]
"""What a caller was answered: by whom, which handler, and the value."""


class Caller:
    """One who calls system actors, with what it was answered.

    Parameters:
        random: its own.
        kinds: of actors that it calls.
    """

    def __init__(self, name: str, random: Random, kinds: tuple[str, ...]) -> None:
        self._name = name
        self._random = random
        self._kinds = kinds
        self._number = 0
        self._heard: Heard = []

    def heard(self, e: Envelope, kind: int, payload: bytes) -> None:
        """It has an answer to a message."""
        if kind == REPLY and "/plex." in e.target:
            self._heard.append((parse(e.target).short, e.handler, json.loads(payload)))

    def next(self) -> Wanted:
        """What it does next."""
        self._number += 1
        kind, room = self._random.choice(self._kinds), self._random.choice(_ROOMS)
        make: Callable[[str, bool], Wanted] = getattr(self, f"_{kind[5:]}")
        wanted = make(f"{kind}/{room}", room.startswith(STEADY))
        if wanted.mode != "keyed":
            return wanted
        roll = self._random.random()
        if roll < 0.1:
            return wanted._replace(mode="plain")
        if roll < 0.25:  # it waits for so long itself, and nobody may get its answer then
            return wanted._replace(mode="plain", patience=self._random.choice((30, 300)))
        return wanted

    def step(self) -> list[Any]:
        """Of a script (`waiting`): an ask, by which a handler waits for long, or no longer than it wants."""
        kind = self._random.choice(self._kinds)
        patience = self._random.choice((0.02, 0.4, 3.0))
        return ["ask", full(f"{kind}/short"), *_ASKED[kind], patience]

    def _latest(self, address: str, *handlers: str) -> list[Any]:
        """What it was last answered by an actor, the latest first."""
        found = [value for at, handler, value in self._heard if at == address and handler in handlers]
        return found[:-4:-1]

    def _pick(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def _kv(self, address: str, steady: bool) -> Wanted:
        random = self._random
        key, value = random.choice("ab"), f"{self._name} {self._number}"
        ttl: dict[str, Any] = {} if steady else {"ttl": self._pick(None, *_SHORT, *_BAD)}
        roll = random.random()
        if roll < 0.3:
            return Wanted("read", address, "get", {"keys": [self._pick(key, key, "n")]})
        if roll < 0.6:
            known = [row[0][1] for row in self._latest(address, "get") if row[0]]
            known += [row[1] for row in self._latest(address, "cas")]
            known += [row[0] for row in self._latest(address, "put")]
            version = max([0, *known]) if random.random() < 0.8 else 0
            return Wanted("keyed", address, "cas", {"key": key, "value": value, "version": version, **ttl})
        if roll < 0.75:
            return Wanted("keyed", address, "increment", {"key": "n" if steady else self._pick("n", key)})
        if roll < 0.85:
            return Wanted("keyed", address, "delete", {"keys": [key] if steady else ["a", "b"]})
        entries = {key: value} if steady else {"a": value, "b": self._number}
        mode = "keyed" if steady else self._pick("keyed", "keyed", "origin")
        return Wanted(mode, address, "put", {"entries": entries, **ttl})

    def _lock(self, address: str, steady: bool) -> Wanted:
        random = self._random
        lease = LONG if steady else self._pick(*_SHORT, *_SHORT, *_BAD)
        held = [value["token"] for value in self._latest(address, "acquire") if value]
        roll = random.random()
        if not held or roll < 0.45:
            wait = random.choice(WAITS)
            return Wanted("keyed", address, "acquire", {"holder": self._name, "lease": lease, "wait": wait})
        token = held[0] if roll < 0.95 else random.choice(held)
        if roll < 0.6:
            return Wanted("keyed", address, "renew", {"token": token, "lease": lease})
        return Wanted(self._pick("keyed", "keyed", "origin"), address, "release", {"token": token})

    def _queue(self, address: str, steady: bool) -> Wanted:
        random = self._random
        visible = LONG if steady else self._pick(*_SHORT, *_SHORT, *_BAD)
        receipts = [told[0]["receipt"] for told in self._latest(address, "receive") if told]
        roll = random.random()
        wait = random.choice(WAITS)
        if roll < 0.4:
            values = [f"{self._name} {self._number}"]
            if steady:
                return Wanted("keyed", address, "send", {"messages": values})
            values *= random.choice((1, 1, 2))
            delay = self._pick(0, 0, 0.05, 1.0)
            return Wanted("keyed", address, "send", {"messages": values, "delay": delay, "wait": wait})
        if (steady and roll > 0.97) or (not receipts and roll > 0.7):
            settings = {"visibility": LONG if steady else random.choice(_SHORT)}
            if not steady:
                settings.update(bound=self._pick(0, 1, 2, 3), attempts=self._pick(1, 2, 5))
            return Wanted("keyed", address, "configure", settings)
        if roll < (0.6 if receipts else 0.7):
            limit = {} if steady else {"limit": self._pick(1, 1, 2)}
            return Wanted("keyed", address, "receive", {**limit, "wait": wait, "visibility": visible})
        if not receipts or (roll > 0.97 and not steady):
            return Wanted("keyed", address, "purge" if not steady else "receive", {})
        receipt = random.choice(receipts)
        if roll < 0.85 or steady:
            return Wanted(self._pick("keyed", "keyed", "origin"), address, "ack", {"receipts": [receipt]})
        if roll < 0.93:
            return Wanted("keyed", address, "nack", {"receipts": [receipt], "delay": self._pick(0, 0, 0.1)})
        return Wanted("keyed", address, "extend", {"receipt": receipt, "visibility": visible})

    def _space(self, address: str, steady: bool) -> Wanted:
        random = self._random
        tuple = [random.choice("ab"), random.randrange(2)]
        pattern = [self._pick(tuple[0], tuple[0], None), self._pick(tuple[1], None)]
        ttl: dict[str, Any] = {} if steady else {"ttl": self._pick(None, *_SHORT, *_BAD)}
        roll = random.random()
        if roll < 0.35:
            mode = self._pick("keyed", "keyed", "origin")
            return Wanted(mode, address, "write", {"tuple": tuple, **ttl})
        if roll < 0.75:
            what = self._pick("take", "take", "read")
            return Wanted("keyed", address, what, {"pattern": pattern, "wait": random.choice(WAITS)})
        if roll < 0.8:
            return Wanted("read", address, self._pick("peek", "read_all", "count"), {"pattern": pattern})
        if roll < 0.83:
            return Wanted("keyed", address, "take_all", {"pattern": pattern})
        if steady:
            return Wanted("keyed", address, "take", {"pattern": pattern})
        written = [told["id"] for told in self._latest(address, "write")]
        if roll < 0.9 and written:
            id = random.choice(written)
            wanted = Wanted("keyed", address, "renew", {"id": id, "ttl": random.choice(_SHORT)})
            return wanted if roll < 0.87 else wanted._replace(handler="cancel", arguments={"id": id})
        if roll < 0.93:
            return Wanted("keyed", address, "swap", {"pattern": pattern, "tuple": tuple, **ttl})
        if roll < 0.96:
            return Wanted("keyed", address, "write_many", {"tuples": [tuple, tuple], **ttl})
        operations = [
            {"op": self._pick("take", "read", "absent"), "pattern": pattern}, {"op": "write", "tuple": tuple},
            {"op": "take", "pattern": tuple},
        ]  # fmt: skip
        return Wanted("keyed", address, "transaction", {"operations": operations[: random.choice((2, 2, 3))]})
