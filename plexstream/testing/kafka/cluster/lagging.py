"""What brokers say lags behind."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from plexstream.testing.kafka.speaking.requests import Target, cluster_state


def lagging(brokers: Mapping[int, Target]) -> str:
    """What is not in sync, as every broker sees it; "" if all is.

    Args:
        brokers: where each of them is asked, by number.
    """
    for number, target in brokers.items():
        try:
            state = cluster_state(target)
        except (OSError, struct.error) as error:
            return f"broker {number} does not answer ({error})"
        if len(state.brokers) < len(brokers):
            return f"broker {number} knows of {sorted(state.brokers)} alone"
        late = [
            f"{topic}[{partition}]: {found}"
            for topic, partitions in state.topics.items()
            for partition, found in partitions.items()
            if found.leader < 0 or set(found.in_sync) != set(found.replicas)
        ]
        if late:
            more = f", and {len(late) - 1} more" if late[1:] else ""
            return f"broker {number} says {late[0]}{more}"
    return ""


def last_words(logs: Mapping[int, str], lines: int = 20) -> Iterator[str]:
    """The last lines of each broker's log, each with the broker's number.

    Args:
        logs: by number.
        lines: how many of each.
    """
    for number, log in logs.items():
        yield from (f"broker {number}: {line}" for line in log.splitlines()[-lines:])
