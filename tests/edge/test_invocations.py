"""What a 202 names: how it stands, its result or error, and who waits for it; by HTTP and by the clients."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import httpx
import pytest
from echo import eventually
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from web import problem

sys.path.append(str(Path(__file__).parents[1] / "node"))

from installation import Installation

from plexstream.client import AsyncClient, Client
from plexstream.edge.calls.calls import Calls
from plexstream.edge.http import front as edge_http
from plexstream.edge.http.routes.system import invocations
from plexstream.edge.http.serving.server import HttpServer
from plexstream.log.embedded.log import EmbeddedLog
from plexstream.log.kafka.log import KafkaLog
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import (
    Cancelled,
    Failed,
    IdempotencyConflict,
    Killed,
    Rejected,
    TimedOut,
    UnknownInvocation,
)
from plexstream.model.messages.address import full
from plexstream.model.messages.idempotency import InvocationId, make_id, mark, read_id

TILLS = Path(__file__).with_name("tills.py")
_numbers = count()


class Site(Installation):
    """A worker, and two HTTP fronts before it."""

    def __enter__(self) -> Site:
        super().__enter__()
        self.calls = [Calls(self.log, self.topics) for _ in range(2)]
        self.servers = [self._front(calls) for calls in self.calls]
        self.webs = [httpx.Client(base_url=server.url, timeout=30) for server in self.servers]
        self.web = self.webs[0]
        return self

    def _front(self, calls: Calls) -> HttpServer:
        app = edge_http.app(
            calls, log=self.log, topics=self.topics, status=dict, metrics_registry=CollectorRegistry()
        )
        server = HttpServer(app, port=0, grace=3)
        server.start()
        return server

    def __exit__(self, *error: object) -> None:
        for closed in self.webs:
            closed.close()
        for server in self.servers:
            server.stop()
        for calls in self.calls:
            calls.close()
        super().__exit__(*error)

    def send(self, target: str, handler: str, key: str = "", **arguments: object) -> str:
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.web.post(f"/v1/actors/{target}/{handler}/send", json=arguments, headers=headers)
        assert answer.status_code == 202, answer.text
        id = answer.json()["id"]
        assert answer.headers["location"] == f"/v1/invocations/{id}"
        return str(id)

    def ask_http(self, target: str, handler: str, key: str = "", **arguments: object) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return self.web.post(f"/v1/actors/{target}/{handler}", json=arguments, headers=headers)

    def look(self, id: str, wait: float = 20, front: int = 0) -> dict:
        answer = self.webs[front].get(f"/v1/invocations/{id}", params={"wait": wait} if wait else {})
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer.json()


@pytest.fixture(scope="module", params=["memory", "embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def site(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    prefix = "test."
    if request.param == "memory":
        log = MemoryLog()
    elif request.param == "embedded":
        log = EmbeddedLog(folder / "log")
    else:
        log = KafkaLog(request.getfixturevalue("kafka"))
        prefix = f"invocations-{time.time_ns()}."
    with Site(log, folder / "state", None, TILLS, prefix) as site:
        yield site
    log.close()


@pytest.fixture(params=["http", "log"])
def where(site, request):
    if request.param == "http":
        return {"url": site.servers[1].url}
    return {"log": site.log, "topics": site.topics}


def till() -> str:
    return f"till/t{next(_numbers)}"


# Over HTTP


@pytest.mark.parametrize("key", ["", "k 1"])
def test_the_result_of_what_was_sent(site, key):
    target = till()
    id = site.send(target, "add", key, x=5)
    done = {"id": id, "actor": full(target), "status": "done", "result": 5}
    assert site.look(id) == site.look(id, wait=0) == site.look(id, front=1) == done


@pytest.mark.parametrize(("handler", "code", "data"), [
    ("refuse", "rejected", {"n": 0}), ("break", "failed", None), ("nothing", "unknown_handler", None),
])  # fmt: skip
def test_the_error_of_what_was_sent(site, handler, code, data):
    target = till()
    found = site.look(site.send(target, handler))
    assert found["status"] == "failed"
    assert found["error"]["code"] == code
    assert found["error"]["detail"]
    assert found["error"].get("data") == data
    assert "result" not in found


def test_an_unknown_type_is_an_error_too(site):
    found = site.look(site.send("nobody/1", "add"))
    assert (found["status"], found["error"]["code"]) == ("failed", "unknown_type")


def test_a_repetition_names_the_same_invocation(site):
    target = till()
    ids = {site.send(target, "add", "k", x=5) for _ in range(3)}
    assert len(ids) == 1
    assert site.look(*ids)["result"] == 5
    assert site.ask_http(target, "add", "k", x=5).json() == 5
    assert site.ask_http(target, "total").json() == 5


def test_other_arguments_are_a_conflict(site):
    target = till()
    first = site.send(target, "add", "k", x=5)
    body = problem(site.ask_http(target, "add", "k", x=6), 422, "idempotency_conflict")
    assert target in body["detail"]
    other = site.send(target, "add", "k", x=7)
    assert other != first
    found = site.look(other)
    assert (found["status"], found["error"]["code"]) == ("failed", "idempotency_conflict")
    assert site.look(first)["result"] == 5
    assert site.ask_http(target, "take", "k", x=1).json() == 4  # of another handler


def test_many_at_once_with_one_key_and_two_sets_of_arguments(site):
    target = till()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: site.ask_http(target, "add", "k", x=1 + n % 2), range(32)))
    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(good) == 16
    assert len(set(good)) == 1
    refused = {answer.json()["code"] for answer in answers if answer.status_code != 200}
    assert refused == {"idempotency_conflict"}
    assert site.ask_http(target, "total").json() == good[0]


@pytest.mark.parametrize("handler", ["later", "break", "wait"])
def test_each_id_that_was_given_is_found_though_an_ask_with_its_key_has_failed(site, handler):
    target = till()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(site.ask_http, target, handler, "k")
        if handler == "break":
            assert asked.result(20).status_code == 500
        else:
            wanted = make_id(full(target), handler, mark("k", b"{}"))
            eventually(lambda: site.web.get(f"/v1/invocations/{wanted}").status_code == 200)
        id = site.send(target, handler, "k")
        if handler == "later":
            assert site.look(id, wait=0)["status"] == "waiting"
            site.ask_http(target, "leave")
            assert asked.result(20).json()["code"] == "stopped"
        elif handler == "wait":
            eventually(lambda: len(live(site, target)) == 2)
            site.client.kill(f"{target}#1")
            assert asked.result(20).json()["code"] == "killed"
            site.client.resolve_promise(target, "go", 1)  # the tell is handled itself
    found = site.look(id)
    code = {"later": "stopped", "break": "failed"}.get(handler)
    assert found["status"] == ("failed" if code else "done")
    assert found.get("error", {}).get("code") == code


def test_an_ask_that_failed_may_be_tried_again_and_who_looks_hears_why_nothing_is_kept(site):
    target = till()
    for _ in range(2):
        assert site.ask_http(target, "break", "k").status_code == 500
    id = make_id(full(target), "break", mark("k", b"{}"))
    found = site.web.get(f"/v1/invocations/{id}")
    assert "so that it may be tried again" in problem(found, 404, "unknown_invocation")["detail"]


def test_a_long_poll_ends_when_it_does(site):
    target = till()
    id = site.send(target, "wait")
    found = site.look(id, wait=0)
    assert (found["status"], found["handler"]) == ("waiting", "wait")
    with ThreadPoolExecutor(4) as pool:
        polls = [pool.submit(site.look, id, 25, front % 2) for front in range(4)]
        eventually(lambda: awaited(site, target) == 4)
        site.client.resolve_promise(target, "go", {"a": 1})
        for poll in polls:
            assert poll.result(20) == {"id": id, "actor": full(target), "status": "done", "result": {"a": 1}}


def awaited(site, target: str) -> int:
    return sum(
        driver.processor.outcomes.awaited
        for driver in site.worker.drivers.values() if getattr(driver, "processor", None) is not None
    )  # fmt: skip


def test_a_long_poll_says_how_it_stands_when_its_time_is_over(site):
    id = site.send(till(), "wait")
    began = time.monotonic()
    assert site.look(id, wait=0.3)["status"] == "waiting"
    assert time.monotonic() - began >= 0.3
    answer = site.web.get(f"/v1/invocations/{id}", headers={"Prefer": "wait=0.2"})
    assert answer.json()["status"] == "waiting"


def test_who_waited_at_an_owner_that_is_gone_is_told_by_the_next(site, monkeypatch):
    monkeypatch.setattr(invocations, "_SLICE", 0.3)
    target = till()
    id = site.send(target, "wait")
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(site.look, id, 25)
        eventually(lambda: awaited(site, target))
        for driver in site.worker.drivers.values():  # as after a crash: nobody knows of it any more
            driver.processor.outcomes._waiting.clear()
            driver.processor.outcomes._until.clear()
            driver.processor.outcomes.awaited = 0
        site.client.resolve_promise(target, "go", 7)
        assert poll.result(20)["result"] == 7


def test_one_that_is_queued_and_one_that_is_tried_again(site):
    target = till()
    site.send(target, "wait")
    behind = site.send(target, "add", x=1)
    assert site.look(behind, wait=0)["status"] == "queued"
    failing = site.send(f"slow/s{next(_numbers)}", "break")
    found = site.look(failing, wait=0)
    assert found["status"] == "retrying"
    assert (found["attempts"]["failed"], found["attempts"]["of"]) == (1, 5)
    assert found["attempts"]["error"]["code"] == "failed"


@pytest.mark.parametrize(("end", "status"), [("cancel", "cancelled"), ("kill", "killed")])
def test_one_that_is_ended_from_outside(site, end, status):
    target = till()
    id = site.send(target, "wait")
    getattr(site.client, end)(target)
    found = site.look(id)
    assert (found["status"], found["error"]["code"]) == (status, status)


def test_an_ask_with_the_key_of_a_tell_that_is_under_way(site):
    target = till()
    site.send(target, "wait", "k")
    with ThreadPoolExecutor(2) as pool:
        asks = [pool.submit(site.ask_http, target, "wait", "k") for _ in range(2)]
        eventually(lambda: len(live(site, target)) == 3)
        queued = pool.submit(site.ask_http, target, "wait", "other", name="never")
        site.client.resolve_promise(target, "go", 7)
        assert [ask.result(20).json() for ask in asks] == [7, 7]
        site.client.resolve_promise(target, "never", 8)
        assert queued.result(20).json() == 8


def live(site, target: str) -> dict:
    found: dict = {}
    for driver in site.worker.drivers.values():
        found.update(driver.processor.invocations.live.get(full(target), {}))
    return found


@pytest.mark.parametrize("id", [
    make_id(full("till/never"), "add", mark("k", b"{}")),
    make_id("acme/eu/nobody/1", "add", mark("k", b"{}")),
    "inv_", "inv_x", "awk_ZGVmYXVsdA.0123456789abcdef", "x", "%2e%2e", "inv_%00", "a%20b", "%ff", "i" * 3_000,
])  # fmt: skip
def test_an_id_of_nothing(site, id):
    problem(site.web.get(f"/v1/invocations/{id}"), 404, "unknown_invocation")
    problem(site.web.get(f"/v1/invocations/{id}?wait=20"), 404, "unknown_invocation")


def test_an_id_that_was_tampered_with(site):
    target = till()
    id = site.send(target, "add", "k")
    site.look(id)
    found = read_id(id)
    for other in (found._replace(address=full(till())), found._replace(name="A" * 22)):
        problem(site.web.get(f"/v1/invocations/{made(other)}"), 404, "unknown_invocation")
    assert site.look(id)["result"] == 1


def made(found: InvocationId) -> str:
    whose = base64.urlsafe_b64encode(found.address.encode()).decode().rstrip("=")
    return f"inv_{whose}.{found.name}.{found.digest}"


@pytest.mark.parametrize(("query", "code"), [
    ("wait=-1", "bad_timeout"), ("wait=long", "bad_timeout"), ("wait=nan", "bad_timeout"),
    ("wait=1e9", "bad_timeout"), ("timeout=5", "bad_query"), ("x=", "bad_query"),
])  # fmt: skip
def test_queries_that_cannot_be(site, query, code):
    id = make_id(full("till/x"), "add", mark("k", b"{}"))
    problem(site.web.get(f"/v1/invocations/{id}?{query}"), 400, code)


def test_methods(site):
    answer = site.web.put("/v1/invocations/inv_x", json={})
    assert problem(answer, 405, "method_not_allowed")
    problem(site.web.post("/v1/invocations/inv_x", json={}), 404, "not_found")
    assert site.web.options("/v1/invocations/inv_x").headers["allow"] == "GET, HEAD, OPTIONS"


def test_a_client_that_goes_away_is_not_waited_for(site):
    id = site.send(till(), "wait")
    calls = site.calls[0]
    before = calls.in_flight
    with socket.create_connection(("127.0.0.1", site.servers[0].port)) as connection:
        connection.sendall(f"GET /v1/invocations/{id}?wait=3600 HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        eventually(lambda: calls.in_flight > before)
    eventually(lambda: calls.in_flight == before)
    with socket.create_connection(("127.0.0.1", site.servers[0].port)) as connection:  # it still serves
        connection.sendall(f"GET /v1/invocations/{id} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert json.loads(response.read())["status"] == "waiting"


def test_a_key_counts_for_no_read(site):
    target = till()
    site.ask_http(target, "total", "k")
    site.ask_http(target, "add", "a")
    answer = site.web.get(f"/v1/actors/{target}/total", headers={"Idempotency-Key": "k"})
    assert answer.json() == 1


@given(st.text(max_size=60))
def test_any_text_is_an_id_or_none(text):
    for id in (text, f"inv_{text}"):
        try:
            found = read_id(id)
        except UnknownInvocation:
            continue
        assert full(found.address) == found.address


def test_actions_by_id(site):
    target = till()
    id, behind = site.send(target, "wait"), site.send(target, "wait", name="other")
    for what in ("pause", "resume"):
        answer = site.web.post(f"/v1/invocations/{id}/{what}", json={})
        assert answer.json() == {"address": full(target), "invocation": 1}
    assert site.web.post(f"/v1/invocations/{id}/kill", json={}).status_code == 200
    assert site.look(id)["status"] == "killed"
    assert site.client.cancel(behind) == 2
    queued = site.send(target, "wait", name="third"), site.send(target, "add")
    assert site.client.cancel(queued[1]) == 0
    assert site.look(queued[1])["status"] == "cancelled"
    assert site.look(queued[0], wait=0)["status"] == "waiting"
    assert site.look(behind)["status"] == "cancelled"
    for what in ("cancel", "kill"):
        problem(site.web.post(f"/v1/invocations/{id}/{what}", json={}), 404, "unknown_invocation")
        problem(site.web.post(f"/v1/invocations/inv_x/{what}", json={}), 404, "unknown_invocation")


# By the clients


def test_a_tell_gives_an_invocation(where):
    with Client(**where) as client, Client(**where) as other:
        target = till()
        begun = client.tell(target, "add", x=5)
        assert begun.result(20) == begun.result() == 5
        assert begun.status() == {"id": begun.id, "actor": full(target), "status": "done", "result": 5}
        assert other.invocation(begun.id).result(20) == 5
        with pytest.raises(Rejected) as refused:
            client.tell(target, "refuse").result(20)
        assert refused.value.data == {"n": 5}
        with pytest.raises(Failed, match="on purpose"):
            client.tell(target, "break").result(20)
        client.tell(target, "add", x=1, idempotency_key="k").result(20)
        assert client.ask(target, "add", x=1, idempotency_key="k") == 6
        with pytest.raises(IdempotencyConflict, match=target):
            client.ask(target, "add", x=2, idempotency_key="k")
        with pytest.raises(IdempotencyConflict):
            client.tell(target, "add", x=2, idempotency_key="k").result(20)
        assert client.tell(target, "add", x=1, idempotency_key="k").result(20) == 6


def test_waiting_for_a_result(site, where):
    with Client(**where) as client:
        target = till()
        begun = client.tell(target, "wait")
        with pytest.raises(TimedOut, match=r"is waiting, .* it goes on"):
            begun.result(0.1)
        threading.Timer(0.2, lambda: site.client.resolve_promise(target, "go", "now")).start()
        assert begun.result(20) == "now"


@pytest.mark.parametrize(("end", "error"), [("cancel", Cancelled), ("kill", Killed)])
def test_the_end_from_outside_is_raised(where, end, error):
    with Client(**where) as client:
        target = till()
        begun = client.tell(target, "wait")
        assert begun.status()["status"] == "waiting"
        getattr(client, end)(target)
        with pytest.raises(error):
            begun.result(20)


def test_ids_of_nothing(where):
    with Client(**where) as client:
        with pytest.raises(UnknownInvocation):
            client.invocation("inv_x")
        never = client.invocation(make_id(full("till/never"), "add", mark("k", b"{}")))
        for ask in (never.result, never.status):
            with pytest.raises(UnknownInvocation):
                ask()


def test_by_async_clients(site, where):
    async def run() -> None:
        async with AsyncClient(**where) as client:
            target = till()
            begun = await client.tell(target, "add", x=5)
            assert await begun.result(20) == 5
            assert (await client.invocation(begun.id).status())["result"] == 5
            waiting = await client.tell(target, "wait")
            with pytest.raises(TimedOut):
                await waiting.result(0.1)
            task = asyncio.ensure_future(waiting.result())
            await client.resolve_promise(target, "go", "now")
            assert await task == "now"
            with pytest.raises(Rejected):
                await (await client.tell(target, "refuse")).result(20)
            with pytest.raises(UnknownInvocation):
                client.invocation("inv_x")

    asyncio.run(run())
