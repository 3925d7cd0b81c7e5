"""The HTTP front, by a real server on loopback over a log in memory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest
from echo import LONG, error, eventually, reply
from web import problem

from plexstream.edge.http.serving.server import HttpServer
from plexstream.model.errors import CALL_ERRORS, ConfigError
from plexstream.model.messages import again
from plexstream.model.messages.again import next_step
from plexstream.model.messages.control import RESULT
from plexstream.model.messages.idempotency import make_id, mark, own_mark
from plexstream.model.messages.message import TELL


def test_post_is_an_ask_and_the_result_is_the_body(node):
    answer = node.web.post("/v1/actors/account/alice/deposit", content=b'{"amount": 5}')
    assert (answer.status_code, answer.content) == (200, b'{"amount": 5}')
    assert answer.headers["content-type"] == "application/json"
    message = node.responder.seen[0]
    assert (message.target, message.handler) == ("default/default/account/alice", "deposit")
    assert (message.headers, message.idempotency_key) == ({}, "")


def test_the_full_address_the_key_and_the_request_id(node):
    headers = {"Idempotency-Key": "k-1", "X-Request-Id": "r-7"}
    answer = node.web.post("/v1/actors/acme/eu/account/alice/deposit", json={}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["x-request-id"] == "r-7"
    message = node.responder.seen[0]
    assert (message.target, message.idempotency_key) == ("acme/eu/account/alice", "k-1")


def test_an_empty_body_is_no_arguments(node):
    assert node.web.post("/v1/actors/account/alice/balance").content == b"{}"


def test_send_is_a_tell(node):
    answer = node.web.post("/v1/actors/account/alice/note/send", json={"a": 1})
    assert answer.status_code == 202
    eventually(lambda: node.responder.seen)
    message = node.responder.seen[0]
    assert (message.kind, message.handler, message.payload) == (TELL, "note", b'{"a":1}')
    id = make_id(message.target, "note", own_mark(message.id))
    assert answer.json() == {"id": id}
    assert answer.headers["location"] == f"/v1/invocations/{id}"
    assert message.idempotency_key == own_mark(message.id)
    answer = node.web.post(
        "/v1/actors/account/alice/note/send", json={"a": 1}, headers={"Idempotency-Key": "k"}
    )
    assert answer.json() == {"id": make_id(message.target, "note", mark("k", b'{ "a": 1 }'))}
    answer = node.web.post("/v1/actors/acme/eu/account/alice/note/send", json={})
    assert answer.status_code == 202
    assert node.web.post("/v1/actors/account/alice/send").content == b"{}"  # a handler named so


def test_get_is_read_only_and_its_parameters_stay_strings(node):
    answer = node.web.get("/v1/actors/account/alice/balance", params={"at": "007", "b": "true", "c": "ä&"})
    assert answer.json() == {"at": "007", "b": "true", "c": "ä&"}
    assert node.responder.seen[0].headers == {"read_only": "1"}
    problem(node.web.get("/v1/actors/account/alice/balance?a=1&a=2"), 400, "bad_query")
    problem(node.web.get("/v1/actors/account/alice/balance?a=%ff"), 400, "bad_query")
    many = "&".join(f"a{i}=" for i in range(101))
    problem(node.web.get(f"/v1/actors/account/alice/balance?{many}"), 400, "bad_query")


def test_a_read_of_a_handler_that_is_not_read_only_names_the_methods(node):
    node.responder.answer = lambda ask: error(ask, "not_read_only", "deposit changes state")
    answer = node.web.get("/v1/actors/account/alice/deposit")
    problem(answer, 405, "not_read_only")
    assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize("code", sorted(CALL_ERRORS))
def test_every_call_error_is_a_problem_with_its_status(node, code):
    node.responder.answer = lambda ask: error(ask, code, "because", {"n": 1})
    answer = node.web.post("/v1/actors/account/alice/x", headers={"X-Request-Id": "r"})
    body = problem(answer, CALL_ERRORS[code].status, code)
    assert (body["detail"], body["data"], body["request_id"]) == ("because", {"n": 1}, "r")


def test_a_deadline_is_a_504(node):
    node.responder.answer = lambda ask: None
    body = problem(node.web.post("/v1/actors/account/alice/x?timeout=0.05"), 504, "timed_out")
    assert "look whether it has before you repeat it" in body["detail"]
    answer = node.web.get("/v1/actors/account/alice/x", headers={"Prefer": "respond-async, wait=0.05"})
    assert problem(answer, 504, "timed_out")["detail"].endswith("; it only looks: ask again")
    keyed = {"Idempotency-Key": "k"}
    answer = node.web.post("/v1/actors/account/alice/x?timeout=0.05", headers=keyed)
    assert "repeat it with the same idempotency key" in problem(answer, 504, "timed_out")["detail"]
    answer = node.web.post("/v1/promises/account/alice/p/resolve?timeout=0.05", json={"value": 1})
    assert "plexstream why ADDRESS" in problem(answer, 504, "timed_out")["detail"]
    assert next_step(RESULT, "") == again.READS  # how an invocation stands


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf", "soon", "1e9"])
def test_a_timeout_that_cannot_be(node, timeout):
    problem(node.web.post(f"/v1/actors/account/alice/x?timeout={timeout}"), 400, "bad_timeout")


def test_an_unknown_parameter_of_a_post_is_refused(node):
    assert "timout" in problem(node.web.post("/v1/actors/a/b/x?timout=5"), 400, "bad_query")["detail"]


@pytest.mark.parametrize("body", [b"{", b"[1]", b"5", b"null", b'{"a": 1} x', b'{"a": "\xff"}', b"[" * 9000])
def test_a_body_that_is_no_json_object(node, body):
    problem(node.web.post("/v1/actors/account/alice/x", content=body), 400, "bad_json")
    assert not node.responder.seen


@pytest.mark.parametrize("size", [10_001, 30_000, 200_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit(node, size, chunked):
    content = b'{"a":"' + b"x" * (size - 8) + b'"}'
    pieces = [content[i : i + 4096] for i in range(0, size, 4096)]
    answer = node.web.post("/v1/actors/account/alice/x", content=iter(pieces) if chunked else content)
    problem(answer, 413, "too_large")
    assert not node.responder.seen
    content = b'{"a":"' + b"x" * 9_992 + b'"}'
    assert node.web.post("/v1/actors/account/alice/x", content=content).status_code == 200


def test_methods(node):
    path = "/v1/actors/account/alice/deposit"
    for method in ("PUT", "DELETE", "PATCH"):
        answer = node.web.request(method, path)
        problem(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    answer = node.web.get(path + "/send")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST, OPTIONS"
    answer = node.web.options(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    answer = node.web.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    answer = node.web.put("/health/live")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    answer = node.web.options("/v1/topics/x")
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert node.web.head("/health/live").status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/actors", "/v1/actors/a/b", "/v1/actors/a/b/c/d", "/health/live/"]
)
def test_unknown_routes(node, path):
    problem(node.web.post(path), 404, "not_found")


def test_health_and_status(node):
    assert node.web.get("/health/live").json() == {"live": True}
    assert node.web.get("/health/ready").json() == {"ready": True}
    assert node.web.get("/v1/status").json() == {"ready": True, "node": "n1"}
    node.status["ready"] = False
    assert problem(node.web.get("/health/ready"), 503, "not_ready")["data"]["node"] == "n1"
    assert node.web.get("/health/live").status_code == 200


def test_a_fault_of_the_server_is_a_500_that_tells_nothing(node):
    node.status["ready"] = Unreadable()
    body = problem(node.web.get("/health/ready"), 500, "internal")
    assert "secret" not in json.dumps(body)
    assert node.web.get("/health/live").status_code == 200  # on the same connection


class Unreadable:
    def __bool__(self):
        raise RuntimeError("secret")


def test_metrics(node):
    def value(name, **labels):
        return node.registry.get_sample_value(f"plexstream_{name}", labels) or 0

    names = [("ask", "ok"), ("ask", "rejected"), ("ask", "bad_address"), ("tell", "ok"), ("read", "ok")]

    def counts():
        return [value("calls_total", kind=kind, outcome=outcome) for kind, outcome in names]

    before = counts()
    seconds = value("call_seconds_count", kind="tell")
    node.web.post("/v1/actors/account/alice/x")
    node.web.post("/v1/actors/account/alice/x/send")
    node.web.get("/v1/actors/account/alice/x")
    node.web.post("/v1/actors/account/a%00/x")
    node.responder.answer = lambda ask: error(ask, "rejected")
    node.web.post("/v1/actors/account/alice/x")
    assert [after - earlier for after, earlier in zip(counts(), before, strict=True)] == [1] * 5
    assert value("call_seconds_count", kind="tell") == seconds + 1
    assert value("call_seconds_bucket", kind="tell", le="+Inf") == seconds + 1
    assert value("calls_in_flight") == 0
    answer = node.web.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'plexstream_calls_total{kind="ask",outcome="ok"}' in answer.text


def test_requests_under_way_end_well_when_the_server_stops(own_node):
    node = own_node
    arrived = threading.Event()

    def slow(ask):
        arrived.set()
        time.sleep(0.3)
        return reply(ask, b'"done"')

    node.responder.answer = slow
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(
            httpx.post(f"{node.server.url}/v1/actors/account/alice/x", json={}, timeout=LONG)
        )
    )
    thread.start()
    assert arrived.wait(LONG)
    node.stop()
    thread.join()
    assert (answers[0].status_code, answers[0].content) == (200, b'"done"')
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{node.server.url}/health/live")


def test_a_port_that_is_taken_is_named(node):
    with pytest.raises(ConfigError, match=rf"127\.0\.0\.1 port {node.server.port}.*in use.*another"):
        HttpServer(lambda: None, port=node.server.port)


def test_many_connections_at_once(node):
    failures = []

    def caller(n):
        with httpx.Client(base_url=node.server.url, timeout=LONG) as web:
            answers = [web.post(f"/v1/actors/a/{n}/x", json={"i": i, "n": n}).json() for i in range(30)]
            if answers != [{"i": i, "n": n} for i in range(30)]:
                failures.append(answers)

    threads = [threading.Thread(target=caller, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


MAIN = """
import asyncio
from plexstream.edge.http.serving.server import HttpServer

async def app(scope, receive, send):
    print("asked", flush=True)
    await asyncio.sleep(0.3)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})

server = HttpServer(app, port=0)
print(server.url, flush=True)
server.run()
print("closed in order", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_requests_well_and_lets_the_process_close_the_rest(number):
    with subprocess.Popen([sys.executable, "-c", MAIN], stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        answers = []
        thread = threading.Thread(target=lambda: answers.append(httpx.get(url, timeout=LONG)))
        thread.start()
        assert process.stdout.readline() == "asked\n"
        process.send_signal(number)
        thread.join()
        assert process.stdout.read() == "closed in order\n"
        assert process.wait(LONG) == 0
    assert answers[0].text == "ok"
