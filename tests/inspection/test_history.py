from __future__ import annotations

import pytest
from installation import PARTITIONS, Installation, wait_until

from plexstream.inspection.clear import clear_state
from plexstream.inspection.history import entries, known_from, read, rebuild
from plexstream.inspection.replay.verify import stores_of, verify
from plexstream.inspection.views.state_view import Difference, actors, differences, state_at
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import CallError, HistoryGone
from plexstream.model.journal.journal import Change, Claim, Turn
from plexstream.model.messages.address import full, partition_of
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.records.encode import journal_items
from plexstream.processor import Settings

ALICE = "account/alice"
HOME = partition_of(full(ALICE), PARTITIONS)


def turns(i: Installation) -> list[tuple[int, Turn]]:
    found = entries(i.log, i.topics, HOME, 0, i.end(HOME))
    return [(e.offset, e.record) for e in found if type(e.record) is Turn and e.counts]


@pytest.fixture
def used(tmp_path):
    """Alice has had five turns, and the worker is stopped."""
    with Installation(MemoryLog(), tmp_path / "state") as i:
        i.ask(ALICE, "deposit", amount=5)
        i.ask(ALICE, "note", key="a", text="first")
        i.ask(ALICE, "deposit", amount=7)
        i.ask(ALICE, "note", key="a")
        i.ask(ALICE, "later", amount=100, delay=3600.0)
        i.ask("account/bob", "deposit", amount=1)
    return i


def test_state_now(used):
    found = state_at(used.log, used.topics, ALICE)
    assert found.address == "default/default/account/alice"
    assert found.state == {"balance": 12, "moves": [5, 7]}
    assert found.turn == 5
    assert [t["handler"] for t in found.timers] == ["deposit"]
    assert found.timers[0]["arguments"] == {"amount": 100}


def test_state_at_every_offset(used):
    offsets = [offset for offset, turn in turns(used) if turn.actor == full(ALICE)]
    states = [state_at(used.log, used.topics, ALICE, at).state for at in offsets]
    assert states == [
        {"balance": 5, "moves": [5]},
        {"balance": 5, "moves": [5], "notes": {"a": "first"}},
        {"balance": 12, "moves": [5, 7], "notes": {"a": "first"}},
        {"balance": 12, "moves": [5, 7]},
        {"balance": 12, "moves": [5, 7]},
    ]
    before = state_at(used.log, used.topics, ALICE, offsets[0] - 1)
    assert (before.turn, before.state) == (0, {})


def test_differences_between_offsets(used):
    offsets = [offset for offset, turn in turns(used) if turn.actor == full(ALICE)]
    one, two = (state_at(used.log, used.topics, ALICE, at) for at in (offsets[0], offsets[2]))
    assert {d.path for d in differences(one, two)} == {"balance", "moves[1]", "notes"}
    assert Difference("balance", 5, 12) in differences(one, two)
    assert not differences(two, two)


def test_beyond_the_end(used):
    with pytest.raises(HistoryGone, match=r"ends at offset \d+, and 1000 is asked for"):
        state_at(used.log, used.topics, ALICE, 1000)


def test_actors_are_listed(used):
    found = [p.address for n in range(PARTITIONS) for p in actors(rebuild(used.log, used.topics, n).store)]
    assert sorted(found) == [full("account/alice"), full("account/bob")]
    assert not list(actors(rebuild(used.log, used.topics, 0).store, "other"))


def test_records_of_a_zombie_do_not_count(used):
    appender = used.log.appender()
    place = (used.topics.journal, HOME)
    (_, last) = turns(used)[-1]
    forged = last._replace(seq=99, patch=[Change("balance", None, b"1000")])
    appender.append(place, journal_items([Claim("t", "other", 1, {})]), None)
    appender.append(place, journal_items([forged]), None)
    while len(appender.poll(0.1)) < 2:
        pass
    appender.close()
    assert state_at(used.log, used.topics, ALICE).state["balance"] == 12
    end = used.end(HOME)
    # Also where reading starts behind the claim that makes it a zombie.
    (entry,) = entries(used.log, used.topics, HOME, end - 1, end)
    assert not entry.counts


