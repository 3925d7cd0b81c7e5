"""Records that nobody of plexstream has written: each is told and ignored, and what follows is read."""

from __future__ import annotations

import logging

import pytest
from echo import eventually, reply
from rough import post, say

from plexstream.model.messages.address import partition_of
from plexstream.model.messages.message import ERROR, REPLY, Envelope
from plexstream.schema.codec import encode_envelope

DEEP = b'{"code":"x","detail":"y","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def answer_with(ask, payload, kind=ERROR):
    return reply(ask, payload)._replace(kind=kind)


@pytest.mark.parametrize(
    "payload", [DEEP, b"", b"\xff", b"[]", b'{"code": 5}', b'{"code":"\xed\xa0\x80"}', b"{" * 10_000, b"null"]
)
def test_an_error_that_is_none_costs_its_caller_alone(node, payload):
    """The thread that reads replies serves all."""
    node.responder.answer = lambda ask: answer_with(ask, payload)
    assert say(node, post()).status == 500
    node.responder.answer = lambda ask: reply(ask, b"7")
    assert say(node, post()).body == b"7"
    assert all(thread.well() for thread in node.calls.threads)


@pytest.mark.parametrize("value", [b"", b"\x00", b"\xff" * 50, b"\x04" * 1000, None, bytes(range(256))])
def test_a_reply_that_is_none_is_passed_over(node, value):
    before = node.calls.replies.malformed
    place = (node.topics.reply, partition_of(node.calls.edge_id, node.calls.partitions))
    node.log.append_now(place, [(node.calls.edge_id.encode(), value)])
    eventually(lambda: node.calls.replies.malformed > before)
    assert say(node, post(b'{"a":1}')).body == b'{"a":1}'


def test_replies_to_what_was_never_asked_complete_nothing(node, caplog):
    caplog.set_level(logging.DEBUG)
    edge = node.calls.edge_id
    place = (node.topics.reply, partition_of(edge, node.calls.partitions))
    forged = [
        Envelope(REPLY, id, edge, "", b"1", "default/default/a/b")
        for id in ("", f"{edge}-999999999", f"{edge}-x", "other-1", "\u202e", "a" * 100_000)
    ]
    node.log.append_now(place, [(edge.encode(), encode_envelope(e)) for e in forged])
    eventually(lambda: node.calls.replies.foreign + node.calls.replies.stale >= 6)
    assert say(node, post(b'{"a":1}')).body == b'{"a":1}'
