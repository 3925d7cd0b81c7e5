"""Tokens: numbers that rise from one holder to the next."""

from __future__ import annotations

from plexstream.sdk.host.host import host


def next_token(newest: int) -> int:
    """The microseconds since the epoch, or one more than the `newest`, where that is greater.

    So it rises also where the actor has begun anew and knows of none, as long as clocks do not go back.
    (Kleppmann, "How to do distributed locking", 2016, on what such tokens are for.)
    """
    return max(newest + 1, host.now() * 1000)