def test_history_that_is_trimmed_is_told_with_its_range(tmp_path):
    settings = Settings(mark_interval=20, flush_interval=20, snapshot_interval=50)
    with Installation(MemoryLog(), tmp_path / "state", settings) as i:
        for _ in range(20):
            i.ask(ALICE, "deposit", amount=1)
        i.ask(ALICE, "note", key="k", text="v")
        place = (i.topics.journal, HOME)
        wait_until(lambda: i.log.range(place)[0] > 15)
        i.ask(ALICE, "deposit", amount=1)
    first, end = i.log.range(place)
    assert state_at(i.log, i.topics, ALICE).state == {"balance": 21, "moves": [1] * 21, "notes": {"k": "v"}}
    with pytest.raises(HistoryGone) as raised:
        state_at(i.log, i.topics, ALICE, 3)
    _, base = known_from(i.log, i.topics, HOME)
    assert base >= first
    assert f"it can be told from {base - 1} to {end - 1}" in str(raised.value)
    assert "keep_history" in str(raised.value)
    assert state_at(i.log, i.topics, ALICE, base).turn > 15


def test_a_rebuild_equals_the_state_stores(used):
    found = []
    for partition, paths in stores_of(used.state_dir).items():
        found += verify(used.log, used.topics, partition, paths, used.settings, 0)
    assert len(found) == PARTITIONS
    assert [v.different for v in found] == [0, 0]
    assert sum(v.pieces for v in found) >= 5


def test_a_wrong_piece_in_a_state_store_is_found(used):
    from plexstream.store.rocks import RocksStore

    (path,) = stores_of(used.state_dir)[HOME]
    store = RocksStore(path)
    key = (0, full(ALICE), "", None)
    store.write({key: store.get(key)._replace(data=b'{"balance":13}')})
    store.close()
    (found,) = verify(used.log, used.topics, HOME, [path], used.settings, 0)
    assert found.different == 1
    assert '"balance":13' in found.differences[0]


def test_a_rebuild_to_any_offset_equals_each_actor_folded_alone(used, monkeypatch):
    # Actors are folded in several shares.
    monkeypatch.setattr("plexstream.inspection.replay.verify._IN_MEMORY", 1)
    settings = Settings(flush_pieces=0)  # and written after each batch
    paths = stores_of(used.state_dir)[HOME]
    found = [
        verify(used.log, used.topics, HOME, paths, settings, 0, at=at) for at in range(used.end(HOME) - 1)
    ]
    assert [actors.different for actors, _ in found] == [0] * len(found)
    assert found[-1][0].pieces >= 5
    assert all("which is later" in store.note and not store.pieces for _, store in found)
    _, store = verify(used.log, used.topics, HOME, paths, settings, 0, at=used.end(HOME) - 1)
    assert store.pieces == found[-1][0].pieces
    with pytest.raises(HistoryGone, match="ends at offset"):
        verify(used.log, used.topics, HOME, paths, settings, 0, at=used.end(HOME))


@pytest.mark.parametrize("wrong", [{"data": b'{"balance":13}'}, {"seq": 9}, None])
def test_a_rebuild_to_an_offset_that_goes_wrong_is_found(used, monkeypatch, wrong):
    from plexstream.store.rocks import RocksStore

    write, key = RocksStore.write, (0, full(ALICE), "", None)

    def damaged(store, pieces):
        if key in pieces:
            pieces = {**pieces, key: pieces[key]._replace(**wrong) if wrong else None}
        write(store, pieces)

    monkeypatch.setattr(RocksStore, "write", damaged)
    at = [offset for offset, _ in turns(used)][-1]
    (found,) = verify(used.log, used.topics, HOME, [], used.settings, 0, at=at)
    assert found.different == 1
    assert f"actor {full(ALICE)}" in found.differences[0]


