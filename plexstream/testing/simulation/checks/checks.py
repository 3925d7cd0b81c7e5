"""What must hold at the end of every schedule, seen from the log's content and from the callers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from plexstream.log.base import Record
from plexstream.model.errors import Malformed
from plexstream.model.journal.deferred import WITHDRAW
from plexstream.model.journal.snapshot import Piece
from plexstream.model.messages import idempotency
from plexstream.model.messages.control import RESULT
from plexstream.model.messages.message import ASK, ERROR, REPLY, Envelope
from plexstream.model.topics.topics import Topics
from plexstream.node.partition.sums.snapshots import PARTITION_KEY
from plexstream.processor.state.ports import Store
from plexstream.processor.waiting.events.deadlock import FOUND, PROBE
from plexstream.schema.codec import decode_dead_letter, decode_envelope, decode_partition
from plexstream.testing.simulation.cast.actors import OUTPUT
from plexstream.testing.simulation.cast.clients import Call, SimClient
from plexstream.testing.simulation.cast.coordinated import READS
from plexstream.testing.simulation.cast.semantics import Actor, blank
from plexstream.testing.simulation.cast.supervised import Judge, is_supervised
from plexstream.testing.simulation.cast.waited import Pending, check_world
from plexstream.testing.simulation.cast.waiting import is_waiting
from plexstream.testing.simulation.checks import histories
from plexstream.testing.simulation.checks.model.coordinated.judge import is_coordinated
from plexstream.testing.simulation.checks.model.model import Model
from plexstream.testing.simulation.checks.spaces import check_applied
from plexstream.testing.simulation.errors import Violation
from plexstream.testing.simulation.network.network import Network

_WITHDRAWS = ("$cancel", "$end", WITHDRAW)
"""What tells that an answer is waited for no more, which changes nothing where that has come."""
UNWRITTEN = (*READS, "look", RESULT, PROBE, FOUND)
"""Handlers that need no turn."""

Stored = tuple[int, Store, str]  # journal offset that it reflects, the store, whose


class Checks:
    """Compares everything that can be observed with a model of each partition."""

    def __init__(self, network: Network, topics: Topics, partitions: int, clients: list[SimClient]) -> None:
        self.network = network
        self.topics = topics
        self.clients = clients
        history = network.history
        self.mailboxes = [history.get((topics.mailbox, p), []) for p in range(partitions)]
        life = network.log.topic_id(topics.journal)
        self.models = [
            Model(p, history.get((topics.journal, p), []), self.mailboxes[p], life) for p in range(partitions)
        ]  # fmt: skip

        self.judge = Judge()
        self._tells = {call.envelope.id: call for client in clients for call in client.calls}

    def run(self, stores: list[list[Stored]]) -> None:
        """Check everything; `stores` are those of each partition.

        Raises:
            Violation: something does not hold.
        """
        for model, found in zip(self.models, stores, strict=True):
            for offset, store, whose in sorted(found, key=lambda s: s[0]):
                model.fold(offset)
                same_state(model, store, whose)
            model.fold(1 << 60)
        self._mailboxes()
        self.what_left()
        self._replies()
        self._calls()
        for model in self.models:
            for turn in model.supervised:
                self.judge.take(turn)
        self.judge.check()
        check_world([model.waits for model in self.models])
        unwanted = {ask for model in self.models for ask in model.waits.unwanted}
        if wrong := {ask for model in self.models for ask in model.waits.given_up} - unwanted:
            raise Violation(f"cancelled, though who has asked goes on: {sorted(wrong)}")
        for model in self.models:
            if model.timers.pending:
                raise Violation(f"partition {model.partition}: timers never fired: {model.timers.pending}")

    def histories(self, long: int) -> tuple[int, int]:
        """What callers saw of system actors can be explained; of how many, and how many took too long.

        Raises Violation.
        """
        calls = [(client.name, call) for client in self.clients for call in client.calls]
        report = histories.check(calls, long)
        if report.broken:
            raise Violation(f"no history of one object: {report.broken}")
        return report.held, len(report.gave_up)

    def takeovers(self, found: list[tuple[int, int, Pending]]) -> None:
        """Every owner knew of all handlers that waited, whatever it restored them from. Raises Violation."""
        for partition, claim, pending in found:
            expected = self.models[partition].pending.get(claim)
            if pending != expected:
                raise Violation(
                    f"partition {partition}, claim {claim}: {pending} were found waiting, expected {expected}"
                )

    def what_left(self) -> None:
        """Everything that turns sent has left, once: mails, outputs, dead letters. Raises Violation."""
        self._mails()
        self._outputs()
        check_applied(self.models, self._committed(self.topics.tuplespace))
        self._dead_letters()

    def fed(self, ops: list[str]) -> None:
        """Each record of the source took effect, once. Raises Violation."""
        # Of crashes in a row any message may be blamed.
        blamed = any(model.cells.codes.get("poisoned") for model in self.models)
        for op in ops:
            count = sum(model.cells.ops.get(op, 0) for model in self.models)
            if count > 1 or (not count and not blamed):
                raise Violation(f"{op} took effect {count} times")

    # Messages

    def _mails(self) -> None:
        """What actors told each other: sent by turns that count and by nothing else, arrived once."""
        mails = {sent: out for model in self.models for sent, out in model.sent.mails.items()}
        arrived = [sent for model in self.models for sent in model.arrived if sent[0].startswith("journal/")]
        if twice := [sent for sent, count in Counter(arrived).items() if count > 1]:
            raise Violation(f"messages took effect twice: {twice}")
        received = {
            (e.origin, e.origin_seq, e.origin_index)
            for mailbox in self.mailboxes
            for r in mailbox
            if (e := envelope(r)) is not None and (e.kind > ASK or e.handler in _WITHDRAWS)
        }  # an answer that comes too late changes nothing, and who has ended cannot be cancelled
        if lost := mails.keys() - set(arrived) - received:
            raise Violation(f"messages of turns that count never arrived: {sorted(lost)}")
        for mailbox in self.mailboxes:
            for record in mailbox:
                e = envelope(record)
                if e is not None and e.origin.startswith("journal/"):
                    out = mails.get((e.origin, e.origin_seq, e.origin_index))
                    if out is None or out.payload != e.payload:
                        raise Violation(f"sent by no turn: {record.partition}@{record.offset} {e}")

    def _mailboxes(self) -> None:
        """No message that the log has is forgotten."""
        for model, mailbox in zip(self.models, self.mailboxes, strict=True):
            for record, e in self.unhandled(model, mailbox):
                raise Violation(f"a message is lost: mailbox {record.partition}@{record.offset} {e}")

    def unhandled(self, model: Model, mailbox: list[Record]) -> Iterator[tuple[Record, Envelope | None]]:
        """Messages that have had no turn, and need one. Raises Violation: a repetition took effect."""
        seen: dict[str, tuple[int, int]] = {}
        came: set[tuple[str, tuple[int, int]]] = set()
        for record in mailbox:
            e = envelope(record)
            if e is not None and e.origin:
                number = (e.origin_seq, e.origin_index)
                repeated = number <= seen.get(e.origin, (-1, -1))
                seen[e.origin] = max(number, seen.get(e.origin, (-1, -1)))
                if repeated and (e.origin, number) not in came:
                    raise Violation(f"overtaken by a later one of its origin: {record.offset} {e}")
                came.add((e.origin, number))
                if repeated:
                    if record.offset in model.causes:
                        raise Violation(f"a repetition took effect: {record.offset} {e}")
                    continue
            if record.offset in model.causes or (e is not None and e.handler in UNWRITTEN):
                continue
            if e is not None and (e.kind > ASK or (e.handler in _WITHDRAWS and e.sender)):
                continue  # nobody waits for it any more
            if e is not None and (model.keyed.of(e) is not None or model.coordinated.waits(e)):
                continue
            yield record, e

    # What leaves

    def _committed(self, topic: str) -> list[Record]:
        log = self.network.log
        records: list[Record] = []
        for partition in range(log.partitions(topic) or 0):
            at, end = log.range((topic, partition))
            while at < end:
                found, after = log.fetch((topic, partition), at, 1000, True)
                records += found
                if after == at:
                    raise Violation(f"{topic}[{partition}] hangs at {at}: a transaction is open for ever")
                at = after
        return records

    def _outputs(self) -> None:
        """Each output record once, those of one actor in the order of its turns."""
        expected: dict[str, list[bytes]] = {}
        for model in self.models:
            for actor, payload in model.sent.emitted:
                expected.setdefault(actor, []).append(payload)
        found: dict[str, list[bytes]] = {}
        for record in self._committed(self.topics.out(OUTPUT)):
            found.setdefault(record.key.decode(), []).append(record.value or b"")
        for actor in sorted({*expected, *found}):
            if expected.get(actor, []) != found.get(actor, []):
                raise Violation(f"output of {actor}: {found.get(actor)}, expected {expected.get(actor)}")

    def _dead_letters(self) -> None:
        """What was put aside is there, once, with its reason."""
        expected = Counter(entry for model in self.models for entry in model.sent.put_aside)
        letters = [decode_dead_letter(r.value or b"") for r in self._committed(self.topics.deadletter)]
        found = Counter(((x.origin, x.origin_seq, x.origin_index), x.reason) for x in letters)
        if expected != found:
            raise Violation(f"dead letters too few: {expected - found}, too many: {found - expected}")

    def _replies(self) -> None:
        """Every reply that ever left says what a turn that counts, or a state that counts, says.

        And each that a turn gives to a caller who asks once has left: nobody asks again.
        """
        heard: set[tuple[str, str]] = set()
        calls = {call.envelope.id: call for client in self.clients for call in client.calls}
        for partition in range(len(self.models)):
            place = (self.topics.reply, partition)
            for record in self.network.history.get(place, []):
                reply = decode_envelope(record.value or b"")
                call = calls.get(reply.id)
                if call is None:
                    raise Violation(f"a reply to nobody: {reply}")
                self._reply(call, reply.kind, reply.payload)
                heard.add((record.key.decode(), reply.id))
        for client in self.clients:
            for call in client.calls:
                e = call.envelope
                asked = e.kind == ASK and e.id in self.models[call.place[1]].sent.answers
                if asked and (client.name, e.id) not in heard:
                    raise Violation(f"{call.op} of {client.name} is answered, and its answer never left")

    def _reply(self, call: Call, kind: int, payload: bytes) -> None:
        model = self.models[call.place[1]]
        e = call.envelope
        if e.handler == RESULT:
            self._outcome(call, model, kind, payload)
            return
        if call.mode == "read" and kind == 2:
            actor = model.cells.actors.get(e.target)
            view = json.loads(payload)
            if is_coordinated(e.target):
                if not model.coordinated.saw(e, view):
                    raise Violation(f"{call.op}: a read of {e.target} saw {view}, which never was")
                return
            if is_waiting(e.target):
                if view[0] != view[1] or view[0] > model.waits.n(e.target):
                    raise Violation(f"{call.op}: a read of {e.target} saw {view}, which never was")
                return
            if not _view_of(actor, view):
                raise Violation(f"{call.op}: a read of {e.target} saw {view}, which never was")
            return
        answers = list(model.sent.answers.get(e.id, []))
        if (kept := model.keyed.of(e)) is not None:
            answers.append(kept)
        if (kind, payload) not in answers:
            raise Violation(f"{call.op}: replied {kind} {payload!r}, but the turns that count say {answers}")

    def _outcome(self, call: Call, model: Model, kind: int, payload: bytes) -> None:
        """What somebody is told of a tell is so; and of one that the log has, something is known."""
        told = self._tells[call.op.split()[1]]
        said = json.loads(payload)
        if kind == ERROR:
            if (kind, payload) in model.sent.answers.get(call.envelope.id, ()) and said["code"] == "poisoned":
                return  # the look itself was what several processes did last
            known = 0 <= told.acked_at < call.sent and told.envelope.id not in model.sent.conflicts
            if known or said["code"] != "unknown_invocation":
                raise Violation(f"{call.op}: nothing is known of {told.envelope}: {said}")
            return
        if said["status"] not in ("done", "failed", "cancelled", "killed"):
            return
        kept = model.keyed.of(told.envelope)
        if kept is None and (said.get("error") or {}).get("code") == idempotency.CONFLICT:
            if not model.keyed.conflicts(told.envelope) and told.envelope.id not in model.sent.conflicts:
                raise Violation(f"{call.op}: {told.envelope} is in conflict with nothing")
            return
        right = {"result": json.loads(kept[1])} if kept and kept[0] == REPLY else {}
        right = {"error": json.loads(kept[1])} if kept and kept[0] == ERROR else right
        if {k: v for k, v in said.items() if k != "status"} != right:
            raise Violation(f"{call.op}: it is said to have ended with {said}, but the turns say {right}")

    # What callers saw

    def _calls(self) -> None:
        """Acknowledged calls took effect once, and nobody saw an older state than somebody before."""
        there = [{(record.key, record.value) for record in mailbox} for mailbox in self.mailboxes]
        for client in self.clients:
            for call in client.calls:
                if call.acked and call.item not in there[call.place[1]]:
                    raise Violation(f"{call.op} of {client.name} was acknowledged, and is nowhere")
                if call.mode == "read" or call.envelope.handler == RESULT:
                    continue
                count = self.models[call.place[1]].cells.ops.get(call.op, 0)
                if count > 1 or (not count and call.reply is not None and call.reply[0] == 2):
                    raise Violation(f"{call.op} took effect {count} times, replied {call.reply}")
        by_target: dict[str, list[tuple[Call, int]]] = {}
        for client in self.clients:
            for call in client.calls:
                e = call.envelope
                asks = e.kind == ASK and e.handler != RESULT and "/cell/" in e.target
                if asks and call.reply is not None and call.reply[0] == 2:
                    by_target.setdefault(e.target, []).append((call, json.loads(call.reply[1])["n"]))
        for calls in by_target.values():
            for later, n in calls:
                for earlier, m in calls:
                    if earlier.replied < later.sent and (n < m or (n == m and later.mode != "read")):
                        raise Violation(
                            f"{later.op} was sent after {earlier.op} was answered with {m}, but saw {n}"
                        )


def envelope(record: Record) -> Envelope | None:
    """The message of a mailbox record, None where it is none."""
    try:
        return decode_envelope(record.value or b"")
    except Malformed:
        return None


def _view_of(actor: Actor | None, view: dict[str, Any]) -> bool:
    if view == Actor("x/x/x/x").view():
        return actor is None or not actor.seq or "/brief/" in actor.address or bool(view["n"] == 0)
    return actor is not None and view in actor.views


def same_state(model: Model, store: Store, whose: str) -> None:
    """Raises Violation unless a store holds the model's state."""
    expected, found = model.state(), stored(store)
    for part, wanted in expected.items():
        got = found[part]
        for key in sorted({*wanted, *got}):
            if wanted.get(key) != got.get(key):
                raise Violation(
                    f"{whose}, partition {model.partition}, as of journal offset {model.next}, {part}: "
                    f"{key} is {got.get(key)}, expected {wanted.get(key)}"
                )


