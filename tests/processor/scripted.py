"""A processor with a scripted host, a journal in a list, and a store in memory."""

import json

from plexstream.model.host import Result, RetryInfo, TypeInfo
from plexstream.model.journal.journal import Change, Claim, Out, OutKind
from plexstream.model.messages.message import ASK, TELL, Envelope
from plexstream.processor import Processor, Restore, Settings
from plexstream.processor.state.pieces import Pieces
from plexstream.schema import codec
from plexstream.store.memory import MemoryStore

A, B = "default/default/a/1", "default/default/a/2"


def split(data):
    return {k: json.dumps(v).encode() for k, v in json.loads(data).items()}


class Host:
    """`script` maps a handler to what it does; `calls` tells what ran."""

    plain = None

    def __init__(self, script=None, **info):
        self.script = script or {}
        self.calls = []
        self.gone = []
        self.readers = {}
        self.info = TypeInfo("a", "1", 1000, 100, 0, RetryInfo(3, (100, 200)), 0, 0, False)._replace(**info)

    def type_info(self, type):
        return self.info if type == "a" else None

    def versions(self):
        return {"a": "1"}

    def activate(self, type, address, fields, reader):
        self.readers[address] = reader
        return [address, int(fields.get("n", b"0"))]

    def deactivate(self, instance):
        self.gone.append(instance[0])

    def invoke(
        self, instance, handler, payload, seq, now, sender, id, must_read, chain="", fresh=False, reply_to=""
    ):
        self.calls.append((instance[0], handler, id, seq))
        if handler in self.script:
            return self.script[handler](instance)
        if handler == "read":
            return Result("", b"%d" % instance[1], [], [], True)
        instance[1] += 1
        value = b"%d" % instance[1]
        return Result("", value, [Change("n", None, value)], [])


def fails(times, code="failed"):
    left = [times]

    def run(instance):
        if left[0]:
            left[0] -= 1
            return Result(code, b"", [], [], False, "no")
        instance[1] += 1
        value = b"%d" % instance[1]
        return Result("", value, [Change("n", None, value)], [])

    return run


def sends(*outs, patch=()):
    return lambda instance: Result("", b"null", list(patch), list(outs))


class Bench:
    """One partition, and the journal that outlives its processors."""

    def __init__(self, host=None, **settings):
        self.host = host or Host()
        self.settings = Settings()._replace(**settings)
        self.journal = []
        self.now = 10_000
        self.restart()

    def restart(self, process=""):
        """Another claims: from the journal alone, as after the loss of process and disk."""
        self.journal.append(Claim("t", "n", self.now, {}, process))
        restore = Restore(
            Pieces(MemoryStore(), split, self.settings.reply_ttl, codec), self.partition(), True
        )
        for offset, record in enumerate(self.journal):
            restore.take(offset, codec.encode_journal(record))
        self.p = Processor(0, 1, self.host, restore, self.settings, self.now)
        return self.p

    @staticmethod
    def partition():
        from plexstream.model.journal.journal import Partition

        return Partition()

    def give(self, *messages):
        self.p.receive(list(messages), self.now)

    def append(self):
        """Everything the processor wants to append, acknowledged; the records."""
        done = []
        while (records := self.p.take()) is not None:
            self.journal += records
            done += records
            assert self.p.acknowledged(len(self.journal) - 1) is None
        return done

    def tick(self, ms=0):
        self.now += ms
        self.p.tick(self.now)

    def answers(self):
        done = list(self.p.answers)
        self.p.answers.clear()
        return done


def tell(offset, handler="add", target=A, origin="", seq=0, **more):
    return offset, Envelope(TELL, f"m{offset}", target, handler, b"", origin=origin, origin_seq=seq, **more)


def ask(offset, handler="add", target=A, **more):
    return offset, Envelope(ASK, f"m{offset}", target, handler, b"", reply_to="edge", **more)


def outs(records, kind):
    return [o for r in records if hasattr(r, "outs") for o in r.outs if o.kind == kind]


REPLY, ERROR, DEAD = OutKind.REPLY.value, OutKind.ERROR.value, OutKind.DEADLETTER.value
TIMER, CANCEL, SENT = OutKind.TIMER.value, OutKind.CANCEL.value, OutKind.TELL.value


def timer(id, due, target=A, handler="add"):
    return Out(TIMER, id, target, handler, b"", due=due)


def handled(bench):
    """The ids of the messages that handlers were run for, in order."""
    return [id for _, _, id, _ in bench.host.calls]