def test_clearing_is_a_turn_and_the_node_goes_on(used):
    with used as i:
        # A node that runs is fenced by it, and claims the partition anew.
        offset = clear_state(i.log, i.topics, ALICE, "a test")
        assert i.ask(ALICE, "balance") == 0
        assert i.ask(ALICE, "deposit", amount=3) == {"balance": 3}
    assert state_at(i.log, i.topics, ALICE, offset).state == {}
    assert state_at(i.log, i.topics, ALICE, offset).timers == []
    assert state_at(i.log, i.topics, ALICE, offset - 3).state["balance"] == 12
    assert state_at(i.log, i.topics, ALICE).turn == 7
    assert clear_state(i.log, i.topics, "account/nobody", "a test") == -1


def test_failures_are_in_the_journal(used):
    with used as i, pytest.raises(CallError):
        i.ask(ALICE, "deposit", amount=-1)
    assert [t.status for _, t in turns(i) if t.actor == full(ALICE)] == [0, 0, 0, 0, 0, 1]


def append_again(i: Installation, first: int, end: int) -> None:
    """What the journal has between these offsets, once more."""
    place = (i.topics.journal, HOME)
    records = [r for batch in read(i.log, place, first, end) for r in batch]
    i.log.append_now(place, [(r.key, r.value) for r in records])


def test_what_was_appended_again_does_not_count_wherever_reading_starts(used):
    end = used.end(HOME)
    before = state_at(used.log, used.topics, ALICE)
    append_again(used, 1, end)
    append_again(used, 2, end)
    whole = [e.counts for e in entries(used.log, used.topics, HOME, 0, used.end(HOME))]
    assert whole == [True] * end + [False] * (used.end(HOME) - end)
    for start in range(used.end(HOME)):
        found = [e.counts for e in entries(used.log, used.topics, HOME, start, used.end(HOME))]
        assert found == whole[start:]
    after = state_at(used.log, used.topics, ALICE)
    assert (after.turn, after.state, after.timers) == (before.turn, before.state, before.timers)
    (found,) = verify(used.log, used.topics, HOME, stores_of(used.state_dir)[HOME], used.settings, 0)
    assert (found.different, found.ignored) == (0, used.end(HOME) - end)


def test_nothing_behind_a_missing_record_counts_for_one_actor_either(tmp_path):
    """Its number shows it, though the records of others are left out."""
    other = next(a for n in range(99) if partition_of(full(a := f"account/{n}"), PARTITIONS) == HOME)
    place = (Topics("test.").journal, HOME)
    with Installation(MemoryLog(), tmp_path / "a") as i:
        for who in (ALICE, ALICE, other, other, other, ALICE):
            i.ask(who, "deposit", amount=1)
    records = [r for batch in read(i.log, place, 0, i.end(HOME)) for r in batch]
    two = turns(i)[1][0]
    cut = Installation(MemoryLog(), tmp_path / "b")
    cut.log.append_now(place, [(r.key, r.value) for r in records if r.offset != two])
    found = list(entries(cut.log, cut.topics, HOME, 0, cut.end(HOME)))
    assert [e.counts for e in found] == [True] * two + [False] * (len(found) - two)
    assert state_at(cut.log, cut.topics, ALICE).state == {"balance": 1, "moves": [1]}


def test_what_was_appended_again_where_the_claim_is_trimmed(tmp_path):
    settings = Settings(mark_interval=20, flush_interval=20, snapshot_interval=50)
    with Installation(MemoryLog(), tmp_path / "state", settings) as i:
        for _ in range(20):
            i.ask(ALICE, "deposit", amount=1)
        place = (i.topics.journal, HOME)
        wait_until(lambda: i.log.range(place)[0] > 15)
    first, end = i.log.range(place)
    append_again(i, first, end)
    for start in range(first, i.end(HOME)):
        found = [(e.offset, e.counts) for e in entries(i.log, i.topics, HOME, start, i.end(HOME))]
        assert found == [(offset, offset < end) for offset in range(start, i.end(HOME))]
    assert state_at(i.log, i.topics, ALICE).state == {"balance": 20, "moves": [1] * 20}
    with Installation(i.log, tmp_path / "new") as again:
        assert again.ask(ALICE, "deposit", amount=1) == {"balance": 21}
