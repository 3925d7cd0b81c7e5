"""The parts of a takeover, each alone: what ends a reading, what is kept of it, and what follows."""

from __future__ import annotations

import logging
from unittest.mock import Mock, call

import pytest

from plexstream.log.base import Record
from plexstream.model.errors import Fenced, LogUnavailable, StoreUnavailable
from plexstream.model.journal.journal import Claim, Mark, Partition
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.node.partition.sums.history import History
from plexstream.node.partition.sums.lineage import NOTHING, Lineage, Unfit
from plexstream.node.partition.sums.snapshots import (
    CODE_KEY,
    PARTITION_KEY,
    SENTINEL,
    partition_piece,
    snapshot_key,
    split_fields,
)
from plexstream.node.partition.sums.versions import Versions
from plexstream.node.partition.takeover import opening
from plexstream.node.partition.takeover.folding import Folding, Missed
from plexstream.node.partition.takeover.ground import MAX_LOST, Ground, Phase
from plexstream.node.partition.takeover.loading import Complete, Loading, Newer
from plexstream.node.partition.takeover.losses.filling import Filling
from plexstream.node.partition.takeover.opening import Opening
from plexstream.node.partition.takeover.rebuild import Rebuild
from plexstream.processor import Restore, Settings
from plexstream.processor.state.pieces import Pieces
from plexstream.schema import codec
from plexstream.schema.codec import encode_journal, encode_snapshot

JOURNAL, SNAPSHOTS = ("journal", 0), ("snapshot", 0)
CLAIM = 10
FACTS = NOTHING._replace(journal="j", mailbox="m", snapshot="s")


class Shelf:
    """A store in memory."""

    def __init__(self, **pieces):
        self.pieces = dict(pieces)

    def get(self, key):
        return self.pieces.get(key)

    def write(self, pieces):
        self.pieces |= pieces

    def steps(self, *_):
        return []

    def __getattr__(self, name):
        return lambda *_, **__: iter(())


def ground(store=None, **facts):
    return Ground(0, CLAIM, JOURNAL, SNAPSHOTS, store or Shelf(), Mock(), FACTS._replace(**facts))


def record(offset, key, value):
    return Record(*SNAPSHOTS, offset, key, value, 0)


def saved(offset, piece):
    key = (piece.kind, piece.address, piece.name, piece.key)
    return record(offset, snapshot_key(key), encode_snapshot(piece))


def actor(name, data=b"{}"):
    return Snapshot(Piece.ACTOR.value, f"account/{name}", "", None, 3, 1, 0, data)


def sentinel(offset, text):
    return record(offset, SENTINEL, text.encode())


# The snapshot topic


@pytest.mark.parametrize(
    ("text", "end"),
    [
        (f"{CLAIM} j", Complete(4)),
        (f"{CLAIM + 1} j", Newer(CLAIM + 1)),
        (f"{CLAIM + 1}", None),  # of a version that named no life: it may be of another
        (f"{CLAIM + 1} other", None),
        (f"{CLAIM} other", None),
        (f"{CLAIM - 1} j", None),
        (f"{CLAIM + MAX_LOST + 1} j", None),
        ("no number", None),
    ],
)
def test_a_reading_ends_with_the_sentinel_of_this_claim_or_a_newer_one(text, end):
    loading = Loading(ground(), True, 1_000)
    assert loading.take([sentinel(4, text)]) == end
    assert loading.seen == 5


def test_pieces_go_to_the_store_in_steps_and_the_sum_does_not():
    shelf = Shelf()
    loading = Loading(ground(shelf), True, 60)
    total = Partition(start=5)
    assert loading.take([saved(0, partition_piece(total)), saved(1, actor("a"))]) is None
    assert (shelf.pieces, len(loading.held)) == ({}, 1)
    loading.take([saved(2, actor("b", b"x" * 60))])
    assert len(shelf.pieces) == 2
    assert loading.held == {}
    assert PARTITION_KEY not in shelf.pieces
    assert loading.partition == total


def test_who_only_wants_to_know_how_far_the_snapshots_go_writes_nothing():
    shelf = Shelf()
    loading = Loading(ground(shelf), False, 1)
    loading.take([saved(0, partition_piece(Partition(start=5))), saved(1, actor("a"))])
    loading.write()
    assert (shelf.pieces, loading.partition.start) == ({}, 5)


