"""What to do next for a caller who has no answer: it depends on what was asked, and whether with a key."""

from __future__ import annotations

from collections.abc import Mapping

from plexstream.model.messages.control import RESULT

KEYED = "it may still take effect: repeat it with the same idempotency key, and it does so once"
PLAIN = (
    "it may still take effect: look whether it has before you repeat it (what has an idempotency key can be "
    "repeated at any time, and takes effect once)"
)
READS = "it only looks: ask again"
ORDERS = (
    "it may still take effect: see how the handler stands, as `plexstream why ADDRESS` says, before you "
    "repeat it"
)
RECORDS = "they may still be appended: read the end of the topic before you send them again"
STOPPED = (
    "whether the call takes effect is unknown: repeat it, here in a while or at another node, if it has an "
    "idempotency key or only reads; else look first whether it has"
)


def next_step(handler: str, key: str, headers: Mapping[str, str] | None = None) -> str:
    """For the caller of `handler`, with the idempotency key that it gave, if any."""
    if handler == RESULT or (headers is not None and "read_only" in headers):
        return READS
    if key:
        return KEYED
    return ORDERS if handler[:1] == "$" else PLAIN
