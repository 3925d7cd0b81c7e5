"""Waiting for what a cluster comes to by itself."""

from __future__ import annotations

import time
from collections.abc import Callable

from plexstream.testing.errors import KafkaUnavailableError

POLL_S = 0.05


def wait(what: str, missing: Callable[[], str], timeout: float) -> None:
    """Wait until nothing is missing any more, for `timeout` seconds. Raises KafkaUnavailableError."""
    end = time.monotonic() + timeout
    while lacks := missing():
        if time.monotonic() > end:
            raise KafkaUnavailableError(f"{what}: not within {timeout:g} s: {lacks}")
        time.sleep(POLL_S)
