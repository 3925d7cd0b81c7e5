"""What the transactions of every log promise, see `plexstream.log.base`."""

import pytest
from log_driving import append, items, read_all, take

from plexstream.log.limits.limits import RecordTooLarge
from plexstream.model.errors import Fenced, TopicMissing
from plexstream.model.messages.address import partition_of


def test_a_transaction_writes_records_and_positions(log, topic, witness):
    transaction = log.transaction(f"{topic}-relay", witness=witness)
    assert transaction.position((topic, 1)) is None
    transaction.commit(
        [(topic, 0, b"k", b"1"), (topic, 1, b"k", b"2"), (topic, 0, b"k", None)], {(topic, 1): 7}
    )
    transaction.commit([(topic, 0, b"k", b"3")], {(topic, 1): 8, (topic, 0): 3})
    assert (transaction.position((topic, 1)), transaction.position((topic, 0))) == (8, 3)
    transaction.close()
    assert [r.value for r in read_all(log, (topic, 0), 3, committed=True)] == [b"1", None, b"3"]
    assert [r.value for r in read_all(log, (topic, 1), 1, committed=True)] == [b"2"]
    # Positions belong to the id, not to the owner.
    again = log.transaction(f"{topic}-relay", witness=witness)
    assert (again.position((topic, 1)), again.position((topic, 0))) == (8, 3)
    again.commit([], {(topic, 0): 4})
    assert again.position((topic, 0)) == 4
    again.close()
    other = log.transaction(f"{topic}-other", witness=witness)
    assert other.position((topic, 1)) is None
    other.close()


def test_records_without_a_partition_go_where_java_clients_put_them(log, make_topic):
    topic = make_topic(5)
    keys = ["default/default/account/alice", "a", "", "ä", "x" * 33]
    transaction = log.transaction(f"{topic}-relay")
    transaction.commit([(topic, None, key.encode(), b"v") for key in keys], {})
    transaction.close()
    reader = log.reader(committed=True)
    for partition in range(5):
        reader.assign((topic, partition), 0)
    found = {record.key.decode(): record.partition for record in take(reader, len(keys))}
    assert found == {key: partition_of(key, 5) for key in keys}
    reader.close()


def test_a_new_transaction_fences_the_old(log, topic, witness):
    old = log.transaction(f"{topic}-relay", witness=witness)
    old.commit([(topic, 0, b"k", b"old")], {(topic, 1): 1})
    new = log.transaction(f"{topic}-relay", witness=witness)
    assert new.position((topic, 1)) == 1
    with pytest.raises(Fenced):
        old.commit([(topic, 0, b"k", b"zombie")], {(topic, 1): 99})
    with pytest.raises(Fenced):
        old.commit([], {(topic, 1): 99})
    new.commit([(topic, 0, b"k", b"new")], {(topic, 1): 2})
    assert new.position((topic, 1)) == 2
    assert new.position((topic, 0)) is None
    old.close()
    new.close()
    assert [r.value for r in read_all(log, (topic, 0), 2, committed=True)] == [b"old", b"new"]


def test_a_transaction_that_is_fenced_tells_no_position(log, topic, witness):
    id = f"{topic}-relay"
    unasked = log.transaction(id, witness=witness)
    asked = log.transaction(id, witness=witness)
    with pytest.raises(Fenced):
        unasked.position((topic, 0))
    asked.commit([], {(topic, 0): 1})
    assert asked.position((topic, 0)) == 1
    new = log.transaction(id, witness=witness)
    new.commit([], {(topic, 0): 2})
    assert new.position((topic, 0)) == 2
    with pytest.raises(Fenced):
        asked.position((topic, 0))
    for transaction in (unasked, asked, new):
        transaction.close()


def test_a_transaction_that_is_refused_leaves_nothing(log, topic, witness):
    transaction = log.transaction(f"{topic}-relay", witness=witness)
    with pytest.raises(RecordTooLarge):
        transaction.commit([(topic, 0, b"k", b"1"), (topic, 1, b"k", b"x" * 2_000_000)], {(topic, 0): 5})
    with pytest.raises(TopicMissing):
        transaction.commit([(topic, 0, b"k", b"1"), ("absent", None, b"k", b"2")], {(topic, 0): 5})
    assert transaction.position((topic, 0)) is None
    transaction.commit([(topic, 0, b"k", b"3")], {(topic, 0): 6})
    transaction.close()
    assert [r.value for r in read_all(log, (topic, 0), 1, committed=True)] == [b"3"]


def test_an_appender_beside_a_transaction_is_seen_by_committed_readers(log, topic):
    appender = log.appender()
    append(appender, (topic, 0), items(b"1"))
    transaction = log.transaction(f"{topic}-relay")
    transaction.commit([(topic, 0, b"k", b"2")], {})
    append(appender, (topic, 0), items(b"3"))
    for committed in (True, False):
        values = [record.value for record in read_all(log, (topic, 0), 3, committed=committed)]
        assert values == [b"1", b"2", b"3"]
    transaction.close()
    appender.close()


def test_a_position_belongs_to_one_life_of_its_topic(log, topic, witness):
    place, id = (topic, 0), f"{topic}-relay"

    def position(life):
        transaction = log.transaction(id, life, witness)
        found = transaction.position(place)
        transaction.close()
        return found

    unknown = log.transaction(id)
    unknown.commit([], {place: 3})
    unknown.close()
    assert (position(""), position("first")) == (3, 3)  # stored before lives were: taken
    first = log.transaction(id, "first")
    first.commit([(topic, 0, b"k", b"v")], {place: 7})
    first.close()
    assert (position(""), position("first"), position("second")) == (7, 7, None)
    second = log.transaction(id, "second")
    second.commit([], {place: 1})
    second.close()
    assert (position("first"), position("second")) == (None, 1)