@pytest.mark.parametrize(
    "forged",
    [
        record(0, b"account/b", encode_snapshot(actor("a"))),
        record(0, b"account/a", b"\xff"),
        record(0, b"", None),
        saved(0, partition_piece(Partition(start=CLAIM + MAX_LOST + 1))),
    ],
)
def test_what_nobody_of_this_installation_has_written_counts_for_nothing(forged, caplog):
    loading = Loading(ground(), True, 1_000)
    assert loading.take([forged, sentinel(1, f"{CLAIM} j")]) == Complete(1)
    assert (loading.held, loading.partition) == ({}, Partition())
    assert "counts for nothing" in caplog.text


# Which state to go on with


def rebuild(stored=None, **facts):
    services = Mock(settings=Settings())
    onwards = Mock()
    onwards.wipe.side_effect = lambda then: then()
    onwards.fold.return_value = 3
    gone, history = Mock(), History(0)
    made = Rebuild(services, ground(**facts), object(), stored, history, gone, onwards)
    return made, onwards, history, gone


def test_a_rebuild_empties_the_store_and_folds_over_the_snapshots():
    made, onwards, history, _ = rebuild()
    made.start()
    assert onwards.mock_calls[0][0] == "wipe"
    assert onwards.enter.call_args == call(Phase.LOADING)
    total = Partition(start=5, unsaved=4)
    made.load([saved(0, partition_piece(total)), sentinel(1, f"{CLAIM} j")])
    assert onwards.fold.call_args == call(total, exact=False)
    assert history.unsaved == 3


def test_it_waits_for_its_sentinel_once_that_is_committed():
    made, _, _, _ = rebuild()
    made._ground.lane.save.return_value = 7
    made.start()
    made.saved(6)
    assert made.awaited() is None
    made.saved(7)
    assert made.awaited() == (f"snapshot[0]: the sentinel of claim {CLAIM}", 0)


def test_a_store_that_the_journal_does_not_reach_is_kept_until_the_snapshots_are_known_to_replace_it():
    made, onwards, _, _ = rebuild(stored=Partition(start=2), first=4)
    made.start()
    assert not onwards.wipe.called
    made.load([saved(0, partition_piece(Partition(start=6, unsaved=5))), sentinel(1, f"{CLAIM} j")])
    assert onwards.wipe.called  # now it is read again, to be kept
    assert not onwards.fold.called
    made.load([saved(0, partition_piece(Partition(start=6, unsaved=5))), sentinel(1, f"{CLAIM} j")])
    assert onwards.fold.called


def test_where_neither_reaches_an_operator_is_asked_after_a_second_sentinel():
    made, onwards, history, gone = rebuild(stored=Partition(start=2), first=8)
    made.start()
    short = [saved(0, partition_piece(Partition(start=6, unsaved=5))), sentinel(1, f"{CLAIM} j")]
    made.load(short)
    assert not gone.check.called
    made.load(short)
    assert onwards.enter.call_args == call(Phase.REFUSED)
    remains, _, claim, go_on = gone.check.call_args.args
    assert (remains.store, remains.needed, remains.first, claim) == (Partition(start=2), 5, 8, CLAIM)
    assert not onwards.wipe.called
    go_on(Partition(start=CLAIM), True)
    assert made.given_up
    assert (history.save_all, history.unsaved, history.since) == (True, CLAIM, 1)
    assert onwards.fold.call_args == call(Partition(start=CLAIM), exact=True)


def test_snapshots_that_know_more_than_the_journal_has_are_told():
    made, onwards, _, _ = rebuild()
    made.start()
    life = Lineage(0, "j", "m", "s").piece(12)
    made.load([saved(0, partition_piece(Partition(start=12))), saved(1, life), sentinel(2, f"{CLAIM} j")])
    assert onwards.lost.call_args.args[0] == 12


def test_a_newer_sentinel_is_either_a_newer_owner_or_a_loss():
    made, onwards, _, _ = rebuild()
    made.start()
    made.load([sentinel(0, f"{CLAIM + 2} j")])
    then = made.s.ask.call_args.args[-1]
    with pytest.raises(LogUnavailable):
        then(LogUnavailable("away"))
    with pytest.raises(Fenced):
        then((0, CLAIM + 3))
    then((0, CLAIM + 1))
    assert onwards.lost.call_args.args[0] == CLAIM + 3


def test_snapshots_of_another_life_count_for_nothing():
    made, onwards, history, _ = rebuild()
    made.start()
    life = Lineage(0, "another", "m", "s").piece(5)
    made.load([saved(0, partition_piece(Partition(start=5))), saved(1, life), sentinel(2, f"{CLAIM} j")])
    assert onwards.fold.call_args == call(Partition(), exact=False)
    assert (history.since, history.known) == (2, None)


# The journal


