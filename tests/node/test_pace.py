"""Snapshots keep up with any rate, and where they cannot, reading waits for them."""

import json

from installation import Installation, wait_until

from plexstream.log.memory.memory import MemoryLog, MemoryTransaction
from plexstream.model.errors import LogUnavailable
from plexstream.model.journal.journal import Change, Out, OutKind, Turn
from plexstream.model.messages.address import full, partition_of
from plexstream.node.partition.service.flow import MAX_LAG
from plexstream.processor import Settings
from plexstream.processor.state.pieces import Pieces
from plexstream.schema import codec
from plexstream.store.memory import MemoryStore

HOUR = 3_600_000
ACCOUNTS = [name for n in range(3000) if partition_of(full(name := f"account/{n}"), 2) == 0]


class Log(MemoryLog):
    """A log that commits no snapshots for a while."""

    away = False

    def transaction(self, id, life="", witness=None):
        return Away(self, id, self.begin_now(id), life)


class Away(MemoryTransaction):
    def commit(self, records, positions):
        records = list(records)
        if self._log.away and any(topic.endswith("snapshot") for topic, *_ in records):
            raise LogUnavailable("away")
        super().commit(records, positions)


def split(data):
    return {k: json.dumps(v).encode() for k, v in json.loads(data).items()}


def test_pieces_of_all_kinds_are_saved_oldest_first():
    pieces = Pieces(MemoryStore(), split, 1000, codec)
    for offset in range(30):
        patch = [Change("n", None, b"1"), Change("m", f"k{offset}", b"2")]
        timer = Out(OutKind.TIMER.value, f"t{offset}", f"d/d/a/{offset}", "h", b"", due=9)
        pieces.apply(offset, Turn(
            0, f"d/d/a/{offset}", 1, "mailbox", offset, 0, 0, False, f"i{offset}", patch, "h", "m", "", 1, "",
            0, 0, [timer],
        ))  # fmt: skip
    for round in range(6):
        taken = pieces.unsaved.take(20, 10**6, 10**6, lambda _: 10**6)
        assert sorted(pieces.unsaved.taken.values()) == sorted([*range(5 * round, 5 * round + 5)] * 4)
        assert len(taken) == 20
        assert pieces.unsaved.oldest() == (5 * round + 5 if round < 5 else None)
        pieces.unsaved.saved()


def test_one_batch_follows_the_other_while_snapshots_are_behind(tmp_path):
    log = Log()
    settings = Settings(
        snapshot_lag=100, snapshot_batch=20, snapshot_interval=HOUR, flush_interval=HOUR, flush_pieces=50,
        max_in_flight=20,
    )  # fmt: skip
    one = Installation(log, tmp_path, settings)
    with one:
        log.away = True
        for name in ACCOUNTS[:200]:
            one.client.tell(name, "deposit", {"amount": 1})
        driver = one.worker.drivers[0]
        wait_until(lambda: driver.processor.position >= 200 and not driver.processor.in_flight)
        log.away = False  # and nothing more comes, no flush either
        wait_until(lambda: driver.service.upkeep.lag < 100)
        journal = one.topics.journal, 0
        wait_until(lambda: log.range(journal)[0] > 0)
        assert log.range(journal)[0] <= driver.service.upkeep._flushed_next


def test_reading_waits_for_snapshots_that_cannot_be_written(tmp_path):
    log = Log()
    settings = Settings(snapshot_lag=20, snapshot_interval=HOUR, flush_interval=20, max_in_flight=20)
    one = Installation(log, tmp_path, settings)
    with one:
        log.away = True
        driver = one.worker.drivers[0]
        for name in ACCOUNTS[:900]:
            one.client.tell(name, "deposit", {"amount": 1})
        service = driver.service
        wait_until(lambda: service.flow.paused and service.upkeep.lag >= MAX_LAG * settings.snapshot_lag // 2)
        # What was read already is handled, and nothing more.
        wait_until(lambda: not driver.has_arrived and not driver.processor.running_ahead)
        assert driver.processor.position < 2 * MAX_LAG * settings.snapshot_lag
        log.away = False
        wait_until(lambda: driver.processor.position >= 900)
        # The worker is between the two for a moment.
        wait_until(lambda: driver.service.upkeep.lag < settings.snapshot_lag and not driver.processor.held)
