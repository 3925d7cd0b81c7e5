"""Random programs rich in plain turns, run by seed; each prints a line of all that came of it.

``python plain_worlds.py FIRST END``: what the lines say must be the same with and without what is compiled.
"""

import hashlib
import json
import logging
import sys
from random import Random

from plexstream import Reject, Retry, actor, handler, host, init_handler, state, state_map
from plexstream.hosts.native import NativeHost
from plexstream.log.base import Record
from plexstream.model.errors import Malformed
from plexstream.model.journal.journal import Claim, Mark, Partition
from plexstream.model.messages.message import ASK, TELL, Envelope
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.records.mailing import all_mails
from plexstream.node.partition.sums.snapshots import split_fields
from plexstream.processor import BadRecord, Processor, Restore, Settings
from plexstream.processor.state.pieces import Pieces
from plexstream.schema import codec
from plexstream.schema.codec import decode_envelope, encode_envelope
from plexstream.store.memory import MemoryStore


@actor(name="plain", max_state=3_000, retry=Retry(attempts=1))
class Plain:
    """All in plain fields."""

    n: int = state(default=0)
    text: str = state(default="")
    share: float = state(default=0.0)
    on: bool = state(default=False)
    items: list[int] = state(default_factory=list)
    known: dict[str, float] = state(default_factory=dict)
    maybe: int | None = state(default=None)
    any = state(default=None)

    @handler
    def add(self, by: int):
        self.n += by

    @handler
    def say(self, what: str, twice: bool = False):
        self.text = what
        host.emit("said", {"what": what, "n": self.n}, key=what[:3])
        if twice:
            host.emit("said", what)
            host.tell("plain/1", "add", by=len(what))
        return what

    @handler
    def take(self, value):
        self.any = value
        self.on = not self.on
        return {"took": value}

    @handler
    def wrong(self, field: str, value):
        setattr(self, field, value)

    @handler
    def share_of(self, a: float, b: float):
        self.share = a / b if b else float("nan")
        self.known[str(b)] = a
        self.items.append(int(a))
        self.maybe = None if b else self.n

    @handler
    def grow(self, by: int):
        self.text += "x" * by
        self.n += 1

    @handler
    def emit(self, topic, value, key=None):
        self.n += 1
        host.emit(topic, value, key=key)

    @handler
    def nan(self):
        self.n = 99
        host.emit("said", [float("inf")])

    @handler
    def flood(self, count: int):
        """Too much in all, if what each output has besides its value counts."""
        for _ in range(count):
            host.emit("out", "z" * 990)

    @handler
    def fail(self, how: str):
        self.n += 1000
        self.items.append(1)
        host.emit("never", how)
        if how == "reject":
            raise Reject("no", {"n": self.n})
        if how == "exit":
            raise SystemExit(3)
        if how == "deep":
            try:
                return self.fail(how)
            except RecursionError:  # how its text ends depends on how deep it was called
                raise RuntimeError(how) from None
        if how == "delete":
            del self.n
        if how == "result":
            return float("nan")
        if how == "large":
            return "x" * 2_000
        if how == "coroutine":
            self.later()
            return None
        if how == "returned":
            return self.later()
        raise RuntimeError(how)

    async def later(self):
        pass

    @handler
    def big(self):
        self.n = 2**70 + self.n
        self.maybe = -(2**63)

    @handler
    def same(self):
        self.n, self.text, self.items = int(str(self.n)), str(self.text), list(self.items)

    @handler
    def asks(self, whom: str):
        self.n += 1
        self.any = host.ask(whom, "look")

    @handler
    def put_off(self):
        self.n += 1
        self.any = host.defer()
        return "nobody hears this"

    @handler
    def settle(self, well: bool):
        token = self.any if isinstance(self.any, str) and self.any.startswith("def_") else ""
        if well:
            host.reply(token, self.n)
        else:
            host.reject(token, "no", "not now")
        self.any = None

    @handler
    def timed(self, ms: int):
        self.text = host.send_after(ms / 1000, "add", by=1)

    @handler
    def world(self):
        self.text = f"{host.self_id()} {host.sender()} {host.now()} {host.random()} {host.uuid()}"
        host.log("a line")

    @handler
    def known_only(self):
        self.other = self.__dict__.get("other", 0) + 1  # no field: it goes with the memory
        self.known["n"] = self.n

    @handler(read_only=True)
    def look(self):
        return [self.n, self.text]

    @handler
    async def slowly(self):
        self.n += 1

    @handler
    def kept(self):
        host.set("k", self.n)