def stored_offset(store: Store) -> int | None:
    """The journal offset that a store says it reflects; None for an empty one."""
    piece = store.get(PARTITION_KEY)
    return None if piece is None else decode_partition(piece.data).start


def stored(store: Store) -> dict[str, Any]:
    """The state that a store holds, as `Model.state` gives it."""
    actors: dict[str, dict[str, Any]] = {}
    entries: dict[str, dict[str, Any]] = {}
    for piece in store.scan(Piece.ACTOR):
        if is_supervised(piece.address) or is_waiting(piece.address) or is_coordinated(piece.address):
            continue
        fields = json.loads(piece.data)
        if piece.seq or fields:  # else it has only ever failed
            actors[piece.address] = {"seq": piece.seq, **blank(), **fields}
    for piece in store.scan(Piece.ENTRY):
        assert piece.key is not None
        if is_supervised(piece.address) or is_waiting(piece.address) or is_coordinated(piece.address):
            continue
        entries.setdefault(piece.address, {}).setdefault(piece.name, {})[piece.key] = json.loads(piece.data)
    for address, fields in entries.items():
        actor = actors.setdefault(address, {"seq": -1, **blank()})
        actor["counts"] = fields.get("counts", {})
        actor["inbox"] = fields.get("inbox", {})
        first, end = fields.get("items", {}).pop("#", [0, 0])
        items = fields.get("items", {})
        actor["items"] = [items.pop(str(i), None) for i in range(first, end)]
        if items:
            actor["stray"] = items
    return {
        "actors": actors,
        "timers": {f"{t.address} {t.name}": t.time for t in store.scan(Piece.TIMER)},
        "replies": {f"{r.address} {r.name}": (r.seq, r.data) for r in store.scan(Piece.REPLY)},
    }
