from __future__ import annotations

import time

import pytest
from installation import PARTITIONS, WAITING, Installation, wait_until

from plexstream.cli.views.ps import said
from plexstream.inspection.views.invocations import invocations
from plexstream.inspection.views.why import CAREFUL, why
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import BadAddress, TimedOut
from plexstream.model.journal.journal import Claim, Mark, Turn
from plexstream.model.messages.address import full, partition_of
from plexstream.model.messages.message import TELL, Envelope
from plexstream.node.lanes.records.encode import journal_items
from plexstream.schema.codec import encode_envelope


@pytest.fixture(scope="module")
def waiting(tmp_path_factory):
    """A asks B, which asks C, which sleeps; messages wait for C; broken has failed for good."""
    with Installation(MemoryLog(), tmp_path_factory.mktemp("why") / "state", None, WAITING) as i:
        i.client.tell("waiter/c", "nap")
        i.client.tell("waiter/b", "through", to="waiter/c")
        wait_until(lambda: bool(why(i.log, i.topics, "waiter/b").invocations))
        i.client.tell("waiter/a", "through", to="waiter/b")
        i.client.tell("waiter/c", "outside")
        i.client.tell("waiter/broken", "broken")
        i.client.tell("waiter/waits", "outside")
        wait_until(lambda: bool(why(i.log, i.topics, "waiter/broken").letters), timeout=30)
        assert i.ask("waiter/idle", "look") == []
        yield i


def of(i: Installation, address: str):
    return why(i.log, i.topics, address)


def test_whom_it_waits_for_is_followed(waiting):
    a = of(waiting, "waiter/a")
    assert [w.what for v in a.invocations for w in v.waits] == [f"{full('waiter/b')} nap"]
    b = a.asked[full("waiter/b")]
    c = b.asked[full("waiter/c")]
    assert [(w.kind, w.due > w.since) for w in c.invocations[0].waits] == [("sleep", True)]
    assert not c.asked
    assert not a.reasons


def test_the_queue_behind_a_handler(waiting):
    c = of(waiting, "waiter/c")
    behind = [q.handler for q in c.queue] + [v.handler for v in c.invocations if v.status == "queued"]
    assert sorted(behind) == ["nap", "outside"]
    assert c.backlog >= len(c.queue)


def test_a_message_put_aside(waiting):
    broken = of(waiting, "waiter/broken")
    assert [(d.handler, d.reason) for d in broken.letters] == [("broken", "failed")]
    assert "it does not work" in broken.letters[0].detail
    assert not broken.invocations
    assert not of(waiting, "waiter/a").letters


def test_nothing_keeps_an_idle_actor(waiting):
    idle = of(waiting, "waiter/idle")
    assert not idle.reasons
    assert not idle.invocations
    assert not idle.letters
    with pytest.raises(BadAddress):
        of(waiting, "nonsense")


def test_a_type_that_is_not_deployed(waiting):
    [reason] = of(waiting, "other/x").reasons
    assert "no actor type 'other'; it has waiter" in reason.text
    assert "deploy the code" in reason.advice


class Partition:
    """A log with records as they come, and no node."""

    def __init__(self, tmp_path) -> None:
        self.installation = Installation(MemoryLog(), tmp_path / "state")
        self.log, self.topics = self.installation.log, self.installation.topics
        self.home = partition_of(full("account/x"), PARTITIONS)

    def journal(self, *records: object) -> None:
        appender = self.log.appender()
        appender.append((self.topics.journal, self.home), journal_items(list(records)), None)
        appender.poll(1.0)

    def mail(self, *handlers: str) -> None:
        appender = self.log.appender()
        address = full("account/x")
        envelopes = [Envelope(TELL, f"m{n}", address, h, b"{}", time=7) for n, h in enumerate(handlers)]
        items = [(address.encode(), encode_envelope(e)) for e in envelopes]
        items.append((b"default/default/account/other", b"nonsense"))
        appender.append((self.topics.mailbox, self.home), items, None)
        appender.poll(1.0)

    def texts(self, alone: bool = False) -> list[str]:
        return [r.text for r in why(self.log, self.topics, "account/x", alone=alone).reasons]