@actor(name="begins", max_active=2, retry=Retry(attempts=2, interval=0.01))
class Begins(Plain):
    """With an init hook, and evicted all the time."""

    mapped = state_map()

    @init_handler
    def begin(self):
        self.n = 7

    @handler
    def map(self, key: str):
        self.n += 1
        if key == "zwölf":
            return [self.mapped.pop("a", None), list(self.mapped.range(limit=2))]
        if key == '"':
            self.mapped.discard("a")
        if key == "nan":
            self.mapped = {}
        self.mapped[key] = "x" * 3_100 if key == "null" else [self.n]
        return self.mapped.get("a", [])


@actor(name="brief", state_ttl=0.05)
class Brief(Plain):
    """Forgets."""


@actor(name="seen", retry=Retry(attempts=2, interval=0.01))
class Seen(Plain):
    """Does what a plain handler of a class with an ``on_stop`` would not do."""

    def on_activate(self):
        self.here = True


def once(how, number=0):
    """How often it is tried where it fails: that which is the default has a pause by chance."""
    return {} if how != "fail" else {"retry": TWICE if number % 2 else ONCE}


def effect(number, how):
    """What a side effect does."""
    if how == "fail":
        raise RuntimeError(how)
    if how == "large":
        return "x" * 2_000
    return {"got": number} if how == "object" else number


@actor(name="waits", retry=Retry(attempts=2, interval=0.01))
class Waits(Plain):
    """Has handlers that wait, mostly for side effects alone."""

    @handler
    async def steps(self, times: int, how: str):
        for number in range(times):
            found = await host.run(f"step {number}", effect, number, how, **once(how))
            if how == "tells":
                host.tell("waits/1", "add", by=1)
                host.emit("said", found)
            if how == "state":
                self.n += found
            if how == "leaves":
                host.start.run("left", effect, number, how)
            if how == "raises":
                raise RuntimeError(how)
            if how == "keeps":
                host.set("k", number)
            if how == "sleeps":
                await host.sleep(0.01)
        return times

    @handler
    def blocking(self, times: int, how: str):
        for number in range(times):
            self.n += 1
            host.run("again", effect, number, how, **once(how, number))
        return self.n

    @handler
    async def together(self, times: int, how: str):
        found = await host.all(*(host.start.run(f"{n}", effect, n, how, **once(how)) for n in range(times)))
        host.emit("said", found)
        return await host.run("last", effect, times, how, timeout=0.05, **once(how))

    @handler
    async def caught(self, times: int, how: str):
        handles = [host.start.run(f"{n}", effect, n, how, **once(how)) for n in range(times)]
        for handle in reversed(handles):
            try:
                self.text = str(await handle)
            except Exception as error:
                self.text = str(error)[:40]
        host.get("k")


@actor(name="lapses", state_ttl=0.03, retry=Retry(attempts=2, interval=0.01))
class Lapses(Waits):
    """The same, and forgets: what has expired goes with a handler's first stretch."""


ONCE = Retry(attempts=1)
TWICE = Retry(attempts=2, interval=0.01, jitter=0)
CLASSES = (Plain, Begins, Brief, Seen, Waits, Lapses)
WAITING = ("steps", "steps", "steps", "blocking", "together", "caught")
ENDS = ("", "", "", "", "object", "fail", "tells", "state", "sleeps", "keeps", "large", "leaves", "raises")
WORDS = ("", "a", "zwölf", "x" * 40, "null", '"', "\ud83d\ude00", "nan")
VALUES = (
    None, 0, -1, 2**63 - 1, 2**63, 2**64, 1.5, -0.0, True, "", "text", "é", [], [1, "a", None],
    {"a": {"b": []}}, {"x": [1.25, {"y": None}]}, [[[]]],
)  # fmt: skip
FIELDS = ("n", "text", "on", "share", "items", "maybe", "any")
BROKEN = (b"", b"{", b"[]", b"{}", b"\xff", b'{"by": 1e999}', b'{"what": "\\ud800"}')
HOWS = ("reject", "exit", "deep", "delete", "result", "large", "coroutine", "returned", "plainly")


def call(r):
    """A handler and its arguments."""
    roll = r.random()
    if roll < 0.4:
        return "add", {"by": r.choice((1, 0, -3, 10**12))}
    if roll < 0.65:
        return "say", {"what": r.choice(WORDS), "twice": r.random() < 0.3}
    if roll < 0.66:  # seldom: nobody answers, and the actor waits
        return "asks", {"whom": f"plain/{r.randrange(3)}"}
    return r.choice((
        ("take", {"value": r.choice(VALUES)}),
        ("wrong", {"field": r.choice(FIELDS), "value": r.choice(VALUES)}),
        ("share_of", {"a": r.choice((1, 2.5, 1e300)), "b": r.choice((0, 1, 3))}),
        ("grow", {"by": r.choice((10, 500, 4_000))}),
        ("emit", {"topic": r.choice(("out", "no such", "", 3)), "value": r.choice(VALUES),
                  "key": r.choice((None, "k", "é", 5, "k" * 300, "é" * 600))}),
        ("emit", {"topic": "out", "value": "y" * r.choice((10, 900, 1_100))}),
        ("flood", {"count": 4_150}) if r.random() < 0.2 else ("flood", {"count": 2}), ("nan", {}),
        ("big", {}), ("same", {}), ("world", {}), ("look", {}), ("slowly", {}), ("kept", {}),
        ("known_only", {}), ("put_off", {}), ("settle", {"well": r.random() < 0.7}),
        ("map", {"key": r.choice(WORDS)}),
        ("timed", {"ms": r.choice((1, 40))}), ("fail", {"how": r.choice(HOWS)}),
        ("add", {"by": "text"}), ("add", {}), ("add", {"by": 1, "more": 2}), ("nothing", {}), ("$stop", {}),
    ))  # fmt: skip


