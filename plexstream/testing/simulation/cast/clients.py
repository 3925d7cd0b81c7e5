"""Callers from outside: they ask, tell, read, and repeat themselves when in doubt."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any
from zlib import crc32

from plexstream.log.base import Item, Place
from plexstream.model.errors import LogError
from plexstream.model.messages import idempotency
from plexstream.model.messages.address import full, partition_of
from plexstream.model.messages.control import RESULT
from plexstream.model.messages.message import ASK, TELL, Envelope
from plexstream.model.topics.topics import Topics
from plexstream.schema.codec import decode_envelope, encode_envelope
from plexstream.testing.simulation.cast import supervised, waiting
from plexstream.testing.simulation.cast.actors import ALWAYS
from plexstream.testing.simulation.cast.coordinated import Caller
from plexstream.testing.simulation.network.network import Network, SimProducer
from plexstream.testing.simulation.plan.plan import Plan

RETRY_MS = 150
AT_ONCE = 5
"""Calls that one who calls system actors has open at most."""
CALLS = 60
"""And that it makes in all."""


class Call:
    """One call, with all its repetitions.

    Attributes:
        mode: "keyed" (repeated with an idempotency key), "origin" (repeated with its number), "read"
            (repeated as it is), "plain" (sent once).
        sent, replied, acked_at: steps of the scheduler; -1: not yet.
        heard_at: when it was replied, in ms since the epoch.
        acked: the log has acknowledged it at least once.
        reply: kind and payload.
    """

    __slots__ = (
        "acked", "acked_at", "envelope", "heard_at", "item", "mode", "op", "place", "replied", "reply",
        "retry_at", "sent", "unsure",
    )  # fmt: skip

    def __init__(self, mode: str, op: str, envelope: Envelope, place: Place, item: Item) -> None:
        self.mode = mode
        self.op = op
        self.envelope = envelope
        self.place = place
        self.item = item
        self.sent = self.replied = self.acked_at = -1
        self.acked = False
        self.unsure = False
        self.reply: tuple[int, bytes] | None = None
        self.retry_at = self.heard_at = 0

    def done(self) -> bool:
        """Whether the caller has what it wants, or has given up."""
        if self.envelope.kind == ASK and self.mode != "plain":
            return self.reply is not None
        return self.acked or self.unsure


class SimClient:
    """One caller outside, with clients of the log of its own."""

    def __init__(
        self, name: str, network: Network, topics: Topics, plan: Plan, random: Random,
        clock: Callable[[], int], addresses: list[str], caller: Caller,
    ) -> None:  # fmt: skip
        self.name = name
        self.network = network
        self.topics = topics
        self.plan = plan
        self.random = random
        self.clock = clock
        self.addresses = addresses
        self.calls: list[Call] = []
        self.open: list[Call] = []
        self._unacked: list[Call] = []  # with an origin, in order
        self._number = 0
        self._place = (topics.reply, partition_of(name, plan.partitions))
        self._reader = network.log.reader()
        self._reader.assign(self._place, 0)
        self._waiting: dict[str, Call] = {}
        self.sender = SimProducer(network, name)
        self.appender = self.sender.paced()
        self.replies_of_others = 0
        self.repeats = True
        self._keys: dict[tuple[str, str], str] = {}  # the latest, by target and handler
        self._tell: Envelope | None = None  # the latest with a key
        self._caller = caller

    # Sending

    def new_call(self, step: int) -> Call:
        """Make up a call and send it."""
        call = self._new_call(step)
        if self._tell is not None and self._number % 13 == 0:
            self._look(self._tell, step)
        return call

    def _new_call(self, step: int) -> Call:
        random = self.random
        self._number += 1
        op = f"{self.name}:{self._number}"
        if self.plan.coordinated and random.random() < (0.7 if self.plan.waiters else 0.85):
            return self._coordinate(op, step)
        if self.plan.workers and random.random() < 0.4:
            target, handler = supervised.call(random, self.plan.workers, self.plan.kill > 0)
            return self._send_new("origin", TELL, op, target, handler, {"op": op}, step)
        if self.plan.waiters and random.random() < 0.5:
            return self._wait(op, step)
        target = full(random.choice(self.addresses))
        roll = random.random()
        if random.random() < self.plan.bad:
            return self._bad(op, target, step)
        if random.random() < self.plan.kill:
            return self._send_new("origin", TELL, op, target, "kill", {"op": op}, step)
        if roll < 0.2:
            headers = {"read_only": "1"} if random.random() < 0.7 else {}
            return self._send_new("read", ASK, op, target, "get", {}, step, headers=headers)
        handler, arguments = _work(random, self.name, self.addresses, op, target)
        if roll < 0.65:
            return self._send_new("keyed", ASK, op, target, handler, arguments, step)
        if roll < 0.72:
            return self._send_new("keyed", TELL, op, target, handler, arguments, step)
        if roll < 0.9:
            return self._send_new("origin", TELL, op, target, handler, arguments, step)
        return self._send_new("plain", random.choice((ASK, TELL)), op, target, handler, arguments, step)

    def flood(self, step: int) -> None:
        """Many messages at once, for actors that are in memory and free: they come in large groups."""
        for _ in range(self.plan.plain):
            self._number += 1
            op = f"{self.name}:{self._number}"
            target = full(f"plain/{self.random.randrange(3)}")
            handler, arguments = self.random.choice(
                (
                    ("add", {"op": op, "amount": self.random.randrange(3)}),
                    ("publish", {"op": op, "count": 1}),
                    ("spread", {"op": op, "to": ["plain/0"]}),
                )
            )
            mode, kind = ("plain", ASK) if self._number % 3 == 0 else ("origin", TELL)
            self._send_new(mode, kind, op, target, handler, arguments, step)

    def _wait(self, op: str, step: int) -> Call:
        """Something for an actor whose handlers wait."""
        random = self.random
        number = random.randrange(self.plan.waiters)
        target = full(f"waiter/{number}")
        roll = random.random()
        if roll < 0.1:
            return self._send_new("read", ASK, op, target, "look", {}, step, headers={"read_only": "1"})
        if roll < 0.16:
            return self._send_new("origin", TELL, op, target, "$cancel", {}, step)
        if roll < 0.18:
            return self._send_new("origin", TELL, op, target, "$end", {}, step)
        if roll < 0.22:
            self._send_new("origin", TELL, op, target, "$pause", {}, step)
            self._number += 1
            return self._send_new("origin", TELL, f"{op} on", target, "$resume", {}, step)
        handler = "serve"
        arguments: dict[str, Any] = {"op": op, "fate": random.choice(("", "refuse", "fail"))}
        if roll < 0.85:
            script = waiting.script(random, op, number, self.plan.waiters)
            if self.plan.coordinated:
                script.insert(0, self._caller.step())
            handler, arguments = random.choice(("work", "toil")), {"op": op, "script": script}
            if crc32(op.encode()) % 4 == 0:
                handler = "beside"
            for address, name in waiting.promises(script, target):
                self._number += 1
                settled = {"error": "no"} if random.random() < 0.2 else {"value": name}
                more = {"name": name, **settled}
                self._send_new("origin", TELL, f"{op} {name}", address, "$promise", more, step)
        self._number += 1
        mode, kind = random.choice((("keyed", ASK), ("keyed", TELL), ("origin", TELL), ("plain", ASK)))
        return self._send_new(mode, kind, op, target, handler, arguments, step)

    def go_on(self, step: int) -> None:
        """Call system actors, as often as there are calls left; what is next is to follow from answers."""
        if len(self.open) < AT_ONCE and len(self.calls) < CALLS:
            self.new_call(step)

    def _coordinate(self, op: str, step: int) -> Call:
        """Something for a system actor."""
        wanted = self._caller.next()
        e = wanted.envelope(op, self.name, self._number, self.clock())
        place = self.topics.mailbox, partition_of(e.target, self.plan.partitions)
        return self._send(Call(wanted.mode, e.id, e, place, (e.target.encode(), encode_envelope(e))), step)

    def resume(self, address: str, number: int, step: int) -> None:
        """Let one handler go on that is paused."""
        self._number += 1
        op = f"{self.name}:{self._number} {number} on"
        self._send_new("origin", TELL, op, address, "$resume", {"invocation": number}, step)

    def plant(self, step: int) -> None:
        """Declare the tree of supervisors."""
        self._number += 1
        op = f"{self.name}:{self._number}"
        arguments = {"spec": supervised.tree(self.plan.workers)}
        self._send_new("origin", TELL, op, supervised.ROOT, "configure", arguments, step)

    def _bad(self, op: str, target: str, step: int) -> Call:
        random = self.random
        kind = random.choice((ASK, TELL))
        how = random.randrange(5)
        if how == 0:
            return self._send_new("plain", kind, op, target, "nothing", {"op": op}, step)
        if how == 1:
            return self._send_new("plain", kind, op, target, "add", {"op": op, "amount": "much"}, step)
        if how == 2:
            return self._send_new("plain", kind, op, full("nobody/1"), "add", {"op": op}, step)
        place = (self.topics.mailbox, random.randrange(self.plan.partitions))
        if how == 3:
            arguments = {"op": op, "amount": 1}
            return self._send_new("plain", kind, op, target, "add", arguments, step, place=place)
        item = (b"x", random.randbytes(random.randrange(20)))
        return self._send(Call("plain", op, Envelope(TELL, op, "", "", b""), place, item), step)

    def _send_new(
        self, mode: str, kind: int, op: str, target: str, handler: str, arguments: dict[str, Any], step: int,
        headers: dict[str, str] | None = None, place: Place | None = None,
    ) -> Call:  # fmt: skip
        origin = f"ext/{self.name}" if mode == "origin" else ""
        envelope = Envelope(
            kind, op, target, handler, json.dumps(arguments).encode(), "", self.name if kind == ASK else "",
            self._key(op, target, handler) if mode == "keyed" else "", self.clock(), headers or {},
            origin, self._number if origin else 0, 0,
        )  # fmt: skip
        if mode == "keyed" and kind == TELL:
            self._tell = envelope
        place = place or (self.topics.mailbox, partition_of(target, self.plan.partitions))
        return self._send(Call(mode, op, envelope, place, (target.encode(), encode_envelope(envelope))), step)

    def _key(self, op: str, target: str, handler: str) -> str:
        """A key of its own, or now and then that of another call: with other arguments, a conflict."""
        used = self._keys.get((target, handler))
        if used is not None and self._number % 11 == 0:
            return used
        key = self._keys[target, handler] = f"key {op}"
        return key

    def _look(self, told: Envelope, step: int) -> Call:
        """Ask what has become of a tell, or to be told when it has ended."""
        mark = idempotency.mark(told.idempotency_key, told.payload)
        name = idempotency.name(told.handler, mark)
        digest = idempotency.digest_of(mark)
        wait = self._number % 2 * RETRY_MS
        op = f"look {told.id} {self.name}:{self._number}"
        arguments = {"name": name, "digest": digest, "wait": wait}
        return self._send_new("plain" if wait else "read", ASK, op, told.target, RESULT, arguments, step)

    def _send(self, call: Call, step: int) -> Call:
        call.sent = step
        self.calls.append(call)
        self.open.append(call)
        if call.mode == "origin":
            self._unacked.append(call)
        if call.envelope.kind == ASK:
            self._waiting[call.envelope.id] = call
        self._put(call)
        return call

    def _put(self, call: Call) -> None:
        repeat = call.mode in ("keyed", "origin") and self.random.random() < self.plan.duplicates
        items = [call.item, call.item] if repeat else [call.item]
        patience = 10 if waiting.is_waiting(call.envelope.target) else 1
        call.retry_at = self.clock() + RETRY_MS * patience
        try:
            self.appender.append(call.place, items, call)
        except LogError:
            self._renew()

    def _renew(self) -> None:
        """A new appender: what has a number is sent again from the first that is not acknowledged."""
        self.appender.close()
        self.sender = SimProducer(self.network, self.name)
        self.appender = self.sender.paced()
        for call in self.open:
            call.unsure = call.unsure or call.mode == "plain"
        for call in self._unacked:
            self._put(call)

    # Listening

    def step(self, step: int) -> None:
        """Hear what there is to hear, and repeat what took too long."""
        broken = False
        for ack in self.appender.poll(0):
            call: Call = ack.token  # type: ignore[assignment]
            if ack.error is None:
                call.acked = True
                call.acked_at = step if call.acked_at < 0 else call.acked_at
                if call in self._unacked:
                    self._unacked.remove(call)
            else:
                broken = True
        if broken:
            self._renew()
        if not self.network.stalled:
            self._listen(step)
        now = self.clock()
        for call in self.open:
            late = call.mode in ("keyed", "read") and call.retry_at <= now
            if late and self.repeats and not call.done():
                self._put(call)
        self.open = [call for call in self.open if not call.done()]

    def _listen(self, step: int) -> None:
        for record in self._reader.read(20, 0):
            if record.key != self.name.encode():
                self.replies_of_others += 1
                continue
            reply = decode_envelope(record.value or b"")
            call = self._waiting.get(reply.id)
            if call is not None and call.reply is None:
                call.reply = (reply.kind, reply.payload)
                call.replied, call.heard_at = step, self.clock()
                self._caller.heard(call.envelope, reply.kind, reply.payload)

    def repeat_old(self) -> None:
        """Send something again that was acknowledged long ago."""
        old = [c for c in self.calls if c.mode in ("keyed", "origin") and c.acked]
        if old:
            call = self.random.choice(old)
            try:
                self.appender.append(call.place, [call.item], call)
            except LogError:
                self._renew()

    def idle(self) -> bool:
        """Whether every call is settled."""
        return not self.open and not self._unacked and not self.sender.pending and not self.appender.holding


def _work(
    random: Random, caller: str, addresses: list[str], op: str, target: str
) -> tuple[str, dict[str, Any]]:  # fmt: skip
    """Something for a cell to do."""
    roll = random.random()
    timer = f"t{random.randrange(4)}.{caller}"
    # One that fails in a brief cell begins anew for ever: only turns keep its state.
    series = random.choice(("good", "bad")) if "/cell/" in target else "good"
    if roll < 0.35:
        return "add", {"op": op, "amount": random.randrange(4)}
    if roll < 0.5:
        return "spread", {"op": op, "to": random.choices(addresses, k=random.randint(1, 3))}
    if roll < 0.62:
        return "publish", {"op": op, "count": random.randint(1, 3)}
    if roll < 0.74:
        to = random.choice(addresses) if random.random() < 0.3 else None
        return "later", {"op": op, "timer": timer, "delay": random.choice((0, 5, 50, 400)), "to": to}
    if roll < 0.8:
        return "drop", {"op": op, "timer": timer}
    if roll < 0.83:
        return "refuse", {"op": op}
    if roll < 0.84:
        return "unset", {"op": op, "name": series}
    if roll < 0.89:
        return "wake", {"op": op, "delay": random.choice((0, 5, 50))}
    if roll < 0.92:
        misfire = random.choice(("once", "all", "skip"))
        return "series", {"op": op, "name": series, "misfire": misfire}
    if roll < 0.96:
        return "break", {"op": op, "times": random.choice((1, 2, ALWAYS))}
    return "shrink", {"op": op}
