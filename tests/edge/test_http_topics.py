"""Ordinary topics over HTTP."""

from __future__ import annotations

import json

import pytest
from web import problem

from plexstream.log.base import TopicSpec
from plexstream.model.messages import address


def test_topics_are_written_created_and_read(node):
    lines = [{"key": f"k{i}", "value": {"n": i}} for i in range(20)] + [{"key": None, "value": None}]
    body = "\n".join(map(json.dumps, lines)) + "\n\n"
    answer = node.web.post("/v1/topics/orders", content=body)
    assert (answer.status_code, answer.json()) == (202, {"count": 21})
    assert node.log.partitions("orders") == 4
    answer = node.web.get("/v1/topics/orders")
    assert answer.headers["content-type"] == "application/x-ndjson"
    records = [json.loads(line) for line in answer.text.splitlines()]
    assert sorted(r["key"] for r in records if r["key"]) == sorted(f"k{i}" for i in range(20))
    for record in records:
        assert set(record) == {"partition", "offset", "key", "value", "time"}
        if record["key"]:
            assert record["partition"] == address.partition_of(record["key"], 4)
            assert record["value"] == {"n": int(record["key"][1:])}
    assert node.registry.get_sample_value("plexstream_published_records_total") == 21

    answer = node.web.get("/v1/topics/orders?partition=1&from=2&limit=2")
    one = [json.loads(line) for line in answer.text.splitlines()]
    assert [(r["partition"], r["offset"]) for r in one] == [(1, 2), (1, 3)]
    assert node.web.get("/v1/topics/orders?partition=1&from=10000").text == ""


def test_values_that_are_no_json_are_shown_in_base64(node):
    node.log.create([TopicSpec("raw", 1)])
    node.log.append_now(("raw", 0), [(b"\xff", b"\xfe"), (b"k", b'{"a":\n1}'), (b"k", None)])
    lines = [json.loads(line) for line in node.web.get("/v1/topics/raw").text.splitlines()]
    assert (lines[0]["key"], lines[0]["value"]) == (None, None)
    assert (lines[0]["key_base64"], lines[0]["value_base64"]) == ("/w==", "/g==")
    assert [line["value"] for line in lines[1:]] == [{"a": 1}, None]


def test_open_and_aborted_transactions_are_not_shown(node):
    node.log.create([TopicSpec("txn", 1)])
    epoch = node.log.begin_now("t")
    node.log.write_now("t", epoch, [("txn", 0, b"k", b"1")])
    assert node.web.get("/v1/topics/txn").text == ""
    node.log.end_now("t", epoch, {})
    assert json.loads(node.web.get("/v1/topics/txn").text)["value"] == 1


@pytest.mark.parametrize(
    ("body", "status", "code", "line"),
    [
        (b'{"key":"a","value":1}\n{"key":5,"value":1}', 400, "bad_json", "line 2"),
        (b'{"key":"a"}', 400, "bad_json", "line 1"),
        (b'{"value":1,"more":2}', 400, "bad_json", "line 1"),
        (b'{"value":"\xff"}', 400, "bad_json", "line 1"),
        (b"x", 400, "bad_json", "line 1"),
        (b'{"value":"' + b"x" * 60_000 + b'"}', 413, "too_large", "60012"),
    ],
)
def test_bad_records_are_named_and_nothing_is_appended(node, body, status, code, line):
    assert line in problem(node.web.post("/v1/topics/bad", content=body), status, code)["detail"]
    assert node.log.partitions("bad") is None


def test_topics_of_the_system_are_out_of_reach(node):
    for name in ("mailbox", "journal", "reply", "out.x"):
        path = f"/v1/topics/{node.topics.prefix}{name}"
        problem(node.web.post(path, content=b"{}"), 403, "forbidden_topic")
    problem(node.web.get(f"/v1/topics/{node.topics.mailbox}"), 403, "forbidden_topic")
    node.log.create([TopicSpec(node.topics.out("deposits"), 1)])
    assert node.web.get(f"/v1/topics/{node.topics.out('deposits')}").status_code == 200
    problem(node.web.post("/v1/topics/a%20b", content=b""), 400, "bad_topic")
    problem(node.web.get("/v1/topics/none"), 404, "topic_missing")
    problem(node.web.get(f"/v1/topics/{node.topics.out('deposits')}?partition=1"), 404, "no_partition")
    for query in ("partition=-1", "from=x", "limit=1e3", "limit=99999999", "offset=1", "from=" + "9" * 30):
        problem(node.web.get(f"/v1/topics/x?{query}"), 400, "bad_query")
