"""What only a running node knows: whether it is ready, which handler its worker is in."""

from __future__ import annotations

from typing import Any

ANSWER_S = 1.0


def not_ready(url: str) -> str:
    """Why the node at a URL takes no calls; "" where it does. Raises ConfigError: it is no URL."""
    from plexstream.cli.calls.calls import check_url

    check_url(url)
    status, found = _get(url, "/health/ready")
    if status == 0:
        return "nobody answers there"
    if status == 200:
        return ""
    return str(found.get("detail", "")) if isinstance(found, dict) else f"it answers {status}"


def held_up(url: str, address: str) -> list[str]:
    """What a node says of the worker that has the partition of `address`; nothing where none answers."""
    from plexstream.model.messages.address import full, partition_of

    target = full(address)
    code, found = _get(url, "/v1/status")
    status: dict[str, Any] = found if code == 200 and isinstance(found, dict) else {}
    rows = status.get("partitions", ())
    count = status.get("partition_count", 0)
    partition = partition_of(target, count) if count else -1
    workers = {row["worker"] for row in rows if row["partition"] == partition}
    return [
        f"{_short(row['address'])}: its handler {row['handler']} has been running for {row['seconds']:.0f} s "
        f"in worker {row['worker']}, and holds up partition {partition} with all others there"
        for row in status.get("running", ())
        if row["worker"] in workers or row["address"] == target
    ]


def _get(url: str, path: str) -> tuple[int, Any]:
    """What a node answers: its status, 0 where there is no answer, and the JSON, None where it is none.

    Not by a proxy: the node is this machine's, or one's own.
    """
    import msgspec

    from plexstream.client.http.over_http import Answer, Attempt
    from plexstream.client.http.sync import Http

    http = Http(url.rstrip("/"))
    try:
        answer = http.send(Attempt(path, {}, b"", ANSWER_S, "GET"))
    finally:
        http.close()
    if not isinstance(answer, Answer):
        return 0, None
    try:
        return answer.status, msgspec.json.decode(answer.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return answer.status, None


def _short(address: str) -> str:
    from plexstream.model.messages.address import parse

    return parse(address).short
