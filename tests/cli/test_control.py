from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import httpx
import pytest

LONG = 60.0  # seconds: a machine under load, never a measure of speed
WAITING = Path(__file__).parents[1] / "node" / "waiting.py"


@pytest.fixture
def node(serving):
    return serving("dev", str(WAITING))


def test_control(cli, node):
    found: dict[str, httpx.Response] = {}

    def ask(target: str, handler: str, **arguments: object) -> threading.Thread:
        def run() -> None:
            found[target] = node.http.post(f"/v1/actors/{target}/{handler}", json=arguments)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def until_it_waits(*command: str) -> str:
        end = time.monotonic() + LONG
        while (result := cli(*command, "--url", node.url, code=None)).exit_code != 0:
            assert time.monotonic() < end, result.output
        return result.stdout

    asked = [ask("waiter/a", "nap"), ask("waiter/b", "nap"), ask("waiter/c", "promised", name="x")]
    assert until_it_waits("pause", "waiter/a") == "waiter/a#1 is paused\n"
    assert cli("resume", "waiter/a#1", "--url", node.url).stdout == "waiter/a#1 goes on\n"
    again = cli("restart", "waiter/a#1", "--from", "0", "--url", node.url)
    assert again.stdout == "waiter/a#1 runs again from step 0\n"
    assert cli("cancel", "waiter/a", "--url", node.url).stdout == "waiter/a#1 is cancelled\n"
    assert until_it_waits("kill", "waiter/b") == "waiter/b#1 is killed\n"
    cli("promise", "resolve", "waiter/c", "x", '{"a": 1}', "--url", node.url)
    asked += [ask("waiter/d", "outside"), ask("waiter/e", "promised", name="y")]
    ids = ""
    while not ids:
        answer = node.http.get("/v1/topics/plex.out.ids")
        ids = answer.text.strip() if answer.status_code == 200 else ""
    id = json.loads(ids)["value"]["id"]
    cli("awakeable", "resolve", id, "plain text", "--url", node.url)
    cli("promise", "reject", "waiter/e", "y", "never", "--url", node.url)
    for thread in asked:
        thread.join(LONG)
    assert [found[f"waiter/{n}"].json().get("code") for n in "abe"] == ["cancelled", "killed", "rejected"]
    assert found["waiter/c"].json() == {"a": 1}
    assert found["waiter/d"].json() == "plain text"
    assert "unknown_invocation" in cli("awakeable", "reject", id, "no", "--url", node.url, code=1).stderr
    assert "unknown_invocation" in cli("kill", "waiter/a#1", "--url", node.url, code=1).stderr
