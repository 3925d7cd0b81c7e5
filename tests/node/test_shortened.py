"""Mailboxes that end before a known position: refused by name, alone, until an operator accepts the loss."""

import logging
from contextlib import suppress

import pytest
from installation import Installation, wait_until

from plexstream.log.base import TopicSpec
from plexstream.log.installation import Control
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import CallError
from plexstream.model.messages.address import partition_of
from plexstream.model.topics.topics import Topics
from plexstream.node.partition.takeover.losses import mailbox

T = Topics("test.")
ACTORS = [f"default/default/account/{n}" for n in range(12)]
SHORT = [a for a in ACTORS if partition_of(a, 2) == 0]
OTHERS = [a for a in ACTORS if partition_of(a, 2) == 1]


@pytest.fixture(autouse=True)
def at_once(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(mailbox, "REFUSED_S", 0.05)


def site(log, folder):
    i = Installation(log, folder)
    i.in_service = lambda worker: any(d.phase == "active" for d in list(worker.drivers.values()))
    return i


def shorten(log):
    """Of partition 0 of the mailbox nothing is left: an out-of-sync replica was made leader."""
    log._topics[T.mailbox][0].slots = []


def tell(i, address, amount):
    i.client.tell(address, "deposit", {"amount": amount}, timeout=10.0)


def served(i, address, balance):
    def is_so():
        with suppress(CallError):
            return i.client.ask(address, "balance", {}, timeout=1.0) == balance
        return False

    wait_until(is_so)


@pytest.mark.parametrize("stores", [True, False], ids=["with stores", "from the log alone"])
@pytest.mark.parametrize("running", [True, False], ids=["while it is served", "before"])
def test_it_is_refused_and_the_other_goes_on(tmp_path, caplog, running, stores):
    log = MemoryLog()
    with site(log, tmp_path / "a") as i:
        for address in ACTORS:
            i.ask(address, "deposit", amount=1)
        if running:
            shorten(log)
            wait_until(lambda: "is not served" in caplog.text)
            served(i, OTHERS[0], 1)
    if not running:
        shorten(log)
    folder = tmp_path / ("a" if stores else "b")
    with site(log, folder) as i:
        wait_until(lambda: f"{T.mailbox}[0] is not served: it ended at offset 0, but" in caplog.text)
        assert f"`plexstream topics accept {T.mailbox}`" in caplog.text
        wait_until(lambda: i.worker.drivers[0].phase == "refused")
        # It is longer than it was, soon: it stays refused, or some would be passed over in silence.
        for n in range(30):
            tell(i, SHORT[n % len(SHORT)], 1)
        for address in OTHERS:
            assert i.ask(address, "deposit", amount=1) == {"balance": 2}
    with site(log, folder) as i:
        assert i.ask(OTHERS[0], "deposit", amount=1) == {"balance": 3}
        wait_until(lambda: i.worker.drivers[0].phase == "refused")
        assert Control(log, T).accept(T.mailbox)[0][0] == (T.mailbox, 0)
        # All that came since is there, once.
        for n, address in enumerate(SHORT):
            served(i, address, 1 + len(range(n, 30, len(SHORT))))
    for name in ("a", "b", "c"):
        with site(log, tmp_path / name) as i:
            for n, address in enumerate(SHORT):
                served(i, address, 1 + len(range(n, 30, len(SHORT))))


def test_one_that_was_made_again_and_is_longer_by_now(tmp_path, caplog):
    log = MemoryLog()
    with site(log, tmp_path) as i:
        for address in ACTORS:
            i.ask(address, "deposit", amount=1)
        ends = [log.range((T.mailbox, p))[1] for p in range(2)]
    log.delete_now(T.mailbox)
    log.create([TopicSpec(T.mailbox, 2)])
    i = Installation(log, tmp_path)
    i.in_service = lambda worker: len(worker.drivers) == 2
    with i:
        for _ in range(ends[0] + 5):
            tell(i, SHORT[0], 1)
        wait_until(lambda: caplog.text.count("is not served") == 2)  # then it can be accepted
        wait_until(lambda: {d.phase for d in i.worker.drivers.values()} == {"refused"})
        assert len(Control(log, T).accept(T.mailbox)) == 2
        served(i, SHORT[0], 1 + ends[0] + 5)
        served(i, OTHERS[0], 1)


def test_messages_that_a_retention_has_deleted_are_told(tmp_path, caplog):
    log = MemoryLog()
    with site(log, tmp_path) as i:
        i.ask(SHORT[0], "deposit", amount=1)
        tells = i.client
        i.worker.stop()
        i._thread.join(20)
        for _ in range(3):
            tells.tell(SHORT[0], "deposit", {"amount": 1})
    _, end = log.range((T.mailbox, 0))
    log.trim((T.mailbox, 0), end - 1, end)
    with site(log, tmp_path) as i:
        served(i, SHORT[0], 2)
    assert f"messages {end - 3} to {end - 2} of {T.mailbox} are LOST" in caplog.text


def test_an_edge_goes_on_when_the_topic_of_replies_has_lost_some(tmp_path, caplog):
    log = MemoryLog()
    with site(log, tmp_path) as i:
        for address in ACTORS:
            i.ask(address, "deposit", amount=1)
        for partition in log._topics[T.reply]:
            partition.slots = []
        wait_until(lambda: "has lost records" in caplog.text)
        assert [i.ask(address, "balance") for address in ACTORS] == [1] * 12