def folding(partition=None, comparison=None, store=None, flush_pieces=1_000):
    shelf = store or Shelf()
    pieces = Pieces(shelf, split_fields, 1_000, codec, 1_000)
    restore = Restore(pieces, partition or Partition(), True)
    history = History(0)
    history.facts = FACTS
    settings = Settings(flush_pieces=flush_pieces)
    versions = Versions(0, "here", {"account": "2"}, {"account", "plex.lock"}.__contains__)
    made = Folding(ground(shelf), restore, comparison, history, versions, "mine", settings)
    return made, history, shelf


def entry(offset, what):
    return Record(*JOURNAL, offset, b"", encode_journal(what), 1_000 + offset)


def claim(token="mine", node="here", version="2"):
    return Claim(token, node, 0, {"account": version})


def mark(ordinal=-1):
    return Mark(0, 0, (), 0, 0, -1, "", False, ordinal=ordinal)


def test_it_ends_with_the_claim_and_has_said_which_code_it_takes_over_from(caplog):
    made, history, shelf = folding(Partition(start=8, floor=8))
    end = entry(CLAIM, claim())
    assert made.take([entry(8, claim("other", "there", "1")), entry(9, mark())]) is None
    assert history.token == "other"
    assert made.take([end]) is end
    assert made.before == 1_009
    assert history.token == "mine"
    assert CODE_KEY in shelf.pieces
    assert "account 1 -> 2" in caplog.text


def test_a_type_that_is_loaded_when_it_is_first_called_is_not_said_to_be_lacking(caplog):
    made, _, _ = folding(Partition(start=8, floor=8))
    before = claim("other", "there")
    before.code.update({"plex.lock": "2", "order": "2"})
    assert made.take([entry(8, before), entry(9, mark()), entry(CLAIM, claim())])
    assert "node here has no actor type order, which node there served here" in caplog.text


def test_a_claim_that_is_gone_is_a_newer_owners_doing():
    made, _, _ = folding(Partition(start=8, floor=8))
    with pytest.raises(Fenced, match="beyond the claim"):
        made.take([entry(8, claim("other")), entry(9, mark()), entry(CLAIM, mark())])


def test_what_is_needed_and_gone_ends_it():
    made, _, _ = folding(Partition(start=4, floor=4))
    assert made.take([entry(6, mark())]) == Missed(4, 6)


def test_another_history_than_the_stores_ends_it():
    comparison = Mock(begin=3, **{"differs.return_value": "it is another"})
    made, _, _ = folding(Partition(start=4, floor=4), comparison)
    assert made.restore.next == 3
    found = made.take([entry(3, claim("other"))])
    assert type(found) is Unfit
    assert comparison.differs.call_args.args[2] == "other"


def test_what_cannot_be_read_is_passed_over(caplog):
    made, _, _ = folding(Partition(start=9, floor=9))
    end = entry(CLAIM, claim())
    assert made.take([Record(*JOURNAL, 9, b"", b"\xff\xff", 0), end]) is end
    assert "counts for nothing" in caplog.text


# The store and the numbers


def test_a_store_that_cannot_be_opened_is_told_once_and_tried_again(caplog):
    services, told = Mock(), Mock()
    services.elapsed.return_value = 0.0
    made = Opening(services, 0, object(), told)
    made.start()
    for n in (1, 2):
        services.open_store.call_args.args[-1](StoreUnavailable("no file descriptors"))
        made.go_on()
        assert services.open_store.call_count == n
        services.elapsed.return_value += opening.STORE_AGAIN_S
        made.go_on()
        made.go_on()
        assert services.open_store.call_count == n + 1
    assert services.close_store.call_count == 2
    shelf = Shelf()
    shelf.pieces[PARTITION_KEY] = partition_piece(Partition(start=3))
    services.open_store.call_args.args[-1](shelf)
    assert told.call_args == call(shelf, Partition(start=3))
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1


def test_a_sum_that_cannot_be_read_is_none():
    services, told = Mock(), Mock()
    shelf = Shelf()
    shelf.pieces[PARTITION_KEY] = partition_piece(Partition())._replace(data=b"\xff")
    made = Opening(services, 0, object(), told)
    made.start()
    services.open_store.call_args.args[-1](shelf)
    assert told.call_args == call(shelf, None)


def test_numbers_are_used_up_in_batches_up_to_the_one_before():
    services = Mock(**{"now.return_value": 0})
    made = Filling(services, JOURNAL, object())
    assert made.start(CLAIM, CLAIM + 5_003)
    assert made.filled(CLAIM + 5_000)
    assert not made.filled(CLAIM + 5_002)
    sizes = [len(c.args[1]) for c in services.appender.append.call_args_list]
    assert sizes == [5_000, 2]
    assert not made.start(CLAIM, CLAIM + 1)
