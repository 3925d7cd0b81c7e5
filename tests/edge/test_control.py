"""Control of handlers that wait, over HTTP and by both clients, with a worker behind it."""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import count
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from web import JSON, problem

sys.path.append(str(Path(__file__).parents[1] / "node"))

from installation import WAITING, Installation, wait_until

from plexstream.client import AsyncClient, Client
from plexstream.edge.calls.calls import Calls
from plexstream.edge.http import front as edge_http
from plexstream.edge.http.problems import Problem
from plexstream.edge.http.routes.system.control import PATHS, order
from plexstream.edge.http.serving.server import HttpServer
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import (
    AlreadyDone,
    BadAddress,
    BadArguments,
    Cancelled,
    Killed,
    Rejected,
    UnknownInvocation,
)
from plexstream.model.messages.address import parse
from plexstream.model.messages.awakeable import make_id
from plexstream.model.messages.control import read_invocation

_numbers = count()


class Site(Installation):
    """A worker with actors that wait, and an HTTP front before it."""

    def __enter__(self) -> Site:
        super().__enter__()
        self.calls = Calls(self.log, self.topics)
        front = edge_http.app(
            self.calls, log=self.log, topics=self.topics, status=dict, metrics_registry=CollectorRegistry(),
        )  # fmt: skip
        self.server = HttpServer(front, port=0, grace=3)
        self.server.start()
        self.web = httpx.Client(base_url=self.server.url, timeout=10, headers=JSON)
        return self

    def __exit__(self, *error: object) -> None:
        self.web.close()
        self.server.stop()
        self.calls.close()
        super().__exit__(*error)

    def start(self, handler: str, **arguments: object) -> tuple[str, object]:
        """Ask a handler that waits, of a fresh actor; returns its address and the future of its result."""
        target = f"waiter/w{next(_numbers)}"
        future = self.calls.ask(target, handler, json.dumps(arguments).encode())
        wait_until(lambda: bool(self.invocations(target)))
        return target, future

    def invocations(self, target: str) -> dict:
        found: dict = {}
        for driver in self.worker.drivers.values():
            processor = getattr(driver, "processor", None)
            if processor is not None:
                found.update(processor.invocations.live.get(f"default/default/{target}", {}))
        return found

    def id_of(self, target: str) -> str:
        """The id of the awakeable that an actor waits for."""
        address = f"default/default/{target}"
        inv = next(iter(self.invocations(target).values()))
        command = next(iter(inv.outstanding.values()))
        return make_id(f"{address}#{inv.number}.{command.number}", command.name)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Site(MemoryLog(), tmp_path_factory.mktemp("site") / "state", None, WAITING) as site:
        yield site


@pytest.fixture(params=["http", "log"])
def client(site, request):
    client = Client(site.server.url) if request.param == "http" else Client(log=site.log, topics=site.topics)
    with client:
        yield client


def test_an_awakeable_gets_what_is_posted(site):
    target, future = site.start("outside")
    answer = site.web.post(f"/v1/awakeables/{site.id_of(target)}/resolve", content=b'{"paid": [1, 2.5]}')
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"address": f"default/default/{target}", "invocation": 1}
    assert json.loads(future.result(10)) == {"paid": [1, 2.5]}


def test_an_awakeable_is_rejected(site):
    target, future = site.start("outside")
    answer = site.web.post(f"/v1/awakeables/{site.id_of(target)}/reject", json={"error": "no money"})
    assert answer.status_code == 200, answer.text
    with pytest.raises(Rejected, match="no money"):
        future.result(10)


def test_an_awakeable_keeps_its_first_value(site):
    target, _ = site.start("held")
    path = f"/v1/awakeables/{site.id_of(target)}/resolve"
    assert site.web.post(path, content=b"1").status_code == 200
    assert "keeps it" in problem(site.web.post(path, content=b"2"), 409, "already_done")["detail"]
    assert site.ask(target, "seen") == 1


@pytest.mark.parametrize(
    "id",
    [
        "awk_nonsense", "x", "awk_", make_id("default/default/waiter/nobody#1.0", "0" * 16),
        make_id("no address#1.0", "0" * 16), make_id("default/default/waiter/a#9.x", "0" * 16),
        make_id("default/default/waiter/a#", "0" * 16), f"awk_{'A' * 1900}.{'0' * 16}",
    ],
)  # fmt: skip
def test_an_awakeable_that_is_none(site, id):
    problem(site.web.post(f"/v1/awakeables/{id}/resolve", content=b"1"), 404, "unknown_invocation")
    with pytest.raises(UnknownInvocation):
        site.client.resolve_awakeable(id, 1)


