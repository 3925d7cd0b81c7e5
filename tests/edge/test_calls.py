"""Calls over a log in memory, with a stand-in for the processors."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from echo import LONG, Responder, create_topics, error, eventually, reply

from plexstream.edge.calls.calls import READ_ONLY, Calls
from plexstream.edge.calls.loop import LoopCalls
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import (
    CALL_ERRORS,
    BadAddress,
    BadArguments,
    CallError,
    LogUnavailable,
    Overloaded,
    Rejected,
    TimedOut,
    TooLarge,
    TopicMissing,
)
from plexstream.model.messages import address
from plexstream.model.messages.message import ASK, TELL
from plexstream.schema.codec import encode_envelope


def raw_reply(log, topics, calls, envelope):
    place = (topics.reply, address.partition_of(calls.edge_id, 4))
    log.append_now(place, [(envelope.target.encode(), encode_envelope(envelope))])


def test_an_ask_is_one_envelope_in_the_mailbox_and_returns_the_replys_payload(log, topics, calls):
    with Responder(log, topics) as responder:
        before = int(time.time() * 1000)
        future = calls.ask("account/alice", "get", b'{"at":5}', idempotency_key="k1", headers=READ_ONLY)
        assert future.result(LONG) == b'{"at":5}'
    (message,) = responder.seen
    assert message.kind == ASK
    assert message.target == "default/default/account/alice"
    assert message.handler == "get"
    assert message.reply_to == calls.edge_id
    assert message.idempotency_key == "k1"
    assert message.headers == {"read_only": "1"}
    assert (message.origin, message.sender) == ("", "")
    assert before <= message.time <= time.time() * 1000
    assert calls.in_flight == 0


def test_the_message_goes_to_the_partition_of_its_target_keyed_by_it(log, topics, calls):
    for i in range(20):
        calls.tell(f"t/ns/account/{i}", "x", b"{}").result(LONG)
    reader = log.reader()
    for partition in range(4):
        reader.assign((topics.mailbox, partition), 0)
    records = reader.read(100, 0)
    assert len(records) == 20
    for record in records:
        assert record.partition == address.partition_of(record.key.decode(), 4)
        assert record.key.startswith(b"t/ns/account/")


def test_a_tell_is_done_when_the_log_has_it_and_asks_for_no_reply(log, topics, calls):
    assert calls.tell("account/bob", "note", b"{}").result(LONG) is None
    assert sum(log.range((topics.mailbox, p))[1] for p in range(4)) == 1
    with Responder(log, topics) as responder:
        calls.tell("account/bob", "note", b"{}").result(LONG)
        eventually(lambda: responder.seen)
    assert (responder.seen[0].kind, responder.seen[0].reply_to) == (TELL, "")


@pytest.mark.parametrize("code", sorted(CALL_ERRORS))
def test_an_error_reply_raises_the_error_of_its_code(log, topics, calls, code):
    with Responder(log, topics, lambda ask: error(ask, code, "because", {"n": 1})):
        failure = calls.ask("a/b", "c", b"{}").exception(LONG)
    assert type(failure) is CALL_ERRORS[code]
    assert (failure.detail, failure.data) == ("because", {"n": 1})


def test_an_error_reply_with_an_unreadable_body_is_still_an_error(log, topics, calls):
    with Responder(log, topics, lambda ask: error(ask, "x")._replace(payload=b"\xff{")):
        failure = calls.ask("a/b", "c", b"{}").exception(LONG)
    assert type(failure) is CallError
    assert calls.replies.malformed == 1


def test_a_call_ends_at_its_deadline_and_not_before(calls):
    begin = time.monotonic()
    endless = calls.ask("account/alice", "deposit", b"{}", timeout=10 * LONG)
    short = calls.ask("account/alice", "deposit", b"{}", timeout=0.03)
    long = calls.ask("account/alice", "deposit", b"{}", timeout=0.4)
    with pytest.raises(TimedOut, match=r"default/default/account/alice\.deposit within 0\.03 s.*may still"):
        short.result(LONG)
    assert time.monotonic() - begin >= 0.03
    with pytest.raises(TimedOut):
        long.result(LONG)
    assert time.monotonic() - begin >= 0.4
    assert not endless.done()
    assert calls.in_flight == 1


def test_a_later_call_with_an_earlier_deadline_is_not_forgotten(calls):
    calls.ask("a/b", "c", b"{}", timeout=10 * LONG)
    time.sleep(0.05)
    with pytest.raises(TimedOut):
        calls.ask("a/b", "c", b"{}", timeout=0.03).result(LONG)


def test_late_and_repeated_and_foreign_and_malformed_replies_are_ignored_and_counted(log, topics, calls):
    with Responder(log, topics, lambda ask: None) as responder:
        with pytest.raises(TimedOut):
            calls.ask("a/b", "c", b"{}", timeout=0.02).result(LONG)
        eventually(lambda: responder.seen)
        late = responder.seen[0]
        raw_reply(log, topics, calls, reply(late, b"1"))
        eventually(lambda: calls.replies.stale == 1)

        responder.answer = lambda ask: [reply(ask, b"2"), reply(ask, b"3")]
        assert calls.ask("a/b", "c", b"{}").result(LONG) == b"2"
        eventually(lambda: calls.replies.stale == 2)

        raw_reply(log, topics, calls, reply(late, b"4")._replace(target="someone-else"))
        raw_reply(log, topics, calls, reply(late, b"5")._replace(id="other-1"))
        eventually(lambda: calls.replies.foreign == 2)

        place = (topics.reply, address.partition_of(calls.edge_id, 4))
        log.append_now(place, [(calls.edge_id.encode(), b"\xc3\x01garbage"), (calls.edge_id.encode(), None)])
        eventually(lambda: calls.replies.malformed == 2)
        assert calls.ask("a/b", "c", b"{}").result(LONG) == b"2"


def test_a_reply_to_a_tell_or_of_the_wrong_kind_completes_nothing(log, topics, calls):
    with Responder(log, topics, lambda ask: [ask._replace(target=ask.reply_to), reply(ask, b"ok")]):
        assert calls.ask("a/b", "c", b"{}").result(LONG) == b"ok"
    assert calls.replies.malformed == 1


def test_replies_from_before_a_restart_do_not_answer_a_new_call_of_the_same_edge(log, topics):
    asked = []
    with Responder(log, topics, lambda ask: asked.append(ask)):
        first = Calls(log, topics, edge_id="edge-1")
        first.ask("a/b", "c", b"{}")
        eventually(lambda: len(asked) == 1)
        first.close()
        second = Calls(log, topics, edge_id="edge-1")
        future = second.ask("a/b", "c", b"{}")
        eventually(lambda: len(asked) == 2)
        raw_reply(log, topics, second, reply(asked[0], b"old"))
        eventually(lambda: second.replies.foreign == 1)
        assert not future.done()
        raw_reply(log, topics, second, reply(asked[1], b"new"))
        assert future.result(LONG) == b"new"
        second.close()


def test_replies_from_before_the_start_are_not_read(log, topics, calls):
    with Responder(log, topics):
        calls.ask("a/b", "c", b"1").result(LONG)
        partition = address.partition_of(calls.edge_id, 4)
        edge_id = next(f"e{i}" for i in range(100) if address.partition_of(f"e{i}", 4) == partition)
        later = Calls(log, topics, edge_id=edge_id)
        assert later.ask("a/b", "c", b"2").result(LONG) == b"2"
        assert later.replies.foreign == 0
        later.close()


def test_many_edges_share_a_reply_partition_and_each_gets_its_own_replies(topics):
    log = MemoryLog()
    create_topics(log, topics, partitions=1)
    edges = [Calls(log, topics) for _ in range(8)]
    with Responder(log, topics):
        futures = [(edges[i % 8].ask(f"a/{i}", "c", b"%d" % i), i) for i in range(800)]
        for future, i in futures:
            assert future.result(LONG) == b"%d" % i
    assert all(edge.replies.foreign and not edge.replies.stale for edge in edges)
    for edge in edges:
        edge.close()


def test_many_threads_at_once(log, topics, calls):
    failures = []

    def caller(n):
        for i in range(100):
            payload = b"%d" % (n * 1000 + i)
            if calls.ask(f"a/{n}", "c", payload).result(LONG) != payload:
                failures.append(n)

    with Responder(log, topics) as responder:
        threads = [threading.Thread(target=caller, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    by_actor = {}
    for message in responder.seen:
        by_actor.setdefault(message.target, []).append(int(message.payload))
    assert all(sent == sorted(sent) for sent in by_actor.values())


def test_one_callers_messages_keep_their_order(log, topics, calls):
    with Responder(log, topics) as responder:
        for i in range(500):
            last = (calls.ask if i % 3 == 0 else calls.tell)("a/b", "c", b"%d" % i)
        last.result(LONG)
        eventually(lambda: len(responder.seen) == 500)
    assert [int(m.payload) for m in responder.seen] == list(range(500))


@pytest.mark.parametrize(
    ("target", "handler", "key", "timeout", "expected"),
    [
        ("alice", "x", "", 1, BadAddress),
        ("account/..", "x", "", 1, BadAddress),
        ("account/\udc80", "x", "", 1, BadAddress),
        ("account/alice", "", "", 1, BadArguments),
        ("account/alice", "a\nb", "", 1, BadArguments),
        ("account/alice", "a\udc80b", "", 1, BadArguments),
        ("account/alice", "x" * 300, "", 1, BadArguments),
        ("account/alice", "x", "k" * 300, 1, BadArguments),
        ("account/alice", "x", "\udc80", 1, BadArguments),
        ("account/alice", "x", "", 0, BadArguments),
        ("account/alice", "x", "", float("nan"), BadArguments),
        ("account/alice", "x", "", 1e9, BadArguments),
    ],
)
def test_what_cannot_be_sent_is_refused_at_once(calls, target, handler, key, timeout, expected):
    for call in (calls.ask, calls.tell):
        with pytest.raises(expected):
            call(target, handler, b"{}", timeout=timeout, idempotency_key=key)
    assert calls.in_flight == 0


def test_too_large_arguments_are_refused_before_anything_is_sent(log, topics):
    calls = Calls(log, topics, max_payload=100)
    with pytest.raises(TooLarge, match="101 bytes, at most 100"):
        calls.ask("a/b", "c", b"x" * 101)
    calls.close()
    assert all(log.range((topics.mailbox, p))[1] == 0 for p in range(4))


@pytest.mark.parametrize("call", ["ask", "tell"])
def test_a_message_that_the_topic_refuses_fails_alone(log, topics, call):
    calls = Calls(log, topics, max_payload=1 << 24)
    with Responder(log, topics):
        before = [calls.tell("a/b", "c", b"{}") for _ in range(3)]
        large = getattr(calls, call)("a/b", "c", b"x" * (1 << 21))
        after = calls.ask("a/b", "c", b"1")
        assert isinstance(large.exception(LONG), TooLarge)
        assert after.result(LONG) == b"1"
        assert [tell.result(LONG) for tell in before] == [None] * 3
    assert calls.appender_failures == 0
    calls.close()


def test_more_calls_than_may_wait_are_refused_and_room_comes_back(log, topics):
    calls = Calls(log, topics, max_in_flight=2)
    with Responder(log, topics, lambda ask: None) as responder:
        futures = [calls.ask("a/b", "c", b"{}") for _ in range(2)]
        with pytest.raises(Overloaded, match="2 calls are waiting"):
            calls.ask("a/b", "c", b"{}")
        eventually(lambda: len(responder.seen) == 2)
    for ask, future in zip(responder.seen, futures, strict=True):
        raw_reply(log, topics, calls, reply(ask, b"1"))
        assert future.result(LONG) == b"1"
    with pytest.raises(TimedOut):
        calls.ask("a/b", "c", b"{}", timeout=0.02).result(LONG)
    for _ in range(2):
        calls.ask("a/b", "c", b"{}")
    calls.close()


def test_close_ends_waiting_calls_soon_and_refuses_new_ones(log, topics):
    calls = Calls(log, topics)
    ask = calls.ask("a/b", "c", b"{}", timeout=10 * LONG)
    tell = calls.tell("a/b", "c", b"{}")
    calls.close()
    calls.close()
    with pytest.raises(TimedOut, match="closed"):
        ask.result(0)
    assert tell.result(0) is None
    with pytest.raises(LogUnavailable, match="closed"):
        calls.ask("a/b", "c", b"{}")


def test_missing_topics_are_named(log, topics):
    with pytest.raises(TopicMissing, match=r"other\.mailbox.*topics apply"):
        Calls(log, topics._replace(prefix="other."))


def test_cancelled_futures_are_left_alone(log, topics, calls):
    with Responder(log, topics, lambda ask: None) as responder:
        future = calls.ask("a/b", "c", b"{}")
        future.cancel()
        eventually(lambda: responder.seen)
        responder.answer = lambda ask: [reply(responder.seen[0], b"1"), reply(ask, b"2")]
        assert calls.ask("a/b", "c", b"{}").result(LONG) == b"2"
    assert calls.in_flight == 0


async def _on_loop(calls):
    on_loop = LoopCalls(calls)
    payloads = [b"%d" % i for i in range(300)]
    assert await asyncio.gather(*[on_loop.ask("a/b", "c", p) for p in payloads]) == payloads
    id, done = on_loop.tell("a/b", "c", b"{}")
    assert await done is None
    assert id
    cancelled = on_loop.ask("a/b", "c", b"{}")
    cancelled.cancel()
    assert await on_loop.ask("a/b", "c", b"9") == b"9"


def test_calls_on_an_event_loop(log, topics, calls):
    with Responder(log, topics):
        asyncio.run(_on_loop(calls))
    assert calls.in_flight == 0


def test_errors_and_deadlines_on_an_event_loop(log, topics, calls):
    async def main():
        on_loop = LoopCalls(calls)
        with pytest.raises(Rejected):
            await on_loop.ask("a/b", "no", b"{}")
        with pytest.raises(TimedOut):
            await on_loop.ask("a/b", "silent", b"{}", timeout=0.02)

    with Responder(log, topics, lambda ask: error(ask, "rejected") if ask.handler == "no" else None):
        asyncio.run(main())


def test_a_loop_that_is_gone_disturbs_nobody(log, topics, calls):
    async def leave():
        LoopCalls(calls).ask("a/b", "c", b"{}", timeout=0.02)

    asyncio.run(leave())
    time.sleep(0.05)
    with Responder(log, topics):
        assert calls.ask("a/b", "c", b"1").result(LONG) == b"1"
