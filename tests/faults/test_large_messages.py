"""Payloads at and above the limit, by every way in and out: an error to the caller, nothing is stuck."""

from __future__ import annotations

import pytest
from nodes import Start
from serving import PARTITIONS, Served

from plexstream import Client
from plexstream.model.errors import TooLarge

LIMIT = 1 << 20
SIZES = [LIMIT - 20_000, LIMIT - 300, LIMIT - 90, LIMIT - 2, LIMIT, 3 * LIMIT]


@pytest.fixture
def node(serve: Start) -> Served:
    return serve("dev", "--partitions", str(PARTITIONS)).ready(PARTITIONS)


def serves(node: Served) -> None:
    for target in ("trouble/receiver", *(f"trouble/{number}" for number in range(12))):
        answer = node.ask(target, "slow", seconds=0)
        assert answer.status_code == 200, f"{target}: {answer.text}"


@pytest.mark.parametrize("what", ["tell", "emit", "result", "many"])
def test_what_handlers_give_out(node: Served, what: str) -> None:
    for size in SIZES:
        answer = node.ask("trouble/0", "large", size=size, what=what)
        assert answer.status_code in (200, 413), answer.text[:500]
        if answer.status_code == 413:
            assert answer.json()["code"] == "too_large"
        serves(node)
    assert "lost" not in node.log()
    assert "outputs wait" not in node.log()


def test_what_callers_send(node: Served) -> None:
    with Client(node.url) as client:
        for size in SIZES:
            try:
                client.ask("trouble/0", "receive", text="x" * size, timeout=10)
            except TooLarge:
                assert size > LIMIT - 20  # the rest of the arguments
            else:
                assert size < LIMIT
            try:
                # It ends in `deadletter`, as large as it is.
                client.tell("nobody/0", "receive", text="x" * size, timeout=10)
            except TooLarge:
                assert size > LIMIT - 20
            serves(node)
    assert "outputs wait" not in node.log()
