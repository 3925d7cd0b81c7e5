"""What a partition holds in memory while it is restored is bounded, however much there is to fold."""

from installation import Installation, wait_until

from plexstream.log.memory.memory import MemoryLog
from plexstream.model.messages.address import full
from plexstream.node.partition.takeover.ground import Phase
from plexstream.node.partition.takeover.takeover import Takeover
from plexstream.node.worker import worker as workers
from plexstream.processor import Settings

ACTORS = 300
SLICE = 5
LIMITS = Settings(flush_pieces=20, flush_bytes=500, snapshot_interval=1, snapshot_batch=10)
SMALLEST = 20
"""Bytes of the smallest record of a piece."""


def test_what_is_loaded_and_folded_is_written_in_steps(tmp_path, monkeypatch):
    log = MemoryLog()
    with Installation(log, tmp_path / "old", LIMITS) as i:
        for n in range(ACTORS):
            i.client._calls.tell(full(f"account/{n}"), "deposit", b'{"amount":1}')
        saved = lambda: sum(log.range((i.topics.snapshot, p))[1] for p in range(2))  # noqa: E731
        wait_until(lambda: sum(i.end(p) for p in range(2)) > ACTORS and saved() > ACTORS)
    monkeypatch.setattr(workers, "REPLAY_LIMIT", SLICE)
    loaded, folded, mixed = [0], [0], [0]

    def watched(name, note):
        call = getattr(Takeover, name)

        def then(self, records):
            call(self, records)
            note(self)

        monkeypatch.setattr(Takeover, name, then)

    def note_load(t):
        if t.phase is Phase.LOADING:
            loaded.append(len(t.rebuild.loading.held))

    def note_fold(t):
        if t.phase is Phase.RESTORING:
            held = t.restore.pieces
            (mixed if t.restore.next < t.restore.start else folded).append(len(held.dirty_cores))

    watched("load", note_load)
    watched("replay", note_fold)
    with Installation(log, tmp_path / "new", LIMITS) as i:
        again = [i.ask(f"account/{n}", "deposit", amount=1)["balance"] for n in range(0, ACTORS, 50)]
    assert again == [2] * len(again)
    assert len(loaded) > 20
    assert len(mixed) > 5
    assert max(loaded) <= LIMITS.flush_bytes // SMALLEST
    assert max([*folded, *mixed]) <= LIMITS.flush_pieces + SLICE
