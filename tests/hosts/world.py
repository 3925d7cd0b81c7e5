"""One partition with native actors, its mailbox and its journal: what turns send comes back as messages."""

import json
from collections import deque

from plexstream.coordination import system_type
from plexstream.hosts.native import NativeHost
from plexstream.hosts.system import SYSTEM_TYPES
from plexstream.model.journal.journal import Claim, OutKind, Partition, Step, Turn
from plexstream.model.journal.life import FIELD, decode_life
from plexstream.model.messages.address import full
from plexstream.model.messages.message import ASK, TELL, Envelope
from plexstream.node.partition.sums.snapshots import split_fields
from plexstream.processor import Processor, Restore, Settings
from plexstream.processor.state.pieces import Pieces
from plexstream.schema import codec
from plexstream.store.memory import MemoryStore
from plexstream.testing.programs.stage.relayed import relay


class World:
    """Runs until nothing is left to do; with `crash_every`, process and disk are lost after so many turns."""

    def __init__(self, *classes, crash_every=0, reply_ttl=1000, blobs=None, **more):
        types = {c.__plexstream__.name: c.__plexstream__ for c in classes}
        self.host = NativeHost({**types, **SYSTEM_TYPES}, more=system_type, blobs=blobs, **more)
        self.mailbox = []
        self.journal = []
        self.now = 1_000_000
        self.replies = {}
        self.errors = {}  # of those that are errors, in full
        self.hold_effects = False  # whether side effects take longer than the test
        self._number = 0
        self._turns = 0
        self._crash_every = crash_every
        self.reply_ttl = reply_ttl
        self.restart()

    def restart(self):
        """As after the loss of process and disk."""
        self.journal.append(Claim("t", "n", self.now, {}))
        self.pieces = Pieces(MemoryStore(), split_fields, self.reply_ttl, codec, self.reply_ttl // 2)
        restore = Restore(self.pieces, Partition(), True)
        for offset, record in enumerate(self.journal):
            restore.take(offset, codec.encode_journal(record))
        self.p = Processor(0, 1, self.host, restore, Settings(), self.now)
        if restore.unseen >= 0:  # too much to be kept: the journal has it
            for offset, record in enumerate(self.journal):
                if offset >= restore.unseen and type(record) in (Turn, Step):
                    self._send(offset, record)

    def tell(self, to, handler, /, _kind=TELL, _key="", _read=False, **arguments):
        self._number += 1
        self.mailbox.append(Envelope(
            _kind, f"m{self._number}", full(to), handler, json.dumps(arguments).encode(),
            reply_to="edge" if _kind else "", idempotency_key=_key,
            headers={"read_only": "1"} if _read else {},
        ))  # fmt: skip
        return f"m{self._number}"

    def start(self, to, handler, /, **arguments):
        """An ask that is not waited for: the id of its reply."""
        id = self.tell(to, handler, _kind=ASK, **arguments)
        self.run()
        return id

    def ask(self, to, handler, /, **arguments):
        """The result, or the error's code."""
        id = self.tell(to, handler, _kind=ASK, **arguments)
        self.run()
        return self.replies[id]

    def run(self, ms=0):
        """Until it comes to rest; `ms` pass first."""
        self.now += ms
        for _ in range(100_000):
            if not self._step():
                return
        raise AssertionError("it never comes to rest")

    def _step(self):
        p = self.p
        at = p.position
        p.tick(self.now)
        if at < len(self.mailbox):
            p.receive([(at, self.mailbox[at])], self.now)
        appended, turns = False, 0
        while (records := p.take()) is not None:
            self.journal += records
            p.acknowledged(len(self.journal) - 1)
            appended = True
            turns += sum(type(r) in (Turn, Step) for r in records)
        due = p.invocations.next_due()
        moved = appended or at < len(self.mailbox) or (due is not None and due <= self.now)
        for reply_to, id, kind, payload, handler, sender in p.answers:
            if handler:
                self.mailbox.append(Envelope(kind, id, reply_to, handler, payload, sender))
                moved = True
            else:
                self._answered(id, kind, payload)
        p.answers.clear()
        self._turns += turns
        if self._crash_every and turns and self._turns % self._crash_every == 0:
            self.restart()  # what is owed was not sent, and all that was is sent again
        effects = p.invocations.effects if p is self.p else deque()
        while effects and not self.hold_effects:
            call = effects.popleft()
            p.effect_done(call, call.effect.run(call.attempt, call.spent), self.now)
            moved = True
        while p is self.p and p.outbox.mails.queue:
            self._send(*p.outbox.mails.queue.popleft())
            moved = True
        return moved or p is not self.p

    def _send(self, offset, turn):
        answer = lambda out: self._answered(out.id, out.kind, out.payload)  # noqa: E731
        relay(offset, turn, self.mailbox.append, answer)

    def _answered(self, id, kind, payload):
        body = json.loads(payload)
        if kind == 3:
            self.errors[id] = body
        self.replies[id] = body["code"] if kind == 3 else body

    # Looking

    def steps(self, handler=None):
        return [r for r in self.journal if type(r) is Step and handler in (None, r.handler)]

    def waiting(self):
        """The handlers that have not ended."""
        live = self.p.invocations.live.values()
        return sorted((i.begin.handler, i.number) for found in live for i in found.values())

    def turns(self, handler=None):
        return [r for r in self.journal if type(r) is Turn and handler in (None, r.handler)]

    def put_aside(self):
        return [
            (o.handler, o.key)
            for t in [*self.turns(), *self.steps()]
            for o in t.outs
            if o.kind == OutKind.DEADLETTER
        ]

    def field(self, address, name):
        data = self.pieces.core(full(address)).fields.get(name)
        return None if data is None else json.loads(data)

    def life(self, address):
        return decode_life(self.pieces.core(full(address)).fields.get(FIELD))

    def children(self, id="app"):
        return {c["id"]: c["status"] for c in self.ask(f"supervisor/{id}", "which_children")}

    def history(self, id="app"):
        """(decision, child) of each, in order."""
        rows = [
            (int(key), json.loads(value))
            for key, value in self.pieces.collections.entries(full(f"supervisor/{id}"), "history")
            if key != "#"
        ]
        return [(row["decision"], row["child"]) for _, row in sorted(rows)]

    def links(self, address):
        entries = self.pieces.collections.of_actor(full(address))
        return [(field, key) for field, key, _ in entries if field[0] == "$"]
