"""What is trimmed stands in a committed snapshot, and what cannot be loaded is told: over a log in memory."""

import shutil
import threading

import pytest
from installation import PARTITIONS, Installation, wait_until

from plexstream.log.memory.memory import MemoryLog, MemoryTransaction
from plexstream.model.errors import LogUnavailable
from plexstream.model.messages.address import full, partition_of
from plexstream.model.topics.topics import Topics
from plexstream.node.partition import watch
from plexstream.node.partition.sums.snapshots import SENTINEL
from plexstream.processor import Settings

SOON = Settings(snapshot_interval=50, flush_interval=20)


class LateLog(MemoryLog):
    """A log that answers commits of sentinels late, and commits no snapshot once it is dead."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()
        self.answers.set()
        self.dead = False

    def transaction(self, id, life="", witness=None):
        return LateTransaction(self, id, self.begin_now(id), life)


class LateTransaction(MemoryTransaction):
    def commit(self, records, positions):
        sentinel = any(key == SENTINEL for _, _, key, _ in records)
        if self._log.dead and not sentinel:
            raise LogUnavailable("the node dies before this is committed")
        super().commit(records, positions)
        if sentinel:
            self._log.answers.wait(20)


def starts(log: MemoryLog, topic: str) -> list[int]:
    return [log.range((topic, p))[0] for p in range(PARTITIONS)]


def test_the_answer_to_another_commit_is_none_to_the_snapshots(tmp_path):
    log = LateLog()
    one = Installation(log, tmp_path, SOON)
    with one:
        for n in range(20):
            one.ask(f"account/{n}", "deposit", amount=1)
        wait_until(lambda: min(starts(log, one.topics.journal)) > 0)
    shutil.rmtree(tmp_path)  # as another machine would find it
    log.answers.clear()
    with one:
        for n in range(20):
            one.ask(f"account/{n}", "deposit", amount=1)
        wait_until(lambda: all(d.service and d.service.upkeep._saving for d in one.worker.drivers.values()))
        before = starts(log, one.topics.journal)
        log.dead = True
        log.answers.set()  # to the sentinels, which everybody has seen long ago
        wait_until(lambda: all(d.service and not d.service.lane.done for d in one.worker.drivers.values()))
        one.ask("account/0", "deposit", amount=1)
        assert starts(log, one.topics.journal) == before
        log.dead = False  # what is committed after all goes
        wait_until(lambda: starts(log, one.topics.journal) > before)


def test_what_no_snapshot_stands_in_for_is_told_once_and_others_go_on(tmp_path, caplog):
    log = MemoryLog()
    one = Installation(log, tmp_path)
    with one:
        for n in range(20):
            one.ask(f"account/{n}", "deposit", amount=1)
    place = (one.topics.journal, 0)
    end = log.range(place)[1]
    log.trim(place, end - 1, end)  # as a retention of the topic would
    shutil.rmtree(tmp_path)
    one.in_service = lambda worker: True
    snapshots = (one.topics.snapshot, 0)
    before = len(log.fetch(snapshots, 0, 1000, True)[0])
    with one:
        wait_until(lambda: "stays out of service" in caplog.text)
        sentinels = len(log.fetch(snapshots, 0, 1000, True)[0])
        served = [f"account/{n}" for n in range(20) if partition_of(full(f"account/{n}"), PARTITIONS) == 1]
        assert [one.ask(account, "deposit", amount=1)["balance"] for account in served] == [2] * len(served)
        # One load, and one more to be sure: not ever more.
        assert len(log.fetch(snapshots, 0, 1000, True)[0]) == sentinels <= before + 2
    assert "was it trimmed by something else" in caplog.text


@pytest.mark.parametrize("lost", ["sentinel", "claim"])
def test_a_record_that_does_not_come_is_told(tmp_path, monkeypatch, caplog, lost):
    monkeypatch.setattr(watch, "SILENCE_S", 0.3)
    topics = Topics("test.")

    class Forgetful(MemoryLog):
        broken = True

        def fetch(self, place, offset, limit, committed):
            found, next = super().fetch(place, offset, limit, committed)
            if self.broken and place[0] == (topics.snapshot if lost == "sentinel" else topics.journal):
                found = []
            return found, next

    log = Forgetful()
    one = Installation(log, tmp_path)
    one.in_service = lambda worker: True
    with one:
        wait_until(lambda: "has not come for" in caplog.text)
        log.broken = False
        wait_until(one.worker.ready)
        assert one.ask("account/1", "deposit", amount=1)["balance"] == 1
