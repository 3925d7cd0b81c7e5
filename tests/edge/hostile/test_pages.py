"""Web pages that call behind their reader's back: across sites, and by names that are rebound."""

from __future__ import annotations

import httpx
import pytest
from rough import JSON, PATH, post, request, say

from plexstream.edge.http.guard import Guard
from plexstream.edge.http.problems import Problem

ROUTES = [
    ("GET", PATH), ("POST", PATH), ("POST", PATH + "/send"), ("GET", "/v1/status"), ("GET", "/metrics"),
    ("GET", "/v1/topics/orders"), ("POST", "/v1/topics/orders"), ("POST", "/v1/invocations/a/b/1/kill"),
    ("POST", "/v1/promises/a/b/c/resolve"), ("POST", "/v1/awakeables/x/resolve"), ("GET", "/health/ready"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_name_that_is_rebound_is_no_name_of_this_server(node, method, path):
    for host in (
        "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "",
        "[::1]evil.example", "[::1", "localhost:80:evil.example", "localhost:evil.example", "[::1]:x",
    ):  # fmt: skip
        data = request(method, path, JSON, host="x").replace(b"host: x", b"host: " + host.encode())
        answer = say(node, data, method)
        assert (answer.status, answer.code) == (403, "forbidden_host"), host
        assert "plexstream.toml" in answer.problem()["detail"]
    assert not node.responder.seen


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "127.8.8.8", "[::1]:8000", "app.localhost"]
)
def test_names_of_this_server(node, host):
    assert say(node, post(host=host)).status == 200


def test_the_host_of_a_whole_url_counts(node):
    answer = say(node, post(path=f"http://evil.example{PATH}"))
    assert (answer.status, answer.code) == (403, "forbidden_host")
    assert say(node, post(path=f"http://localhost:1{PATH}", host="evil.example")).status == 200


def test_one_host_and_only_one(node):
    assert say(node, post(b"{}", "host: localhost")).code == "bad_request"
    assert say(node, post(host="")).code == "bad_request"
    assert say(node, post(host="", version="1.0")).status == 200


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "file://", "http://["])
def test_a_page_of_elsewhere_may_not_call(node, method, path, origin):
    answer = say(node, request(method, path, JSON, f"origin: {origin}", host="localhost:8000"), method)
    assert (answer.status, answer.code) == (403, "forbidden_origin")
    assert not node.responder.seen


def test_a_page_of_its_own_may(node):
    assert say(node, post(b"{}", "origin: http://localhost:8000", host="localhost:8000")).status == 200


TYPES = [
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "text/json",
    "text/plain; application/json", "application/jsonx",
]  # fmt: skip


@pytest.mark.parametrize("media", TYPES)
@pytest.mark.parametrize("path", [p for m, p in ROUTES if m == "POST" and "awakeables" not in p])
def test_what_a_page_can_post_is_refused(node, path, media):
    """Without being asked beforehand, a page can send these types only, with no header of its own."""
    headers = [f"content-type: {media}"] if media else []
    for body in (b"{}", b""):
        answer = say(node, request("POST", path, *headers, body=body))
        assert (answer.status, answer.code) == (415, "unsupported_media_type")
        assert "Content-Type: application/json" in answer.problem()["detail"]
    assert not node.responder.seen


@pytest.mark.parametrize(
    "header",
    [
        "content-type: application/json; charset=utf-8", "Content-Type: APPLICATION/JSON",
        "content-type: application/vnd.api+json", "idempotency-key: k", "x-request-id: r",
    ],
)  # fmt: skip
def test_what_a_page_cannot_post_is_taken(node, header):
    assert say(node, request("POST", PATH, header, body=b"{}")).status == 200


def test_lines_are_json_too(node):
    data = request("POST", "/v1/topics/orders", "content-type: application/x-ndjson", body=b'{"value": 1}')
    assert say(node, data).status == 202


def test_a_webhook_sends_what_it_likes(node):
    data = request("POST", "/v1/awakeables/nothing/resolve", "content-type: text/plain", body=b"1")
    assert say(node, data).code == "unknown_invocation"


def test_reads_need_no_type(node):
    for method in ("GET", "HEAD", "OPTIONS"):
        assert say(node, request(method, PATH), method).status in (200, 204)


def test_beyond_loopback_every_name_is_taken_unless_some_are_given():
    def checked(guard, **headers):
        raw = [(k.encode(), v.encode()) for k, v in headers.items()]
        scope = {"method": "GET", "http_version": "1.1", "headers": raw, "raw_path": b"/"}
        try:
            guard.check(scope)
        except Problem as problem:
            return problem.code
        return "ok"

    assert checked(Guard("0.0.0.0"), host="anything", origin="https://x.example") == "ok"
    named = Guard("0.0.0.0", ["Bank.example"], ["https://app.example"])
    assert checked(named, host="bank.example:80") == "ok"
    assert checked(named, host="other.example") == "forbidden_host"
    assert checked(named, host="bank.example", origin="https://app.example") == "ok"
    assert checked(named, host="bank.example", origin="https://other.example") == "forbidden_origin"


def test_a_browser_is_not_told_that_others_may_call(node):
    answer = node.web.options(PATH, headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert isinstance(answer, httpx.Response)


PATHS_OF_ANY_METHOD = [
    "/v1/status", "/health/live", "/health/ready", "/metrics", "/v1/topics/x", "/v1/invocations/inv_x",
    "/v1/promises/a/b/c/%72esolve", "/v1/invocations/a/b/1/kill", "/v1/promises/a/b/c/resolve",
    "/v1/actors/a/b/c", "/v1/actors/a/b/c/send",
]  # fmt: skip


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST"])
@pytest.mark.parametrize("path", PATHS_OF_ANY_METHOD)
def test_a_method_that_nothing_takes_is_told_before_its_content_type(node, path, method):
    answer = say(node, request(method, path, "content-type: text/plain", body=b"{}"))
    allowed = say(node, request("OPTIONS", path)).headers["allow"]
    takes_orders = path == "/v1/invocations/inv_x" and method == "POST"  # longer ones
    assert answer.status == (415 if takes_orders or method in allowed.split(", ") else 405)


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
@pytest.mark.parametrize(
    "path",
    ["/v1/actors/", "/v1/actors", "/v1/invocations/", "/v1/invocations",
     "/v1/promises/", "/v1/awakeables/", "/v1/promises/a/b",
     "/v1/nothing", "/v1/invocations/kill"],
)  # fmt: skip
def test_where_nothing_is_no_method_is_refused(node, path, method):
    answer = say(node, request(method, path, "content-type: application/json", body=b"{}"))
    expected = 405 if (path, method) == ("/v1/invocations/kill", "PUT") else 404
    assert answer.status == expected, answer
