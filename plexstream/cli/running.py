"""What only a running node knows: whether it is ready, which handler its worker is in."""

from __future__ import annotations

from typing import Any

ANSWER_S = 1.0


def not_ready(url: str) -> str:
    """Why the node at a URL takes no calls; "" where it does. Raises ConfigError: it is no URL."""
    import urllib3

    from plexstream.cli.calls import check_url

    check_url(url)
    try:
        with urllib3.PoolManager(retries=False, timeout=ANSWER_S) as web:
            answer = web.request("GET", f"{url.rstrip('/')}/health/ready")
            if answer.status == 200:
                return ""
            found: Any = answer.json()
    except urllib3.exceptions.HTTPError:
        return "nobody answers there"
    except ValueError:
        return f"it answers {answer.status}"
    return str(found.get("detail", "")) if isinstance(found, dict) else f"it answers {answer.status}"


def held_up(url: str, address: str) -> list[str]:
    """What a node says of the worker that has the partition of `address`; nothing where none answers."""
    import urllib3

    from plexstream.model.address import full, partition_of

    target = full(address)
    try:
        # Not by a proxy: it is this machine's, or one's own.
        with urllib3.PoolManager(retries=False, timeout=ANSWER_S) as web:
            answer = web.request("GET", f"{url.rstrip('/')}/v1/status")
            status: dict[str, Any] = answer.json() if answer.status == 200 else {}
    except (urllib3.exceptions.HTTPError, ValueError):
        return []
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


def _short(address: str) -> str:
    from plexstream.model.address import parse

    return parse(address).short
