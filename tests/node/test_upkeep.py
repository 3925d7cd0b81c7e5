from __future__ import annotations

from unittest.mock import Mock, call

from plexstream.model.errors import LogError, LogUnavailable
from plexstream.model.journal.journal import Inbox, Partition
from plexstream.node.partition.upkeep.upkeep import Upkeep
from plexstream.processor import Settings
from plexstream.processor.journal.sums.fold import MAILBOX

JOURNAL, MAIL = ("journal", 0), ("mailbox", 0)
NOTHING_UNSAVED = {"pieces.unsaved.oldest.return_value": None}


def answer(ask):
    try:
        return ask()
    except LogError as error:
        return error


def test_what_could_not_be_trimmed_is_trimmed_with_the_next_snapshots():
    services = Mock(settings=Settings(), **{"topics.mailbox": MAIL[0], "now.return_value": 0})
    history = Mock(unsaved=0, save_all=False)
    takeover = Mock(restore=None, history=history, partition=0, journal=JOURNAL)
    processor = Mock(**{"fold.next": 20, "position": 5, "inbox.known": 0, **NOTHING_UNSAVED})
    upkeep = Upkeep(services, takeover, processor, Mock())
    upkeep._flushed_next = 20
    services.ask.side_effect = lambda owner, partition, ask, then: then(answer(ask))
    trim = services.log.trim
    for outcome in (LogUnavailable("away"), None, None):
        trim.side_effect = outcome
        upkeep._saving = 1, Partition(start=9, floor=7, unsaved=8, inboxes=(Inbox(MAILBOX, 3, 3, (), ()),))
        upkeep.saved(1)
    # The second time it works, and the third time there is nothing to do.
    assert trim.call_args_list == [call(JOURNAL, 7, 20), call(JOURNAL, 7, 20), call(MAIL, 3, 5)]


def test_what_an_earlier_reign_has_done_may_go_before_this_one_has_come_to_it():
    services = Mock(settings=Settings(), **{"topics.mailbox": MAIL[0], "now.return_value": 0})
    history = Mock(unsaved=0, save_all=False)
    takeover = Mock(restore=None, history=history, partition=0, journal=JOURNAL)
    processor = Mock(**{"fold.next": 20, "position": 2, "inbox.known": 3, **NOTHING_UNSAVED})
    upkeep = Upkeep(services, takeover, processor, Mock())
    upkeep._flushed_next = 20
    services.ask.side_effect = lambda owner, partition, ask, then: then(answer(ask))
    upkeep._saving = 1, Partition(start=9, floor=7, unsaved=8, inboxes=(Inbox(MAILBOX, 3, 3, (), ()),))
    upkeep.saved(1)
    assert services.log.trim.call_args_list[-1] == call(MAIL, 3, 3)


def test_what_is_not_due_for_the_snapshot_topic_is_not_looked_at():
    """Else each flush would look at all that has changed within the interval, however much that is."""
    services = Mock(settings=Settings(snapshot_interval=60_000), **{"now.return_value": 0})
    services.host.versions.return_value = ["a", "b"]
    services.host.type_info.side_effect = {"a": None, "b": Mock(snapshot_interval=30_000)}.get
    takeover = Mock(restore=None, history=Mock(unsaved=0, save_all=False), partition=0, journal=JOURNAL)
    processor = Mock(**{"pieces.unsaved.oldest.return_value": 1, "actors.to_save": []})
    take = processor.pieces.unsaved.take
    take.return_value = {}
    upkeep = Upkeep(services, takeover, processor, Mock())
    looked_at_up_to = []
    for second in range(70):
        processor.fold.next = 10 * second
        upkeep.snapshot(1_000 * second)
        looked_at_up_to.append(take.call_args.args[2])
    assert looked_at_up_to == [0] * 30 + [10 * second for second in range(40)]
