"""Paths to addresses: whatever is asked for names exactly one actor, or is refused."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plexstream.edge.http.problems import Problem
from plexstream.edge.http.routes.paths import ACTORS, MAX_PATH, route
from plexstream.model.messages import address


def routed(path):
    try:
        return route(path)
    except Problem as refused:
        return refused

HEADERS = "host: localhost\r\ncontent-type: application/json\r\ncontent-length: 0"

@pytest.mark.parametrize(
    "path",
    [
        "account/al%2Fice/x", "account/../x", "account/%2e%2e/x", "account/./x", "account//x",
        "account/a%00/x", "account/%ed%b2%80/x", "account/%ff/x", "account/a%0d%0a/x", "a%2fb/c/d/e/f",
        "account/alice/", "account/alice/..", "account/alice/%2E%2e", "account/alice/a%2fb",
        "a%2fb/c%2fd/x", "account/%e2%80%ae/x", "account/" + "a" * 600 + "/x",
        "account/" + "a" * 5000 + "/x",
    ],
)  # fmt: skip
def test_addresses_that_are_refused(node, path):
    request = f"POST /v1/actors/{path} HTTP/1.1\r\n{HEADERS}\r\n\r\n".encode()
    status, body = node.raw(request)
    assert (status, json.loads(body)["code"]) == (400, "bad_address")
    assert not node.responder.seen


@pytest.mark.parametrize("path", [
    "account/alice/$complete", "account/alice/%24end/send", "a/b/account/alice/$exit", "account/alice/$no",
])  # fmt: skip
def test_what_only_the_system_says_is_refused(node, path):
    request = f"POST /v1/actors/{path} HTTP/1.1\r\n{HEADERS}\r\n\r\n".encode()
    status, body = node.raw(request)
    assert (status, json.loads(body)["code"]) == (422, "bad_arguments")
    assert "/v1/invocations" in json.loads(body)["detail"]
    assert not node.responder.seen


@given(st.binary(max_size=40), st.sampled_from([b"", b"account/", b"a/b/", b"a/b/c/d/"]))
@settings(max_examples=1000, deadline=None)
def test_any_path_is_a_valid_route_or_a_problem(tail, head):
    found = routed(ACTORS + head + tail)
    if isinstance(found, Problem):
        assert found.status in (400, 404, 422)
        return
    assert str(address.parse(found.target)) == found.target
    assert found.target.count("/") == 3
    assert found.handler
    assert "/" not in found.handler
    found.target.encode()
    found.handler.encode()


@given(st.lists(st.text(min_size=1, max_size=20), min_size=3, max_size=3))
@example(["account", "alice", "$end"])
@example(["account", "alice", "$\x1f"])
@settings(max_examples=500, deadline=None)
def test_percent_encoding_names_the_same_actor_or_is_refused(parts):
    path = ACTORS + "/".join(quote(p.encode(errors="replace"), safe="") for p in parts).encode()
    if len(path) > MAX_PATH:
        return
    found = routed(path)
    if isinstance(found, Problem):
        said_by_the_system = parts[2].startswith("$")
        assert found.code == "bad_address" or (found.code == "bad_arguments" and said_by_the_system)
        return
    assert not parts[2].startswith("$")
    assert found.target == "default/default/" + "/".join(parts[:2])
    assert found.handler == parts[2]
