"""What is said to queues and channels, looked at: waits, delays, messages, topics, names of outputs."""

from __future__ import annotations

import json
import re
from typing import Any

from plexstream.coordination.common.checks import count, milliseconds
from plexstream.coordination.common.room import largest
from plexstream.sdk.errors import Reject

MAX_MESSAGES = 1_000
"""That one call sends, receives or acknowledges at most."""
MAX_VALUE = 900_000
"""Bytes of one message as JSON: with what is said about it, it has to fit into an answer."""
MAX_CALL = 1 << 20
"""Bytes of all messages of one call: a turn writes them, and may send each to an output topic as well."""
MAX_ANSWER = 500_000
"""Bytes of messages in one answer, unless it is one message alone."""
MAX_READ = 8_000_000
"""Bytes of messages that one turn looks at, to find those that somebody wants."""
_AROUND = 100
"""Bytes of what is said about each message, about."""
MAX_TOPIC = 200
"""Bytes of what a message is about."""
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,200}")


def sizes(messages: list[Any]) -> list[int]:
    """Bytes of each message as JSON. Raises Reject: there are none, too many, or they are too large."""
    count("the number of messages", len(messages), MAX_MESSAGES)
    found = [len(json.dumps(message, ensure_ascii=False).encode(errors="replace")) for message in messages]
    most = min(MAX_VALUE, largest() // 10 * 9)
    if max(found) > most:
        raise Reject(
            f"message {found.index(max(found)) + 1} of {len(found)} has {max(found)} bytes: at most "
            f"{most} are allowed; keep it as a blob, and send its name"
        )
    if sum(found) > MAX_CALL:
        raise Reject(f"{len(found)} messages of {sum(found)} bytes, at most {MAX_CALL}: send fewer at once")
    return found


class Answer:
    """What still goes into one answer."""

    def __init__(self) -> None:
        self._left = min(MAX_ANSWER, largest() // 2)
        self._first = True

    def takes(self, size: int) -> bool:
        """Whether a message of so many bytes does: the first does always."""
        self._left -= size + (0 if self._first else _AROUND)
        fits, self._first = self._first or self._left >= 0, False
        return fits


def delay(what: str, seconds: float) -> int:
    """Milliseconds of a delay, which may be 0. Raises Reject."""
    if seconds == 0 and not isinstance(seconds, bool):
        return 0
    return milliseconds(what, seconds, least="0, or seconds above 0")


def deadline(wait: float | None, now: int) -> int:
    """Until when a caller waits, in ms since the epoch; 0: for ever. Not to be asked where `wait` is 0."""
    return 0 if wait is None else now + milliseconds("wait", wait)


def output(name: str) -> str:
    """The name of an output topic; "": none. Raises Reject."""
    if name and not _TOPIC.fullmatch(name):
        raise Reject(
            f"out is {name[:80]!r}: give the name of an output, of letters, digits, '.', '_' and '-', at "
            "most 200 of them"
        )
    return name


def topic(what: str, text: str) -> str:
    """A topic, or a pattern of topics. Raises Reject: it is too long."""
    size = len(text.encode(errors="replace"))
    if size > MAX_TOPIC:
        raise Reject(f"{what} {text[:40]!r} has {size} bytes: give at most {MAX_TOPIC}")
    return text


def matches(pattern: str, text: str) -> bool:
    """Whether a topic is one that a pattern is for: ``*`` in it is any text, be it empty.

    The parts between are found one behind the other, each as early as it can be: that is enough where nothing
    but ``*`` is special, and no pattern takes longer than its length times that of the topic.
    """
    if pattern == "*":
        return True
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    *middle, last = rest
    if not text.startswith(first):
        return False
    at = len(first)
    for part in middle:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(text) - at >= len(last) and text.endswith(last)