def waiting_call(r):
    """The same of a handler that waits."""
    if r.random() < 0.2:
        return call(r)
    return r.choice(WAITING), {"times": r.choice((0, 1, 2, 3, 5)), "how": r.choice(ENDS)}


class Run:
    """One partition, driven at random."""

    def __init__(self, seed):
        self.random = Random(seed)
        self.now = 1_700_000_000_000
        self.journal = []
        self.log = []  # what left
        self.offset = 0
        self.numbers = {}
        self.plain = self.messages = 0
        self.restart()

    def restart(self):
        invoke = NativeHost({c.__plexstream__.name: c.__plexstream__ for c in CLASSES}, max_message=1_000)
        self.host = invoke
        if (plain := invoke.plain) is not None:
            def counted(*args):
                outcome = plain(*args)
                self.plain += outcome is not None
                return outcome

            invoke.plain = counted
        self.journal.append(codec.encode_journal(Claim("t", "n", self.now, {})))
        pieces = Pieces(MemoryStore(), split_fields, 500, codec)
        restore = Restore(pieces, Partition(), True)
        records = [Record("journal", 0, offset, b"", data, 0) for offset, data in enumerate(self.journal)]
        at = 0
        while (at := restore.take_plain(records, at, len(records) - 1)) < len(records):
            restore.take(records[at].offset, records[at].value)
            at += 1
        self.running = []
        self.p = Processor(0, 1, self.host, restore, Settings()._replace(mark_turns=40), self.now)
        self.note("restored", self.state())

    def note(self, *what):
        self.log.append(repr(what))

    def state(self):
        p = self.p
        cores = {a: (c.fields, c.seq, c.offset, c.time, c.noted) for a, c in p.pieces.cores.items()}
        lanes = [(list(lane.queue), lane.done(p.fold.next)) for lane in p.outbox.lanes]
        unsaved = dict(p.pieces.unsaved.cores), dict(p.pieces.unsaved.pieces)
        return (
            sorted(cores.items()), sorted(p.pieces.dirty_cores), sorted(map(repr, p.pieces.dirty.items())),
            unsaved, sorted(map(repr, p.pieces.ahead.items())), p.inbox.plain(), sorted(p.inbox.waiting),
            sorted(map(repr, p.pieces.histories.pending.items())), list(p.pieces.histories.dirty.items()),
            sorted(p.pieces.histories.saved), p.pieces.dirty_bytes, p.ledger.pending_bytes(),
            lanes, p.fold.partition(None), p.fold.turns, p.running_ahead, p.ledger.number,
        )  # fmt: skip

    def actors(self):
        found = [
            (inv.address, inv.number, inv.state, inv.begun, inv.steps, inv.commands, inv.group, inv.since,
             inv.outstanding, inv.unrecorded, sorted(inv.running), inv.tried, inv.task is None)
            for _, of in sorted(self.p.invocations.live.items()) for _, inv in sorted(of.items())
        ]  # fmt: skip
        for address, a in sorted(self.p.actors.active.items()):
            i = a.instance
            held = None if i is None else (
                i.encoded, {k: repr(v) for k, v in i.attributes.items() if k != "mapped"},
                i.total, sorted(i.foreign), {k: repr(v) for k, v in i.before.items() if k != "mapped"},
            )  # fmt: skip
            found.append((address, a.seq, a.time, a.last, a.group, a.raw, a.armed, repr(a.tried), held))
        return found

    def messages_of(self, count):
        r, found = self.random, []
        for _ in range(count):
            types = ("plain",) * 10 + ("waits",) * 4 + ("lapses", "begins") * 2 + ("brief", "seen", "nobody")
            type = r.choice(types)
            handler, arguments = waiting_call(r) if type in ("waits", "lapses") else call(r)
            payload = json.dumps(arguments).encode()
            if r.random() < 0.02:
                payload = r.choice(BROKEN)
            origin, number = "", 0
            if r.random() < 0.6:
                origin = r.choice(("o/1", "o/2"))
                number = self.numbers[origin] = self.numbers.get(origin, 0) + (r.random() < 0.95)
            odd, asks = r.random(), r.random() < 0.4
            address = f"default/default/{type}/{r.randrange(30 if type in ('waits', 'lapses') else 3)}"
            callers = ("edge", "edge", "edge", "other", "", "default/default/plain/9", address)
            headers = {"read_only": "1"} if 0.1 < odd < 0.12 else {}
            if asks and 0.12 < odd < 0.14:  # in a circle, perhaps
                headers = {"chain": f"{r.choice((address, 'default/default/plain/9'))}#1"}
            e = Envelope(
                ASK if asks else TELL, f"m{self.offset}", address, handler, payload,
                r.choice(("", "", address, "default/default/plain/9")), r.choice(callers) if asks else "",
                f"key{r.randrange(9)}" if 0.06 < odd < 0.1 else "", self.now, headers, origin, number, 0,
            )  # fmt: skip
            data = encode_envelope(e)
            if r.random() < 0.02:  # mutated on its way
                at = r.randrange(len(data))
                data = data[:at] + bytes((r.randrange(256),)) + data[at + 1 :]
            try:
                message = decode_envelope(data)
            except Malformed as error:
                message = BadRecord(str(error), data)
            found.append((self.offset, message))
            self.offset += r.choice((1, 1, 1, 1, 2))
        return found

    def step(self):
        r, p = self.random, self.p
        self.now += r.choice((0, 1, 3, 30))
        messages = self.messages_of(r.choice((1, 3, 12, 40)))
        self.messages += len(messages)
        p.receive(messages, self.now)
        self.note(p.pending_bytes(), p.position)
        if r.random() < 0.7:
            self.append()
        self.effects()
        if r.random() < 0.5:
            self.append()
        p.tick(self.now)
        for lane in p.outbox.lanes:
            if lane.queue and r.random() < 0.5:
                self.note([(offset, turn.outs) for offset, turn in lane.queue])
                self.note(all_mails(Topics(), 3, "journal/0@1", list(lane.queue)))
                last = lane.queue[-1][0]
                lane.queue.clear()
                lane.arrived(last)
        self.note(list(p.answers))
        p.answers.clear()
        self.note(self.actors())
        if r.random() < 0.1:
            p.settle()
            if r.random() < 0.5:
                p.pieces.flush()
            p.pieces.unsaved.take(100, 1 << 20, p.fold.next, lambda _: p.fold.next)
            p.pieces.unsaved.saved()
        if r.random() < 0.04:
            self.restart()

    def effects(self):
        """Some of the side effects come to their ends, in any order."""
        ready = self.p.invocations.effects
        self.running += ready
        ready.clear()
        self.random.shuffle(self.running)
        left = len(self.running) // self.random.choice((1, 2, 4, 1000))
        while len(self.running) > left:
            call = self.running.pop()
            self.p.effect_done(call, call.effect.run(call.attempt, call.spent), self.now)
        self.note([(c.address, c.invocation, c.number, c.attempt) for c in self.running])

    def append(self):
        """What is ready goes to the log, which may have something of others in between."""
        while (records := self.p.take()) is not None:
            first = len(self.journal)
            strange = self.random.random() < 0.1
            if strange:
                self.journal.append(self.strange(records[0].ordinal))
            self.journal += [codec.encode_journal(record) for record in records]
            gap = self.p.acknowledged(len(self.journal) - 1)
            if gap is not None:
                first = gap[0]
                between = [(o, codec.decode_journal(self.journal[o])) for o in range(first, gap[1] + 1)]
                self.p.gap(between)
        self.note(self.state())

    def strange(self, ordinal):
        """What stands in the journal and does not count: of an owner before, or appended again."""
        before = [data for data in self.journal if not codec.is_claim(data)]
        zombies = [
            data for data, record in ((d, codec.decode_journal(d)) for d in before)
            if record.claim != self.p.claim and record.ordinal == ordinal
        ]  # fmt: skip
        if before and self.random.random() < 0.7:
            return self.random.choice(zombies or before)
        return codec.encode_journal(Mark(-5, self.now, (), 0, 0, -1, "", False))

    def run(self, steps=25):
        for _ in range(steps):
            self.step()
        self.append()
        self.note(self.state())
        self.restart()
        return [data.hex() for data in self.journal], self.log


def main():
    logging.disable(logging.CRITICAL)
    plain = messages = 0
    for seed in range(int(sys.argv[1]), int(sys.argv[2])):
        run = Run(seed)
        journal, log = run.run()
        digests = [hashlib.sha1(repr(part).encode()).hexdigest() for part in (journal, log)]
        print("seed", seed, len(journal), *digests, flush=True)
        plain += run.plain
        messages += run.messages
    print("plain", plain, "of", messages)


if __name__ == "__main__":
    main()
