"""Journals of turns, most of them plain, folded both ways: compiled from their bytes, and by Python."""

from dataclasses import dataclass
from random import Random

from plexstream.log.base import Record
from plexstream.model.errors import Malformed
from plexstream.model.journal.journal import Change, Claim, Out, Partition, Turn
from plexstream.processor import Restore
from plexstream.processor.state.pieces import Pieces
from plexstream.schema import codec
from plexstream.store.memory import MemoryStore

TEXTS = ("", "a", "add", "$wake", "ä", "日本", "default/default/a/1", "x" * 200)
ACTORS = ("default/default/a/1", "default/default/a/ä", "default/default/b/2")
NUMBERS = (0, 0, 1, 2, 63, 64, 128, 1 << 31, (1 << 62) - 1)
REIGN = 0


def some(r, *likely):
    """Nearly always what a plain turn has."""
    return r.choice(likely) if r.random() < 0.97 else r.choice(NUMBERS)


def change(r):
    plain = r.random() < 0.97
    value = r.randbytes(r.choice((0, 1, 5, 70, 300)))
    return Change(r.choice(TEXTS), None if plain else r.choice(TEXTS), value if r.random() < 0.98 else None)


def out(r):
    kind = r.choice((0, 1, 2, 3, 4, 4, 4)) if r.random() < 0.97 else r.choice((5, 6, 7, 9, 100, -1))
    texts = [r.choice(TEXTS) for _ in range(5)]
    return Out(kind, *texts[:3], r.randbytes(r.choice((0, 3, 80))), *texts[3:], r.choice(NUMBERS))


def turn(r, ordinal):
    topic = "mailbox" if r.random() < 0.95 else r.choice(("timer", "", "mailboxes"))
    return Turn(
        some(r, REIGN), r.choice(ACTORS), r.choice(NUMBERS), topic, r.choice((-1, *NUMBERS)),
        r.choice(NUMBERS), some(r, 0), r.random() < 0.02, r.choice(TEXTS) if r.random() < 0.02 else "",
        [change(r) for _ in range(r.choice((0, 1, 1, 3, 40)))], r.choice(TEXTS), r.choice(TEXTS),
        r.choice(TEXTS), r.choice((0, 1)), r.choice(TEXTS), r.choice(NUMBERS), r.choice(NUMBERS),
        [out(r) for _ in range(r.choice((0, 0, 1, 2)))], some(r, ordinal),
    )  # fmt: skip


def mutated(r, data):
    """Bytes of which one is another, is missing, or is there twice; or that end too early."""
    at = r.randrange(len(data))
    how = r.randrange(4)
    if how == 0:
        return data[:at] + bytes([r.randrange(256)]) + data[at + 1 :]
    if how == 1:
        return data[:at] + data[at + 1 :]
    if how == 2:
        return data[:at] + data[at : at + 1] + data[at:]
    return data[:at]


@dataclass
class Folded:
    """A restore, and what it has come to."""

    compiled: bool

    def __post_init__(self):
        self.pieces = Pieces(MemoryStore(), None, 1_000, codec)
        self.restore = Restore(self.pieces, Partition(), True)
        self.said = []
        self.plain = 0

    def take(self, records):
        at, restore = 0, self.restore
        while at < len(records):
            if self.compiled:
                before, at = at, restore.take_plain(records, at, 1 << 40)
                self.plain += at - before
                if at == len(records):
                    break
            record = records[at]
            at += 1
            try:
                restore.take(record.offset, record.value)
            except Malformed as error:
                self.said.append(str(error))
                restore.skip(record.offset)

    def state(self):
        pieces, fold, restore = self.pieces, self.restore.fold, self.restore
        cores = {
            a: (c.fields, c.offset, c.seq, c.time, c.noted, [type(v) for v in c.fields.values()])
            for a, c in pieces.cores.items()
        }
        unsaved = pieces.unsaved.pieces, pieces.unsaved.cores
        inbox = {topic: (f.low, f.next, sorted(f._since)) for topic, f in fold.inboxes.items()}
        others = list(zip(restore._others_at, restore._others, strict=True))
        owed = list(restore._mails), others, restore.owed_bytes, restore._last_mail
        numbers = fold.next, fold.ordinal, fold.turns, fold.unread, fold.uncounted, restore.next
        return cores, [*pieces.dirty_cores], pieces.dirty, unsaved, inbox, owed, numbers, self.said


def journal(seed):
    r = Random(seed)
    records = [codec.encode_journal(Claim("t", "n", 0, {}))]
    for ordinal in range(1, 61):
        data = codec.encode_journal(turn(r, ordinal))
        records.append(mutated(r, data) if r.random() < 0.05 else data)
    return [Record("journal", 0, offset, b"", data, 0) for offset, data in enumerate(records)]


def compare(seeds):
    """Fold the journals of these seeds both ways; returns how many records were plain turns."""
    plain = 0
    for seed in seeds:
        ours, theirs = Folded(True), Folded(False)
        records = journal(seed)
        ours.take(records)
        theirs.take(records)
        assert ours.state() == theirs.state(), seed
        plain += ours.plain
    return plain


def compare_bytes():
    """Fold a plain turn of which one byte is another, for each of its bytes."""
    r = Random(7)
    change, out = Change("count", None, b"12"), Out(4, "", "out", "", b"{}", "ä", "", 0)
    first = Turn(
        0, ACTORS[1], 1, "mailbox", 3, 9, 0, False, "", [], "add", "m0", "", 0, "", 0, 0, [], 1,
    )  # fmt: skip
    plain = first._replace(
        seq=2, cause_offset=4, patch=[change, change], sender=ACTORS[0], outs=[out, out], ordinal=2,
        message_id="ä",
    )  # fmt: skip
    data = codec.encode_journal(plain)
    beginning = [codec.encode_journal(Claim("t", "n", 0, {})), codec.encode_journal(first)]
    compared = 0
    for at in range(len(data)):
        for byte in {0, 1, 2, 255, data[at] ^ 1, data[at] ^ 128, r.randrange(256)} - {data[at]}:
            values = [*beginning, data[:at] + bytes([byte]) + data[at + 1 :], b"", data + b"\0"]
            records = [Record("journal", 0, offset, b"", value, 0) for offset, value in enumerate(values)]
            ours, theirs = Folded(True), Folded(False)
            ours.take(records)
            theirs.take(records)
            assert ours.state() == theirs.state(), (at, byte)
            compared += 1
    return compared


if __name__ == "__main__":
    compare(range(60))
    compare_bytes()