def test_the_secret_must_be_right(site):
    target, _ = site.start("outside")
    wrong = make_id(f"default/default/{target}#1.0", "0" * 16)
    problem(site.web.post(f"/v1/awakeables/{wrong}/resolve", content=b"1"), 404, "unknown_invocation")
    assert site.invocations(target)


@pytest.mark.parametrize("body", [b"{", b"NaN", b"1e999", b'1,"id":"x"', b"\xff", b"[" * 100_000])
def test_a_value_that_is_no_json(site, body):
    target, _ = site.start("outside")
    problem(site.web.post(f"/v1/awakeables/{site.id_of(target)}/resolve", content=body), 400, "bad_json")
    assert site.invocations(target)


@pytest.mark.parametrize("body", [b'{"value":NaN}', b'{"value":1e999}', b"[" * 100_000, b"\xff", b"7"])
def test_no_json_straight_from_the_log_is_refused(site, body):
    with pytest.raises(BadArguments):
        site.calls.ask("waiter/x", "$promise", body.replace(b"{", b'{"name":"n",', 1)).result(10)


@pytest.mark.parametrize("body", [b"[]", b'{"why":"x"}', b'{"error":1}', b"no"])
def test_a_rejection_says_error_and_nothing_else(site, body):
    target, _ = site.start("outside")
    problem(site.web.post(f"/v1/awakeables/{site.id_of(target)}/reject", content=body), 400, "bad_json")


@pytest.mark.parametrize("body", [b"[]", b'{"from":-1}', b'{"from":"1"}', b'{"at":1}', b"no", b"[" * 9_000])
def test_a_restart_says_from_which_step(site, body):
    target, _ = site.start("outside")
    path = f"/v1/invocations/{target}/restart"
    problem(site.web.post(path, content=body), 400, "bad_json")
    assert site.web.post(path, content=b'{"from":0}').status_code == 200
    assert site.web.post(path).status_code == 200


@pytest.mark.parametrize("step", [1, 2, 9_999])
def test_a_restart_from_a_step_that_is_not_there_says_how_many_there_are(site, client, step):
    target, _ = site.start("outside")
    found = site.web.post(f"/v1/invocations/{target}/restart", json={"from": step})
    detail = f"has no step {step}: it has 1 step: restart it from 0"
    assert detail in problem(found, 422, "bad_arguments")["detail"]
    with pytest.raises(BadArguments, match=detail):
        client.restart(target, step)
    for none in (-1, 1.5, "1", None, True):
        with pytest.raises(BadArguments, match="the number of a step, from 0"):
            client.restart(target, none)


def test_a_promise_over_http(site):
    target, future = site.start("promised", name="a b")
    path = f"/v1/promises/{target}/a%20b"
    assert site.web.post(f"{path}/resolve", content=b'"yes"').json() == {"name": "a b"}
    assert json.loads(future.result(10)) == "yes"
    problem(site.web.post(f"{path}/reject"), 409, "already_done")
    assert site.web.post(f"/v1/promises/default/default/{target}/other/reject").status_code == 200
    with pytest.raises(Rejected, match="rejected from outside"):
        site.ask(target, "promised", name="other")


def test_by_clients(site, client):
    target, future = site.start("outside")
    client.resolve_awakeable(site.id_of(target), {"a": 1})
    assert json.loads(future.result(10)) == {"a": 1}
    target, future = site.start("outside")
    client.reject_awakeable(site.id_of(target), "no")
    with pytest.raises(Rejected, match="no"):
        future.result(10)
    target, future = site.start("promised", name="p")
    client.resolve_promise(target, "p", [1])
    assert json.loads(future.result(10)) == [1]
    with pytest.raises(AlreadyDone):
        client.resolve_promise(target, "p", [2])
    client.reject_promise(target, "q", "never")
    with pytest.raises(Rejected, match="never"):
        site.ask(target, "promised", name="q")
    for name in ("a/b", "a b%2F?#", "\u202e", "ü"):
        client.resolve_promise(target, name, name)
        assert site.ask(target, "promised", name=name) == name
    target, future = site.start("nap")
    assert client.pause(target) == 1
    assert client.resume(f"{target}#1") == 1
    assert client.cancel(target) == 1
    with pytest.raises(Cancelled):
        future.result(10)
    target, future = site.start("nap")
    assert client.kill(f"{target}#1") == 1
    with pytest.raises(Killed):
        future.result(10)
    with pytest.raises(UnknownInvocation, match="those that do: none"):
        client.kill(f"{target}#1")


def test_clients_restart_from_a_step(site, client):
    target, future = site.start("nap", seconds=0.5)
    assert client.restart(f"{target}#1", 0) == 1
    assert json.loads(future.result(10)) == "slept"