def test_a_partition_without_an_owner(tmp_path):
    p = Partition(tmp_path)
    p.mail("deposit", "withdraw")
    assert p.texts() == [f"no node has ever taken partition {p.home}"]
    found = why(p.log, p.topics, "account/x")
    assert [(q.offset, q.handler, q.id) for q in found.queue] == [(0, "deposit", "m0"), (1, "withdraw", "m1")]
    assert found.backlog == 3
    p.journal(Claim("t", "node-1", 0, {"account": "1"}), Mark(0, 0, (), 0, 0, -1, "", True))
    assert p.texts() == [f"partition {p.home} is in nobody's hands: node-1 has let go of it in good order"]


def test_owners_that_crash(tmp_path):
    p = Partition(tmp_path)
    p.mail("deposit")
    for reign in range(3):
        p.journal(
            Claim("t", f"node-{reign}", 0, {"account": "1"}), Mark(2 * reign, 0, (), 0, 0, 0, "", False)
        )
    careful = "mailbox offset 0 is tried with care, for the 3rd time"
    dead = f"the 2 owners of partition {p.home} before node-2 ended without letting go of it"
    assert p.texts() == [dead, careful]
    # Whoever has the embedded log open knows that no node runs.
    nobody = f"partition {p.home} is in nobody's hands: node-2 ended without letting go of it, and so did"
    assert p.texts(alone=True) == [f"{nobody} the 2 owners before it", careful]
    p.journal(Mark(4, 0, (), 0, 0, -1, "", True))
    good = f"partition {p.home} is in nobody's hands: node-2 has let go of it in good order"
    assert [p.texts(alone=alone)[0] for alone in (False, True)] == [good, good]
    assert not any("ended without" in text for text in p.texts())


def test_deaths_of_before_are_past_once_their_successor_works(tmp_path):
    p = Partition(tmp_path)
    claim = Claim("t", "node-1", 0, {"account": "1"})
    p.journal(claim, claim)
    (text,) = p.texts()
    assert text.startswith("the owner of partition")
    cause = 1, full("account/x"), 1, "mailbox", 0, 0, 0, False, "", (), "deposit", "m", "", 0, "", 0, 0, ()
    turn = Turn(*cause)
    p.journal(turn)
    assert p.texts() == []
    p.journal(claim, turn._replace(claim=3))
    (text,) = p.texts()
    assert "the 2 owners" in text
    assert "(node-1 has done 1 turns since)" in text
    p.journal(*[turn._replace(claim=3)] * CAREFUL)
    assert p.texts() == []


def test_who_waits_for_an_answer_that_is_deferred(waiting):
    waiting.client.tell("waiter/d", "through", to="withholder/1")
    before = round(time.time() * 1000)
    with pytest.raises(TimedOut):
        waiting.client.ask("withholder/1", "nap", timeout=0.5)
    wait_until(lambda: len(of(waiting, "withholder/1").invocations) == 2)
    kept = of(waiting, "withholder/1").invocations
    assert {(v.handler, v.status, v.caller) for v in kept} == {
        ("nap", "deferred", full("waiter/d")), ("nap", "deferred", ""),
    }  # fmt: skip
    own, outside = sorted((v.waits[0] for v in kept), key=lambda w: not w.what)
    assert (own.kind, own.what, own.due) == ("reply", full("waiter/d"), 0)
    assert said(own, 0) == "waiter/d waits for the answer"
    assert before + 400 < outside.due < before + 20_000
    assert said(outside, 0).startswith("a caller outside waits for the answer until ")
    asked = of(waiting, "waiter/d").asked[full("withholder/1")]
    assert any(v.caller == full("waiter/d") for v in asked.invocations)
    listed = [v for n in range(PARTITIONS) for v in invocations(waiting.log, waiting.topics, n, "withholder")]
    assert sorted(v.status for v in listed) == ["deferred", "deferred"]
    assert waiting.ask("withholder/1", "serve") == 1, "the caller outside waits no more"
    wait_until(lambda: not of(waiting, "withholder/1").invocations)
