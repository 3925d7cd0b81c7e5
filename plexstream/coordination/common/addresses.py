"""Addresses and messages that system actors are given, to tell somebody later: checked when they come."""

from __future__ import annotations

from typing import Any

from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.running.current import current

_DEFAULTS = "default/default/"


def address(what: str, text: str) -> str:
    """An actor's address in its short form, which is the same for both ways to write it.

    Parameters:
        what: it is, for people.
        text: ``type/id``, or ``tenant/namespace/type/id``.

    Raises:
        Reject: it is none.
    """
    return checked_tell(what, text, "message", {})


def address_or_sender(what: str, text: str) -> str:
    """The same; "" is the actor that this message comes from. Raises Reject: it comes from none."""
    if not text and not host.sender():
        raise Reject(f"{what} is missing: give an address, since no actor's handler asks")
    return address(what, text or host.sender())


def checked_tell(what: str, to: str, handler: str, payload: Any) -> str:
    """The address of what can be sent, in its short form. Raises Reject: it cannot."""
    try:
        full: str = current.turn.message(what, to, handler, payload)[0]
    except (ValueError, TypeError) as error:
        raise Reject(f"{what}: {error}") from None
    return full.removeprefix(_DEFAULTS)