@pytest.mark.parametrize("handler", ["$complete", "$end", "$cancel", "$exit", "$start", "$nothing"])
def test_what_only_the_system_says_cannot_be_called(client, handler):
    for call in (client.ask, client.tell):
        with pytest.raises(BadArguments, match="/v1/awakeables, /v1/promises"):
            call("waiter/x", handler)


@pytest.mark.parametrize("over", ["http", "log"])
def test_by_async_clients(site, over):
    napping, napped = site.start("nap")
    outside, result = site.start("outside")
    promised, promise = site.start("promised", name="p")

    async def run() -> None:
        where = {"url": site.server.url} if over == "http" else {"log": site.log, "topics": site.topics}
        async with AsyncClient(**where) as client:
            assert await client.pause(napping) == 1
            assert await client.resume(napping) == 1
            assert await client.cancel(napping) == 1
            await client.resolve_awakeable(site.id_of(outside), 5)
            await client.reject_promise(promised, "p", "no")
            with pytest.raises(UnknownInvocation):
                await client.kill(napping)
            with pytest.raises(UnknownInvocation):
                await client.reject_awakeable("awk_x", "no")
            with pytest.raises(AlreadyDone):
                await client.resolve_promise(promised, "p")

    asyncio.run(run())
    assert json.loads(result.result(10)) == 5
    with pytest.raises(Cancelled):
        napped.result(10)
    with pytest.raises(Rejected):
        promise.result(10)


def test_actions_over_http(site):
    target, future = site.start("nap")
    for path, body in (
        (f"{target}/1/pause", {}), (f"{target}/resume", {}), (f"default/default/{target}/pause", {}),
        (f"default/default/{target}/1/resume", {}), (f"{target}/kill", {}),
    ):  # fmt: skip
        answer = site.web.post(f"/v1/invocations/{path}", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["invocation"] == 1
    with pytest.raises(Killed):
        future.result(10)
    for path in (f"{target}/1/cancel", f"{target}/cancel", "waiter/never/7/resume"):
        problem(site.web.post(f"/v1/invocations/{path}"), 404, "unknown_invocation")


def test_a_paused_handler_does_not_go_on(site):
    target, future = site.start("outside")
    id = site.id_of(target)
    site.client.pause(target)
    site.client.resolve_awakeable(id, "now")
    assert not future.done()
    assert site.invocations(target)
    site.client.resume(target)
    assert json.loads(future.result(10)) == "now"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("awakeables/x", 404), ("awakeables/x/complete", 404), ("awakeables/x/y/resolve", 404),
        ("promises/waiter/a/resolve", 404), ("promises/waiter/a/n/complete", 404),
        ("promises/waiter//n/resolve", 400), ("promises/a/b/waiter/x/n/q/resolve", 404),
        ("invocations/waiter/a/1/stop", 404), ("invocations/waiter/a/one/kill", 400),
        ("invocations/waiter/a/1234567890123456789/kill", 400), ("invocations/waiter/a%2Fb/1/kill", 400),
        ("invocations/kill", 404), ("invocations/waiter/a/%ff/kill", 400),
    ],
)  # fmt: skip
def test_paths_that_are_none(site, path, status):
    answer = site.web.post(f"/v1/{path}")
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_only_post(site):
    answer = site.web.get("/v1/invocations/waiter/a/1/kill")
    assert problem(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]


@given(st.sampled_from(list(PATHS)), st.binary(max_size=80), st.binary(max_size=40))
def test_any_bytes_are_an_order_or_a_problem(what, rest, body):
    try:
        found = order(f"/v1/{what}/".encode() + rest, body)
    except (Problem, UnknownInvocation, BadAddress):
        return
    assert isinstance(json.loads(found.payload), dict)
    assert found.handler.startswith("$")


@given(st.text(max_size=30))
def test_any_text_is_an_invocation_or_none(text):
    try:
        address, number = read_invocation(text)
    except (BadAddress, BadArguments):
        return
    assert parse(address)
    assert number is None or text.rpartition("#")[2].lstrip("0") in (str(number), "")


def test_an_id_that_ends_like_a_number():
    assert read_invocation("order/17") == ("default/default/order/17", None)
    assert read_invocation("order/17#3") == ("default/default/order/17", 3)
    assert read_invocation("order/17#") == ("default/default/order/17", None)
    assert read_invocation("order/17#3#") == ("default/default/order/17#3", None)
    assert read_invocation("order/#a") == ("default/default/order/#a", None)
    with pytest.raises(BadArguments, match="18 digits"):
        read_invocation("order/17#" + "9" * 19)
