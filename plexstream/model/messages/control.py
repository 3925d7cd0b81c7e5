"""Messages to the system: what completes a wait, and what is done to a handler that waits.

Each is an ordinary message to the actor, with one of these as its handler.
"""

from __future__ import annotations

from plexstream.model.errors import BadArguments
from plexstream.model.messages import address

COMPLETE = "$complete"
"""An awakeable gets its value: ``{"id": …, "value": …}`` or ``{"id": …, "error": text}``."""
PROMISE = "$promise"
"""A promise of the actor does: ``{"name": …, "value": …}`` or with ``"error"``."""
RESULT = "$result"
"""What has become of an invocation: ``{"name": …, "digest": …}``, by its id; with ``"wait"`` once it has
ended, if that is within so many milliseconds."""
ACTIONS = {
    "cancel": "$cancel", "kill": "$end", "pause": "$pause", "resume": "$resume", "restart": "$restart",
}  # fmt: skip
"""What can be done to an invocation: ``{"invocation": number}``, ``{"name": …, "digest": …}`` by its id, or
``{}`` for the one that waits; a restart has ``"from"`` besides, the number of a step."""


def refuse_system(handler: str) -> None:
    """Refuse a call of what only the system says.

    Raises:
        BadArguments: `handler` begins with ``$``.
    """
    if handler[:1] == "$":
        raise BadArguments(
            f"handler {handler[:40]!r}: names with $ are the system's. What waits is controlled below "
            "/v1/awakeables, /v1/promises and /v1/invocations, by Client (resolve_awakeable, cancel, …) and "
            "by the commands awakeable, promise, cancel, kill, pause, resume and restart; actors start and "
            "stop others by host.spawn, host.stop, …"
        )


def read_invocation(text: str) -> tuple[str, int | None]:
    """Take ``address#number`` apart; without a number it is None, and means the one that waits.

    An address that itself ends in ``#`` and digits is written with a ``#`` behind it.

    Raises:
        BadAddress: what is before the number is no address.
        BadArguments: the number is longer than any.
    """
    before, mark, number = text.rpartition("#")
    if not mark or not (number.isascii() and (number.isdigit() or not number)):
        return address.full(text), None
    if len(number) > 18:
        raise BadArguments(f"invocation {text[:80]!r}: a number has at most 18 digits")
    return address.full(before), int(number) if number else None
